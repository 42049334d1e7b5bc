#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "coding/hash.h"
#include "engine/tune_commit.h"
#include "engine/tune_walk.h"
#include "lutdb/tune.h"

namespace lutdb {
namespace {

constexpr uint64_t kCheckpointBytesMax = uint64_t{16} << 30;
constexpr char kMagic[] = "lutdb-walk-1\n";  // without its final zero

std::string SerializeTables(const std::vector<WalkTable>& tables, uint64_t fingerprint) {
  std::string bytes(kMagic);
  AppendLittle(fingerprint, &bytes);
  AppendLittle<uint64_t>(tables.size(), &bytes);
  for (const WalkTable& table : tables) {
    AppendLittle(table.table, &bytes);
    AppendLittle<uint64_t>(table.edits.size(), &bytes);
    for (const EntryEdit& edit : table.edits) {
      AppendLittle(edit.neuron, &bytes);
      AppendLittle(edit.chunk, &bytes);
      AppendLittle(edit.code, &bytes);
      AppendLittle(edit.value, &bytes);
    }
  }
  AppendLittle(Hash64Of(bytes.data(), bytes.size()), &bytes);
  return bytes;
}

// The tables of a whole checkpoint of this very run; empty for anything else, which costs time
// only.
std::vector<WalkTable> ParseTables(const std::string& bytes, uint64_t fingerprint) {
  constexpr size_t kHeader = sizeof(kMagic) - 1 + 2 * sizeof(uint64_t);
  constexpr size_t kEditBytes = 16;
  if (bytes.size() < kHeader + sizeof(uint64_t) ||
      bytes.compare(0, sizeof(kMagic) - 1, kMagic) != 0) {
    return {};
  }
  const size_t end = bytes.size() - sizeof(uint64_t);
  const char* at = bytes.data() + sizeof(kMagic) - 1;
  if (Hash64Of(bytes.data(), end) != LoadLittle<uint64_t>(bytes.data() + end) ||
      LoadLittle<uint64_t>(at) != fingerprint) {
    return {};
  }
  std::vector<WalkTable> tables;
  const auto count = LoadLittle<uint64_t>(at + sizeof(uint64_t));
  size_t place = kHeader;
  for (uint64_t t = 0; t < count; ++t) {
    if (end - place < sizeof(uint32_t) + sizeof(uint64_t)) return {};
    WalkTable table{.table = LoadLittle<uint32_t>(bytes.data() + place), .edits = {}};
    const auto edits = LoadLittle<uint64_t>(bytes.data() + place + sizeof(uint32_t));
    place += sizeof(uint32_t) + sizeof(uint64_t);
    if ((end - place) / kEditBytes < edits) return {};
    for (uint64_t i = 0; i < edits; ++i, place += kEditBytes) {
      const char* from = bytes.data() + place;
      table.edits.push_back({.table = table.table,
                             .neuron = LoadLittle<uint32_t>(from),
                             .chunk = LoadLittle<uint32_t>(from + 4),
                             .code = LoadLittle<uint32_t>(from + 8),
                             .value = LoadLittle<int32_t>(from + 12)});
    }
    tables.push_back(std::move(table));
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
    const std::string folder = JoinPath(path_, "tune");
    LUTDB_RETURN_IF_ERROR(MakeDirectory(folder));
    checkpoint = JoinPath(folder, fmt::format("{:016x}.ckpt", fingerprint));
    checkpoints_.push_back(checkpoint);
    if (PathExists(checkpoint)) {
      LUTDB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(checkpoint, kCheckpointBytesMax));
      known = ParseTables(bytes, fingerprint);
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
                      return WriteFileAtomically(checkpoint, SerializeTables(tables, fingerprint));
                    });
}

void Reconstruction::Split(const WalkResult& walk, TuneMeasure* train, TuneMeasure* valid) const {
  const absl::Span<const double> nll = walk.nll;
  *train = Mean(nll.subspan(0, walk_.train_rows));
  *valid = Mean(nll.subspan(walk_.train_rows));
}

absl::Status Reconstruction::Finish() {
  std::vector<EntryEdit> edits;
  for (const WalkTable& table : best_.tables) {
    edits.insert(edits.end(), table.edits.begin(), table.edits.end());
  }
  report_.entries_changed = edits.size();
  report_.improved = report_.valid_after.loss < report_.valid_before.loss;
  if (report_.improved && options_.commit && !edits.empty()) {
    LUTDB_ASSIGN_OR_RETURN(report_.commit,
                           CommitTuned(path_, options_, from_.head, edits, report_));
  }
  for (const std::string& checkpoint : checkpoints_) {
    LUTDB_RETURN_IF_ERROR(RemovePath(checkpoint));
  }
  return absl::OkStatus();
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
