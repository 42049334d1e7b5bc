#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/status.h"
#include "engine/eval_progress.h"
#include "engine/sample.h"
#include "engine/scores.h"
#include "lutdb/eval.h"

namespace lutdb {
namespace {

constexpr size_t kBatchRows = 256;
constexpr double kShareMin = 1e-38;  // a softmax in f32 can round a share to zero

absl::Status CheckShapes(const Model& model, const Dataset& data) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: it is evaluated on text or tokens");
  }
  if (data.width != model.input_width()) {
    return InvalidArgument("{} gives {} inputs, but the network takes {}", data.source, data.width,
                           model.input_width());
  }
  if (!data.has_classes && (model.is_integer_only() || data.target_width != model.output_width())) {
    return InvalidArgument(
        "{} gives {} real values per row, but the network answers {}", data.source,
        data.target_width,
        model.is_integer_only() ? std::string("a class") : std::to_string(model.output_width()));
  }
  return absl::OkStatus();
}

// What the rows so far amount to.
class Tally {
 public:
  Tally(const Model& model, const Dataset& data)
      : data_(data),
        answers_(model.is_integer_only() && model.output_width() == 1),
        has_nll_(!model.is_integer_only()),
        shares_(model.gives_shares()),
        errors_(data.target_width) {}

  absl::Status Add(uint32_t row, absl::Span<const float> output) {
    ++count_;
    if (!data_.has_classes) {
      errors_.Add(output, data_.target(row));
      return absl::OkStatus();
    }
    const uint32_t label = data_.labels[row];
    if (!answers_ && label >= output.size()) {
      return DataLoss("{}, row {}: class {}, but the network tells {} apart", data_.source, row,
                      label, output.size());
    }
    const uint32_t answer = answers_ ? static_cast<uint32_t>(output[0]) : ArgMax(output);
    right_ += answer == label ? 1 : 0;
    if (!has_nll_) return absl::OkStatus();
    nll_ += shares_ ? -std::log(std::max(double{output[label]}, kShareMin))
                    : NegativeLogShare(output, label);
    return absl::OkStatus();
  }

  EvalReport Report() const {
    EvalReport report;
    report.count = count_;
    const auto count = static_cast<double>(count_);
    if (data_.has_classes) {
      report.has_accuracy = true;
      report.accuracy = static_cast<double>(right_) / count;
      report.has_nll = has_nll_;
      report.nll = nll_ / count;
      return report;
    }
    report.has_mse = true;
    report.mse = errors_.mean();
    report.has_r2 = errors_.HasR2();
    if (report.has_r2) report.r2 = errors_.r2();
    return report;
  }

 private:
  const Dataset& data_;
  bool answers_, has_nll_, shares_;
  SquaredErrors errors_;
  uint64_t count_ = 0, right_ = 0;
  double nll_ = 0;
};

}  // namespace

absl::StatusOr<EvalReport> EvalRows(Model& model, const Dataset& data,
                                    absl::Span<const uint32_t> rows, const EvalOptions& options) {
  LUTDB_RETURN_IF_ERROR(CheckShapes(model, data));
  if (rows.empty()) return InvalidArgument("{}: no rows to evaluate", data.source);
  const Model::CommitHold hold(model);
  EvalProgress progress(options, rows.size());
  Tally tally(model, data);
  std::vector<float> inputs, outputs;
  for (size_t begin = 0; begin < rows.size(); begin += kBatchRows) {
    const absl::Span<const uint32_t> batch = rows.subspan(begin, kBatchRows);
    inputs.clear();
    for (const uint32_t row : batch) {
      if (row >= data.rows) return OutOfRange("{} has no row {}", data.source, row);
      inputs.insert(inputs.end(), data.row(row).begin(), data.row(row).end());
    }
    outputs.resize(batch.size() * model.output_width());
    LUTDB_RETURN_IF_ERROR(model.RunRows(inputs, batch.size(), absl::MakeSpan(outputs)));
    for (size_t i = 0; i < batch.size(); ++i) {
      LUTDB_RETURN_IF_ERROR(tally.Add(
          batch[i],
          absl::MakeConstSpan(outputs).subspan(i * model.output_width(), model.output_width())));
    }
    LUTDB_RETURN_IF_ERROR(progress.Tick(begin + batch.size()));
  }
  EvalReport report = tally.Report();
  report.seconds = progress.seconds();
  return report;
}

absl::StatusOr<EvalReport> EvalDataset(Model& model, const Dataset& data,
                                       const EvalOptions& options) {
  std::vector<uint32_t> rows(data.rows);
  std::iota(rows.begin(), rows.end(), 0u);
  return EvalRows(model, data, rows, options);
}

}  // namespace lutdb
