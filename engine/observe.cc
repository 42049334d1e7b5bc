#include "engine/observe.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/file.h"
#include "base/status.h"
#include "engine/forward.h"
#include "engine/sensitivity.h"
#include "engine/tokenizer.h"
#include "lutdb/calibration.h"
#include "lutdb/eval.h"

namespace lutdb {
namespace {

constexpr uint32_t kWindow = 256;
// Tokens or rows that sensitivities are measured on.
constexpr size_t kProbedMax = 1024;
constexpr double kProbeProducts = 0x1p41;
constexpr uint64_t kTextBytesMax = 64 << 20;

// Every value that tables read, with the vectors seen of it so far.
class Observer {
 public:
  Observer(const Plan& plan, uint64_t vectors, uint64_t bytes_max) {
    std::map<const ValueBuffer*, size_t> places;
    uint64_t width = 0;
    for (const Step& step : plan.steps) {
      if (step.table == nullptr) continue;
      const ValueBuffer* value = step.inputs[0];
      const auto [at, added] = places.try_emplace(value, samples_.size());
      if (added) {
        samples_.push_back({.tables = {}, .inputs = value->width, .rows = {}});
        values_.push_back(value);
        width += value->width;
      }
      samples_[at->second].tables.push_back(step.table->spec->name);
    }
    const uint64_t kept =
        std::max<uint64_t>(1, bytes_max / (sizeof(float) * std::max<uint64_t>(1, width)));
    every_ = (vectors + kept - 1) / kept;
  }

  // After a run; FailedPrecondition when the model has left f32.
  absl::Status Look() {
    if (seen_++ % every_ != 0) return absl::OkStatus();
    for (size_t i = 0; i < samples_.size(); ++i) {
      const float* x = values_[i]->numbers.get();
      const uint32_t width = samples_[i].inputs;
      if (!std::all_of(x, x + width, [](float v) { return std::isfinite(v); })) {
        return FailedPrecondition("the input of '{}' is not finite: the model overflows f32",
                                  samples_[i].tables.front());
      }
      samples_[i].rows.insert(samples_[i].rows.end(), x, x + width);
    }
    return absl::OkStatus();
  }

  absl::Status Measure(ProbeData data, const ProgressFn& progress, Forward* forward) {
    double products = 0;
    for (const Step& step : forward->plan().steps) {
      if (step.table != nullptr)
        products += static_cast<double>(step.table->spec->inputs) * step.output->width;
    }
    const double count = kProbeProducts / (products * static_cast<double>(values_.size()));
    data.count = std::min({data.count, kProbedMax, static_cast<size_t>(std::max(1.0, count))});
    LUTDB_ASSIGN_OR_RETURN(const std::vector<double> sensitivities,
                           MeasureSensitivity(values_, data, progress, forward));
    for (size_t i = 0; i < samples_.size(); ++i) samples_[i].sensitivity = sensitivities[i];
    return absl::OkStatus();
  }

  std::vector<TableSample> Take() { return std::move(samples_); }

 private:
  std::vector<const ValueBuffer*> values_;
  std::vector<TableSample> samples_;
  uint64_t every_ = 1;
  uint64_t seen_ = 0;
};

absl::StatusOr<std::vector<int32_t>> ReadTokens(const StoreReader& store, const std::string& path,
                                                uint32_t vocabulary) {
  std::vector<int32_t> ids;
  if (path.ends_with(".i32")) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokenFile(path));
  } else {
    LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kTextBytesMax));
    LUTDB_ASSIGN_OR_RETURN(TokenizerSpec spec, store.LoadTokenizer());
    LUTDB_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Create(std::move(spec)));
    LUTDB_ASSIGN_OR_RETURN(ids, tokenizer->Encode(text));
    // A file of no text still has the tokens that begin every text.
    if (text.empty()) ids.clear();
  }
  if (ids.empty()) return DataLoss("{} has nothing to calibrate with", path);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && static_cast<uint32_t>(ids[i]) < vocabulary) continue;
    return OutOfRange("{}: token {} (number {}) is not in the vocabulary of {}", path, ids[i], i,
                      vocabulary);
  }
  return ids;
}

absl::Status CheckCancelled(const ObserveOptions& options) {
  if (options.cancel == nullptr || !options.cancel->load(std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  return absl::CancelledError("calibration was interrupted");
}

}  // namespace

absl::StatusOr<std::vector<TableSample>> ObserveTables(const std::string& store,
                                                       const std::string& path,
                                                       const ObserveOptions& options) {
  constexpr uint64_t kCacheBytes = 64 << 20;
  LUTDB_ASSIGN_OR_RETURN(const auto reader, StoreReader::Open(store, kCacheBytes));
  LUTDB_ASSIGN_OR_RETURN(
      const auto forward,
      Forward::Create(*reader, nullptr, {.threads = options.threads, .reference = true}));
  const Graph& graph = forward->plan().graph;
  const uint32_t width = graph.values[graph.input].width;
  std::vector<int32_t> ids;
  std::vector<float> rows;
  if (graph.is_language_model()) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokens(*reader, path, graph.vocabulary));
  } else {
    LUTDB_ASSIGN_OR_RETURN(rows, ReadCalibrationRows(path, width));
  }
  const size_t window = std::min(kWindow, graph.context);
  const auto feed = [&](size_t i) -> absl::Status {
    LUTDB_RETURN_IF_ERROR(CheckCancelled(options));
    if (ids.empty()) return forward->RunRow(rows.data() + i * width);
    if (i % window == 0) forward->Reset();
    return forward->RunToken(static_cast<uint32_t>(ids[i]), true);
  };
  const ProbeData data = {ids.empty() ? rows.size() / width : ids.size(), feed};
  Observer observer(forward->plan(), data.count,
                    options.bytes_max != 0 ? options.bytes_max : UsableMemoryBytes() / 4);
  for (size_t i = 0; i < data.count; ++i) {
    LUTDB_RETURN_IF_ERROR(data.feed(i));
    LUTDB_RETURN_IF_ERROR(observer.Look());
    if (options.progress) {
      options.progress({.stage = "run", .done = i + 1, .total = data.count});
    }
  }
  if (options.sensitivity) {
    LUTDB_RETURN_IF_ERROR(observer.Measure(data, options.progress, forward.get()));
  }
  return observer.Take();
}

}  // namespace lutdb
