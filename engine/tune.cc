#include "lutdb/tune.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "base/status.h"
#include "coding/hash.h"
#include "engine/tune_bind.h"
#include "engine/tune_checkpoint.h"
#include "engine/tune_coarse.h"
#include "engine/tune_commit.h"
#include "engine/tune_run.h"
#include "engine/tune_start.h"
#include "lutdb/history.h"
#include "query/store_reader.h"

namespace lutdb {
namespace {

absl::Status CheckOptions(const TuneOptions& options, size_t train_rows) {
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate)) {
    return InvalidArgument("a learning rate is a number above 0, not {}", options.learning_rate);
  }
  for (const float penalty :
       {options.regularity.smooth, options.regularity.curve, options.regularity.near}) {
    if (!(penalty >= 0) || !std::isfinite(penalty)) {
      return InvalidArgument("a penalty is a number of at least 0, not {}", penalty);
    }
  }
  if (!(options.coarse >= 0) || !std::isfinite(options.coarse)) {
    return InvalidArgument("the share of the loss that --coarse may cost is at least 0, not {}",
                           options.coarse);
  }
  if (options.batch == 0 || options.epochs == 0) {
    return InvalidArgument("a batch and the number of epochs are at least 1");
  }
  if (train_rows < options.batch) {
    return InvalidArgument("{} training rows are fewer than a batch of {}: use --batch {} or less",
                           train_rows, options.batch, std::max<size_t>(1, train_rows));
  }
  return absl::OkStatus();
}

absl::Status CheckData(const Dataset& data, const RowSplit& split, const TuneNetwork& network) {
  const uint32_t width = network.widths[network.input];
  if (data.width != width) {
    return InvalidArgument("{} has {} inputs per row, but the network takes {}", data.source,
                           data.width, width);
  }
  if (split.train.empty() || split.valid.empty()) {
    return InvalidArgument("tuning needs rows to train on and rows to decide on");
  }
  for (const auto* rows : {&split.train, &split.valid}) {
    for (const uint32_t row : *rows) {
      if (row >= data.rows) return OutOfRange("row {} of {} does not exist", row, data.source);
    }
  }
  const uint32_t outputs = network.widths[network.output];
  if (data.has_classes) {
    for (const uint32_t label : data.labels) {
      if (label >= outputs) {
        return InvalidArgument("{} has class number {}, but the network tells {} apart",
                               data.source, label, outputs);
      }
    }
  } else if (data.target_width != outputs) {
    return InvalidArgument("{} has {} targets per row, but the network gives {} numbers",
                           data.source, data.target_width, outputs);
  }
  return absl::OkStatus();
}

// Training that could only learn a constant is refused; single inputs may well be constant, as the
// corners of images are.
absl::Status CheckVariety(const Dataset& data, absl::Span<const uint32_t> train, double variance) {
  const auto first = data.row(train[0]);
  const bool varied = std::any_of(train.begin(), train.end(), [&](uint32_t row) {
    return !std::equal(first.begin(), first.end(), data.row(row).begin());
  });
  if (!varied) {
    return FailedPrecondition(
        "all {} training rows of {} have the same inputs: nothing can be "
        "learned from them",
        train.size(), data.source);
  }
  const bool one_class =
      data.has_classes && std::all_of(train.begin(), train.end(), [&](uint32_t row) {
        return data.labels[row] == data.labels[train[0]];
      });
  if (one_class || (!data.has_classes && !(variance > 0))) {
    return FailedPrecondition(
        "all {} training rows of {} have the same target: nothing can be "
        "learned from them",
        train.size(), data.source);
  }
  return absl::OkStatus();
}

// Mean over target columns of their variance over the rows.
double TargetVariance(const Dataset& data, absl::Span<const uint32_t> rows) {
  double variance = 0;
  for (uint32_t k = 0; k < data.target_width; ++k) {
    double sum = 0, square = 0;
    for (const uint32_t row : rows) sum += data.target(row)[k];
    const double mean = sum / static_cast<double>(rows.size());
    for (const uint32_t row : rows) square += std::pow(data.target(row)[k] - mean, 2);
    variance += square / static_cast<double>(rows.size()) / data.target_width;
  }
  return variance;
}

