#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/hash.h"
#include "engine/tune_checkpoint.h"
#include "engine/tune_commit.h"
#include "engine/tune_walk.h"
#include "lutdb/tune.h"

namespace lutdb {
namespace {

constexpr char kMagic[] = "lutdb-walk-1\n";

void WriteTables(const std::vector<WalkTable>& tables, CheckpointWriter& writer) {
  writer.Number<uint64_t>(tables.size());
  for (const WalkTable& table : tables) {
    writer.Number(table.table);
    writer.Number<uint64_t>(table.edits.size());
    for (const EntryEdit& edit : table.edits) {
      writer.Number(edit.neuron);
      writer.Number(edit.chunk);
      writer.Number(edit.code);
      writer.Number(edit.value);
    }
  }
}

bool Exists(const StoreReader& store, const EntryEdit& edit) {
  const TableGeometry& geometry = store.geometry(edit.table);
  const int32_t limit = EntryLimit(geometry.entry());
  return edit.neuron < geometry.neurons() && edit.chunk < geometry.chunks() &&
         edit.code < geometry.codes(edit.chunk) && edit.value >= -limit && edit.value <= limit;
}

// The tables of a checkpoint's body, which must be the first of `order` and have such entries;
// empty otherwise, which costs time only.
std::vector<WalkTable> ReadTables(std::string_view body, const StoreReader& store,
                                  absl::Span<const uint32_t> order) {
  constexpr size_t kEditBytes = 16, kTableBytes = sizeof(uint32_t) + sizeof(uint64_t);
  if (body.size() < sizeof(uint64_t)) return {};
  const auto count = LoadLittle<uint64_t>(body.data());
  if (count > order.size()) return {};
  body.remove_prefix(sizeof(uint64_t));
  std::vector<WalkTable> tables;
  for (uint64_t t = 0; t < count; ++t) {
    if (body.size() < kTableBytes || LoadLittle<uint32_t>(body.data()) != order[t]) return {};
    const auto edits = LoadLittle<uint64_t>(body.data() + sizeof(uint32_t));
    body.remove_prefix(kTableBytes);
    if (body.size() / kEditBytes < edits) return {};
    WalkTable& table = tables.emplace_back(WalkTable{.table = order[t], .edits = {}});
    table.edits.reserve(edits);
    for (uint64_t i = 0; i < edits; ++i, body.remove_prefix(kEditBytes)) {
      const char* from = body.data();
      table.edits.push_back({.table = table.table,
                             .neuron = LoadLittle<uint32_t>(from),
                             .chunk = LoadLittle<uint32_t>(from + 4),
                             .code = LoadLittle<uint32_t>(from + 8),
                             .value = LoadLittle<int32_t>(from + 12)});
      if (!Exists(store, table.edits.back())) return {};
    }
  }
  return tables;
}

TuneMeasure Mean(absl::Span<const double> nll) {
  TuneMeasure measure{.count = nll.size()};
  if (nll.empty()) return measure;
  measure.loss = std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size());
  return measure;
}

class Reconstruction {
 public:
  Reconstruction(const std::string& path, absl::Span<const int32_t> ids,
                 const ReconstructOptions& reconstruct, const TuneOptions& options)
      : path_(path), ids_(ids), reconstruct_(reconstruct), options_(options) {}

  absl::StatusOr<TuneReport> Go();

 private:
  absl::Status Open();
  absl::Status SetWindows(const Graph& graph);
  absl::StatusOr<WalkResult> Fit(bool own_targets);
  absl::Status Finish();
  void Split(const WalkResult& walk, TuneMeasure* train, TuneMeasure* valid) const;
  uint64_t Fingerprint(bool own_targets) const;