// Of everything that the trained entries depend on.
uint64_t Fingerprint(const TuneOptions& options, const Dataset& data, const RowSplit& split,
                     const std::string& head, const TuneBinding& binding) {
  Hash64 hash;
  const auto add = [&](const auto& number) { hash.Update(&number, sizeof(number)); };
  const auto add_all = [&](const auto& items) {
    add(uint64_t{items.size()});
    hash.Update(items.data(), items.size() * sizeof(*items.data()));
  };
  add_all(head);
  add(options.seed), add(options.learning_rate), add(options.batch), add(options.epochs);
  add(options.patience), add(options.regularity), add(options.search), add(options.steps_max);
  add(options.entries_max);
  add_all(data.inputs), add_all(data.labels), add_all(data.targets);
  add_all(split.train), add_all(split.valid);
  for (size_t t = 0; t < binding.table_ids.size(); ++t) {
    add(binding.table_ids[t]);
    add(binding.network.tables[t].trained);
    add_all(binding.network.tables[t].initial);
  }
  return hash.Finish();
}

TuneMeasure MeasureOf(const TuneFigures& figures) {
  return {.count = figures.rows, .loss = figures.loss, .accuracy = figures.accuracy};
}

// One tune of one store, from reading it to the commit.
class RowsTuner {
 public:
  RowsTuner(const std::string& path, const Dataset& data, const RowSplit& split,
            const TuneOptions& options)
      : path_(path), data_(data), split_(split), options_(options), team_(options.threads) {}

  absl::StatusOr<TuneReport> Go();

 private:
  absl::Status Open();
  absl::Status Begin();
  absl::Status Train();
  absl::Status Finish();
  std::vector<EntryEdit> TakeEdits();

  const std::string& path_;
  const Dataset& data_;
  const RowSplit& split_;
  const TuneOptions& options_;
  ThreadTeam team_;
  TunedStore from_;
  TuneBinding binding_;
  std::unique_ptr<TuneTrainer> trainer_;
  double target_size_ = 1;
  std::string checkpoint_;
  TuneReport report_;
};

absl::Status RowsTuner::Open() {
  LUTDB_ASSIGN_OR_RETURN(from_, OpenTuned(path_, options_.branch));
  LUTDB_ASSIGN_OR_RETURN(binding_,
                         BindNetwork(*from_.store, *from_.entries, options_, team_.count()));
  from_.entries.reset();  // read; the edits of the branch take memory
  return absl::OkStatus();
}

absl::Status RowsTuner::Begin() {
  TuneNetwork& network = binding_.network;
  LUTDB_RETURN_IF_ERROR(CheckData(data_, split_, network));
  LUTDB_RETURN_IF_ERROR(CheckOptions(options_, split_.train.size()));
  const double variance = TargetVariance(data_, split_.train);
  LUTDB_RETURN_IF_ERROR(CheckVariety(data_, split_.train, variance));
  if (!data_.has_classes) target_size_ = std::sqrt(variance);
  report_.classes = data_.has_classes;
  report_.seed = options_.seed;
  for (size_t t = 0; t < network.tables.size(); ++t) {
    if (!network.tables[t].trained) continue;
    report_.entries += network.tables[t].entries.size();
    report_.tables.push_back(from_.store->spec(binding_.table_ids[t]).name);
  }
  trainer_ = std::make_unique<TuneTrainer>(network, team_);
  TuneRows rows{.rows = data_.rows, .width = data_.width, .inputs = data_.inputs.data()};
  if (data_.has_classes) {
    rows.labels = data_.labels.data();
  } else {
    rows.targets = data_.targets.data();
    rows.loss_unit = variance;
  }
  LUTDB_RETURN_IF_ERROR(trainer_->Prepare(rows));
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures train, MeasureStored(*trainer_, &network, split_.train));
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures valid, MeasureStored(*trainer_, &network, split_.valid));
  report_.train_before = MeasureOf(train);
  report_.valid_before = MeasureOf(valid);
  return absl::OkStatus();
}