  const std::string& path_;
  const absl::Span<const int32_t> ids_;
  const ReconstructOptions& reconstruct_;
  const TuneOptions& options_;
  TunedStore from_;
  std::vector<bool> trained_;
  std::vector<uint32_t> order_;  // of the tables, as they run
  WalkOptions walk_;
  std::vector<std::string> checkpoints_;
  WalkResult best_;
  TuneReport report_;
};

absl::Status Reconstruction::Open() {
  LUTDB_ASSIGN_OR_RETURN(from_, OpenTuned(path_, options_.branch));
  for (const auto* names : {&options_.only, &options_.freeze}) {
    for (const std::string& name : *names)
      LUTDB_RETURN_IF_ERROR(from_.store->FindTable(name).status());
  }
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const TableSpec& table : from_.store->manifest().tables) {
    trained_.push_back((options_.only.empty() || has(options_.only, table.name)) &&
                       !has(options_.freeze, table.name));
    if (!trained_.back()) continue;
    report_.tables.push_back(table.name);
    report_.entries += from_.store->geometry(table.id).codes_total() * table.neurons;
  }
  if (report_.tables.empty()) {
    return InvalidArgument("no table is left to train: every one is frozen or not named by --only");
  }
  LUTDB_ASSIGN_OR_RETURN(const Graph graph, from_.store->LoadGraph());
  if (!graph.is_language_model()) {
    return InvalidArgument("this is not a language model: tune it on rows with --objective task");
  }
  for (const Op& op : graph.ops) {
    if (op.kind == OpKind::kTable) order_.push_back(op.table);
  }
  return SetWindows(graph);
}

absl::Status Reconstruction::SetWindows(const Graph& graph) {
  for (size_t i = 0; i < ids_.size(); ++i) {
    if (ids_[i] < 0 || static_cast<uint32_t>(ids_[i]) >= graph.vocabulary) {
      return OutOfRange("token {} (number {}) is not in the vocabulary of {}", ids_[i], i,
                        graph.vocabulary);
    }
  }
  if (reconstruct_.window > graph.context) {
    return InvalidArgument("a window of {} tokens is beyond the context of {}", reconstruct_.window,
                           graph.context);
  }
  if (!(reconstruct_.valid_fraction > 0) || !(reconstruct_.valid_fraction < 1)) {
    return InvalidArgument("the share of tokens that decides is between 0 and 1, not {}",
                           reconstruct_.valid_fraction);
  }
  walk_.window = reconstruct_.window > 0 ? reconstruct_.window : graph.context;
  const auto train =
      static_cast<size_t>(static_cast<double>(ids_.size()) * (1 - reconstruct_.valid_fraction));
  if (train < 2 || ids_.size() - train < 2) {
    return InvalidArgument("{} tokens are too few to fit to some and decide on others",
                           ids_.size());
  }
  walk_.train_rows = train;
  walk_.near = {10000, 3000, 1000, 300, 100, 30, 10};
  walk_.smooth = {0, 300};
  walk_.weights_only = reconstruct_.weights_only;
  walk_.trained = &trained_;
  walk_.threads = options_.threads;
  walk_.cancel = options_.cancel;
  return absl::OkStatus();
}

uint64_t Reconstruction::Fingerprint(bool own_targets) const {
  Hash64 hash;
  hash.Update(from_.head.data(), from_.head.size());
  hash.Update(ids_.data(), ids_.size() * sizeof(int32_t));
  const std::string numbers =
      fmt::format("{} {} {} {} {}", walk_.window, walk_.train_rows, reconstruct_.weights_only,
                  own_targets, fmt::join(report_.tables, " "));
  hash.Update(numbers.data(), numbers.size());
  const Hash128& content = from_.store->manifest().content_hash;
  hash.Update(&content, sizeof(content));
  return hash.Finish();
}

absl::StatusOr<WalkResult> Reconstruction::Fit(bool own_targets) {
  const uint64_t fingerprint = Fingerprint(own_targets);
  std::vector<WalkTable> known;
  std::string checkpoint;
  if (options_.commit) {
    LUTDB_ASSIGN_OR_RETURN(checkpoint,
                           CheckpointPath(path_, options_.branch, from_.head, fingerprint));
    checkpoints_.push_back(checkpoint);
    if (const auto file = Checkpoint::Open(checkpoint, kMagic, fingerprint); file.has_value()) {
      known = ReadTables(file->body(), *from_.store, order_);
      report_.resumed = report_.resumed || !known.empty();
    }
  }
  WalkOptions walk = walk_;
  walk.own_targets = own_targets;
  uint64_t done = known.size();
  walk.fitted = [&](uint32_t table, double before, double after, double) {
    ++done;
    if (!options_.progress) return;
    TuneProgress progress;
    progress.stage = "fit";
    progress.done = done;
    progress.total = from_.store->manifest().tables.size();
    progress.trial = own_targets ? 2 : 1;
    progress.trials = 2;
    progress.table = from_.store->spec(table).name;
    progress.train_loss = before;
    progress.valid_loss = after;
    options_.progress(progress);
  };
  return WalkLayers(*from_.store, *from_.entries, ids_, walk, std::move(known),
                    [&](const std::vector<WalkTable>& tables) {
                      if (checkpoint.empty()) return absl::OkStatus();
                      return WriteCheckpoint(
                          checkpoint, kMagic, fingerprint,
                          [&](CheckpointWriter& writer) { WriteTables(tables, writer); });
                    });
}

void Reconstruction::Split(const WalkResult& walk, TuneMeasure* train, TuneMeasure* valid) const {
  const absl::Span<const double> nll = walk.nll;
  *train = Mean(nll.subspan(0, walk_.train_rows));
  *valid = Mean(nll.subspan(walk_.train_rows));
}

absl::Status Reconstruction::Finish() {
  for (const WalkTable& table : best_.tables) report_.entries_changed += table.edits.size();
  std::vector<EntryEdit> edits;
  edits.reserve(report_.entries_changed);
  for (WalkTable& table : best_.tables) {
    edits.insert(edits.end(), table.edits.begin(), table.edits.end());
    std::vector<EntryEdit>().swap(table.edits);  // a commit needs memory, too
  }
  report_.improved = report_.valid_after.loss < report_.valid_before.loss;
  return FinishTuned(path_, options_, from_.head, edits, checkpoints_, &report_);
}

absl::StatusOr<TuneReport> Reconstruction::Go() {
  const auto begin = std::chrono::steady_clock::now();
  report_.objective = reconstruct_.weights_only ? "reconstruct, weights only" : "reconstruct";
  report_.seed = options_.seed;
  LUTDB_RETURN_IF_ERROR(Open());
  WalkOptions measure = walk_;
  measure.fit = false;
  LUTDB_ASSIGN_OR_RETURN(
      const WalkResult before,
      WalkLayers(*from_.store, *from_.entries, ids_, measure, {},
                 [](const std::vector<WalkTable>&) { return absl::OkStatus(); }));
  Split(before, &report_.train_before, &report_.valid_before);
  for (const bool own_targets : {false, true}) {
    LUTDB_ASSIGN_OR_RETURN(WalkResult walk, Fit(own_targets));
    TuneMeasure train, valid;
    Split(walk, &train, &valid);
    if (own_targets && valid.loss >= report_.valid_after.loss) continue;
    report_.train_after = train;
    report_.valid_after = valid;
    report_.stopped = own_targets ? "targets: each layer's own inputs" : "targets: the f32 network";
    best_ = std::move(walk);
  }
  LUTDB_RETURN_IF_ERROR(Finish());
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report_;
}

}  // namespace

absl::StatusOr<TuneReport> ReconstructTokens(const std::string& store,
                                             absl::Span<const int32_t> ids,
                                             const ReconstructOptions& reconstruct,
                                             const TuneOptions& options) {
  return Reconstruction(store, ids, reconstruct, options).Go();
}

}  // namespace lutdb