absl::Status RowsTuner::Train() {
  TuneNetwork& network = binding_.network;
  const uint64_t fingerprint = Fingerprint(options_, data_, split_, from_.head, binding_);
  if (options_.commit) {
    LUTDB_ASSIGN_OR_RETURN(checkpoint_,
                           CheckpointPath(path_, options_.branch, from_.head, fingerprint));
  }
  StartEmptyTables(&network, target_size_, options_.seed);
  LUTDB_RETURN_IF_ERROR(SetGains(*trainer_, &network, split_.train, target_size_));
  LUTDB_ASSIGN_OR_RETURN(TuneRunResult result,
                         RunTraining(*trainer_, &network, split_.train, split_.valid, options_,
                                     checkpoint_, fingerprint));
  PutEntries(std::move(result.entries), &network);
  trainer_->moments().clear();  // their memory goes to what follows
  report_.learning_rate = result.learning_rate;
  report_.regularity = result.regularity;
  report_.epochs = result.epochs;
  report_.steps = result.steps;
  report_.resumed = result.resumed;
  report_.stopped = result.stopped;
  return absl::OkStatus();
}

absl::Status RowsTuner::Finish() {
  TuneNetwork& network = binding_.network;
  if (options_.entries_max > 0) {
    KeepLargestChanges(*trainer_, &network, split_.train, options_.entries_max);
  }
  if (options_.coarse > 0) {
    std::vector<CoarseUnit> units;
    LUTDB_RETURN_IF_ERROR(CoarsenEntries(*trainer_, &network, split_.train, split_.valid,
                                         options_.coarse, options_.entries_max == 0, &units));
    for (size_t t = 0; t < units.size(); ++t) {
      if (!network.tables[t].trained) continue;
      report_.coarse_bits.push_back(units[t].shift);
      report_.coarse_whole.push_back(units[t].whole);
    }
  }
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures train, MeasureStored(*trainer_, &network, split_.train));
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures valid, MeasureStored(*trainer_, &network, split_.valid));
  report_.train_after = MeasureOf(train);
  report_.valid_after = MeasureOf(valid);
  report_.improved = valid.loss < report_.valid_before.loss;
  for (const TuneTable& table : network.tables) {
    report_.entries_changed += table.trained ? CountEdits(table) : 0;
  }
  std::vector<EntryEdit> edits;
  if (report_.improved && options_.commit) edits = TakeEdits();
  return FinishTuned(path_, options_, from_.head, edits,
                     checkpoint_.empty() ? std::vector<std::string>() : std::vector{checkpoint_},
                     &report_);
}

// Lists what changed and gives back everything else: a commit takes more memory than training did.
std::vector<EntryEdit> RowsTuner::TakeEdits() {
  std::vector<EntryEdit> edits;
  edits.reserve(report_.entries_changed);
  trainer_.reset();
  for (size_t t = 0; t < binding_.network.tables.size(); ++t) {
    const TuneTable table = std::move(binding_.network.tables[t]);
    if (table.trained) AppendEdits(table, binding_.table_ids[t], 0, &edits);
  }
  binding_ = {};
  from_.store.reset();
  return edits;
}

absl::StatusOr<TuneReport> RowsTuner::Go() {
  const auto begin = std::chrono::steady_clock::now();
  LUTDB_RETURN_IF_ERROR(Open());
  LUTDB_RETURN_IF_ERROR(Begin());
  LUTDB_RETURN_IF_ERROR(Train());
  LUTDB_RETURN_IF_ERROR(Finish());
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report_;
}

}  // namespace

absl::StatusOr<TuneReport> TuneRowsOf(const std::string& store, const Dataset& data,
                                      const RowSplit& split, const TuneOptions& options) {
  return RowsTuner(store, data, split, options).Go();
}

}  // namespace lutdb
