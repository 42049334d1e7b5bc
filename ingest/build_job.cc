#include "ingest/build_job.h"

#include <algorithm>
#include <filesystem>

#include "base/crash_point.h"
#include "base/status.h"
#include "db/keys.h"
#include "db/store_files.h"
#include "ingest/parallel.h"

namespace lutdb {
namespace {

constexpr uint64_t kMemoryMin = 64 << 20;
constexpr uint64_t kMemoryFixed = 40 << 20;  // program, RocksDB's files and caches
// A worker holds its buffer about twice (records and the file being written).
constexpr uint64_t kBufferMin = 6 << 20;
constexpr uint64_t kBufferMax = 64 << 20;
constexpr size_t kIngestBatch = 64;  // files; one ingestion costs about the same for 1 as for 64

// Beyond the estimate: what RocksDB writes for itself.
uint64_t WithMargin(uint64_t bytes) { return bytes + bytes / 20 + (4 << 20); }

double Mebibytes(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

absl::StatusOr<MemoryPlan> PlanMemory(uint64_t memory_bytes, unsigned threads) {
  if (memory_bytes == 0) memory_bytes = std::max(kMemoryMin, UsableMemoryBytes() / 4);
  if (memory_bytes < kMemoryMin) {
    return InvalidArgument("--memory of {:.1f} MiB: a build needs at least {:.0f} MiB",
                           Mebibytes(memory_bytes), Mebibytes(kMemoryMin));
  }
  const uint64_t free = memory_bytes - kMemoryFixed;
  MemoryPlan plan;
  plan.workers =
      static_cast<unsigned>(std::clamp<uint64_t>(free / (2 * kBufferMin), 1, ThreadsOf(threads)));
  plan.buffer_bytes = std::clamp(free / plan.workers / 2, kBufferMin, kBufferMax);
  return plan;
}

BuildJob::BuildJob(const BuildPlan& plan, const TensorPass& pass, const PlanHashes& hashes,
                   const std::string& store, const BuildOptions& options, MemoryPlan memory,
                   ProgressMeter* progress)
    : plan_(plan),
      pass_(pass),
      hashes_(hashes),
      store_(store),
      partial_(db::PartialPath(store)),
      options_(options),
      memory_(memory),
      progress_(progress) {}

std::string BuildJob::StagedFile(uint64_t index) const {
  return JoinPath(db::StagingPath(partial_), fmt::format("range-{:08}.sst", index));
}

// Refused before anything is written, with both sizes.
absl::Status BuildJob::CheckDisk(const JournalState& state) const {
  LUTDB_ASSIGN_OR_RETURN(const SizeEstimate estimate, EstimateSizes(plan_));
  double needed = 0;
  uint64_t weights_raw = 0;
  for (const RangePlan& range : plan_.layout.ranges) {
    if (range.family == db::Family::kWeights) weights_raw += range.raw_bytes;
  }
  for (uint64_t i = 0; i < plan_.layout.ranges.size(); ++i) {
    if (state.sealed.contains(i)) continue;
    const RangePlan& range = plan_.layout.ranges[i];
    const bool weights = range.family == db::Family::kWeights;
    const uint64_t raw =
        weights ? weights_raw : plan_.layout.tables[range.first_id].geometry.raw_bytes();
    const uint64_t stored = weights ? estimate.weights : estimate.tables[range.first_id];
    needed += static_cast<double>(stored) * static_cast<double>(range.raw_bytes) /
              static_cast<double>(std::max<uint64_t>(1, raw));
  }
  LUTDB_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(DirectoryOf(partial_)));
  const uint64_t wanted = WithMargin(static_cast<uint64_t>(needed));
  if (free >= wanted) return absl::OkStatus();
  return ResourceExhausted(
      "{}: the store needs about {:.1f} MiB of disk and {:.1f} MiB are free; free some space or "
      "build elsewhere",
      store_, Mebibytes(wanted), Mebibytes(free));
}

absl::Status BuildJob::Open() {
  const std::string journal = db::JournalPath(partial_);
  LUTDB_ASSIGN_OR_RETURN(JournalState state, ReadJournal(journal));
  if (state.has_plan && !(state.plan.plan == hashes_.plan)) {
    return FailedPrecondition(
        "{} is a half-built store of {}; finish that build, or remove {} to start over", partial_,
        state.plan.model == hashes_.model ? "other build options"
                                          : "another model, or the model has changed since",
        partial_);
  }
  LUTDB_RETURN_IF_ERROR(CheckDisk(state));
  LUTDB_RETURN_IF_ERROR(MakeDirectory(partial_));
  auto lock = FileLock::Acquire(db::LockPath(partial_), /*wait_seconds=*/0);
  if (!lock.ok()) {
    if (lock.status().code() != absl::StatusCode::kFailedPrecondition) return lock.status();
    return FailedPrecondition("{}: another process is building it; wait for that one", partial_);
  }
  lock_ = *std::move(lock);
  if (PathExists(store_)) {
    return FailedPrecondition("{}: another process has just built it; run the command again",
                              store_);
  }
  LUTDB_RETURN_IF_ERROR(MakeDirectory(db::StagingPath(partial_)));
  // Read again: the file may have grown until the lock was ours.
  LUTDB_ASSIGN_OR_RETURN(state_, ReadJournal(journal));
  if (!state_.has_plan) {
    // Nothing is known to be finished, so whatever lies there is of no use.
    LUTDB_RETURN_IF_ERROR(RemovePath(db::GenerationPath(partial_, 1)));
    state_ = JournalState{.has_plan = true, .plan = hashes_, .sealed = {}, .ingested = {}};
  }
  LUTDB_RETURN_IF_ERROR(OpenDatabase());
  LUTDB_RETURN_IF_ERROR(Reconcile());
  LUTDB_ASSIGN_OR_RETURN(journal_, JournalWriter::Resume(journal, state_));
  LUTDB_RETURN_IF_ERROR(SyncDirectory(partial_));
  return SyncDirectory(DirectoryOf(partial_));
}

absl::Status BuildJob::OpenDatabase() {
  const std::string path = db::GenerationPath(partial_, 1);
  db::OpenOptions options;
  options.cache_bytes = 8 << 20;
  if (state_.sealed.empty()) {
    // Cheaper than finding out how far creating it came.
    LUTDB_RETURN_IF_ERROR(RemovePath(path));
    LUTDB_RETURN_IF_ERROR(MakeDirectory(path));
    LUTDB_ASSIGN_OR_RETURN(rocks_, db::Rocks::Create(path, options));
    return absl::OkStatus();
  }
  auto rocks = db::Rocks::OpenForWriting(path, options);
  if (rocks.status().code() == absl::StatusCode::kDataLoss) {
    // A sync that failed while files were taken in can leave a database that names files which are
    // gone. Nothing in it cannot be made again: ranges that are not in staging are.
    LUTDB_RETURN_IF_ERROR(RemovePath(path));
    LUTDB_RETURN_IF_ERROR(MakeDirectory(path));
    rocks = db::Rocks::Create(path, options);
  }
  LUTDB_RETURN_IF_ERROR(rocks.status());
  rocks_ = *std::move(rocks);
  return absl::OkStatus();
}

// Files of base families that no adopted range accounts for.
absl::Status BuildJob::DropStrangers(const std::set<std::string>& adopted) {
  for (const db::LiveFile& file : rocks_->LiveFiles()) {
    if (file.family == db::Family::kDefault || file.family == db::Family::kHistory) continue;
    if (adopted.contains(file.path)) continue;
    LUTDB_RETURN_IF_ERROR(rocks_->DropFile(file));
  }
  return absl::OkStatus();
}

// Settles, range by range, what a run that was cut short left behind: in the database, in staging,
// or nowhere.
absl::Status BuildJob::Reconcile() {
  const StoreLayout& layout = plan_.layout;
  std::map<std::string, db::LiveFile> live;  // by family and first key
  for (db::LiveFile& file : rocks_->LiveFiles()) {
    live[static_cast<char>(file.family) + file.first_key] = std::move(file);
  }
  std::set<std::string> adopted, staged;
  state_.ingested.clear();
  // A number that is no range of the plan is not ours to follow.
  state_.sealed.erase(state_.sealed.lower_bound(layout.ranges.size()), state_.sealed.end());
  for (uint64_t i = 0; i < layout.ranges.size(); ++i) {
    const auto sealed = state_.sealed.find(i);
    if (sealed == state_.sealed.end()) continue;
    const RangePlan& range = layout.ranges[i];
    const auto found = live.find(static_cast<char>(range.family) + FirstKey(layout, range));
    const std::string path = StagedFile(i);
    std::error_code error;
    if (found != live.end() && found->second.last_key == LastKey(layout, range)) {
      adopted.insert(found->second.path);
      state_.ingested.insert(i);
    } else if (std::filesystem::file_size(path, error) == sealed->second.file_bytes && !error) {
      staged.insert(path);
      ready_.push_back(i);
    } else {
      state_.sealed.erase(sealed);  // lost: made again
    }
  }
  ranges_resumed_ = state_.sealed.size();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(db::StagingPath(partial_), error)) {
    if (!staged.contains(entry.path().string())) {
      LUTDB_RETURN_IF_ERROR(RemovePath(entry.path().string()));
    }
  }
  if (error) return Unavailable("{}: {}", db::StagingPath(partial_), error.message());
  return DropStrangers(adopted);
}

absl::Status BuildJob::MakeRange(uint64_t index) {
  const RangeInputs inputs{.layout = &plan_.layout,
                           .weights = &plan_.source.tensors,
                           .steps = &pass_.steps,
                           .files = &plan_.source.files};
  const RangeOptions options{
      .buffer_bytes = memory_.buffer_bytes, .cancel = options_.cancel, .progress = progress_};
  LUTDB_ASSIGN_OR_RETURN(const RangeResult result, WriteRange(inputs, plan_.layout.ranges[index],
                                                              StagedFile(index), options));
  if (result.records != plan_.layout.ranges[index].records) {
    return absl::InternalError("a range has other records than planned; please report this");
  }
  LUTDB_RETURN_IF_ERROR(SyncDirectory(db::StagingPath(partial_)));
  CrashPoint("build.sealed");
  {
    std::lock_guard<std::mutex> lock(mutex_);
    LUTDB_RETURN_IF_ERROR(journal_->Sealed(index, result));
    CrashPoint("build.journaled");
    state_.sealed[index] = result;
    ready_.push_back(index);
    if (ready_.size() < kIngestBatch) return absl::OkStatus();
  }
  return IngestReady(/*all=*/false);
}

absl::Status BuildJob::IngestReady(bool all) {
  std::lock_guard<std::mutex> ingest_lock(ingest_mutex_);
  std::vector<uint64_t> ranges;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!all && ready_.size() < kIngestBatch) return absl::OkStatus();
    ranges.swap(ready_);
  }
  std::sort(ranges.begin(), ranges.end());
  for (const db::Family family : {db::Family::kWeights, db::Family::kTile, db::Family::kRow}) {
    std::vector<std::string> files;
    std::vector<uint64_t> taken;
    for (const uint64_t range : ranges) {
      if (plan_.layout.ranges[range].family != family) continue;
      files.push_back(StagedFile(range));
      taken.push_back(range);
    }
    if (files.empty()) continue;
    LUTDB_RETURN_IF_ERROR(rocks_->Ingest(family, files));
    CrashPoint("build.ingested");
    std::lock_guard<std::mutex> lock(mutex_);
    LUTDB_RETURN_IF_ERROR(journal_->Ingested(taken));
    state_.ingested.insert(taken.begin(), taken.end());
  }
  return absl::OkStatus();
}

absl::Status BuildJob::MakeRanges() {
  std::vector<uint64_t> missing;
  uint64_t total = 0, done = 0;
  for (uint64_t i = 0; i < plan_.layout.ranges.size(); ++i) {
    const RangePlan& range = plan_.layout.ranges[i];
    const bool entries = range.family != db::Family::kWeights;
    if (entries) total += range.raw_bytes;
    if (!state_.sealed.contains(i)) {
      missing.push_back(i);
    } else if (entries) {
      done += range.raw_bytes;
    }
  }
  progress_->Start("records", total, done);
  LUTDB_RETURN_IF_ERROR(
      ParallelFor(missing.size(), memory_.workers, options_.cancel,
                  [&](uint64_t piece, unsigned) { return MakeRange(missing[piece]); }));
  progress_->Finish();
  progress_->Start("ingest", 0, 0);
  return IngestReady(/*all=*/true);
}

absl::StatusOr<Manifest> BuildJob::FinalManifest() const {
  Manifest manifest = ManifestOf(plan_);
  manifest.plan_hash = hashes_.plan;
  manifest.graph_hash = GraphHashOf(plan_, pass_);
  manifest.ranges_resumed = ranges_resumed_;
  uint64_t weights_stored = 0, weights_raw = 0;
  for (const auto& [index, result] : state_.sealed) {
    const RangePlan& range = plan_.layout.ranges[index];
    if (range.family == db::Family::kWeights) {
      weights_stored += result.stored_bytes;
      weights_raw += result.raw_bytes;
      continue;
    }
    TableStats& stats = manifest.stats[range.first_id];
    stats.records += result.records;
    stats.raw_bytes += result.raw_bytes;
    // Rows lie in blocks of their own, padded; what is between tiles is hardly anything.
    stats.stored_bytes +=
        range.family == db::Family::kRow ? result.file_bytes : result.stored_bytes;
    stats.derived_entries += result.derived_entries;
    manifest.content_hash += result.cells;
  }
  // Small tensors share ranges: each gets its share by size, and the first the rounding, so that
  // the sum is exact.
  uint64_t shared = 0;
  for (const TensorSpec& tensor : manifest.tensors) {
    const double share = static_cast<double>(plan_.source.tensors[tensor.id].bytes()) /
                         static_cast<double>(std::max<uint64_t>(1, weights_raw));
    const auto bytes = std::min(static_cast<uint64_t>(static_cast<double>(weights_stored) * share),
                                weights_stored - shared);
    manifest.tensor_stored_bytes[tensor.id] = bytes;
    shared += bytes;
  }
  if (!manifest.tensors.empty()) manifest.tensor_stored_bytes[0] += weights_stored - shared;
  return manifest;
}

absl::Status BuildJob::WriteContents() {
  LUTDB_ASSIGN_OR_RETURN(const Manifest manifest, FinalManifest());
  std::vector<db::Write> writes;
  const auto put = [&](std::string key, std::string value) {
    writes.push_back({db::Family::kDefault, std::move(key), std::move(value), false});
  };
  const auto floats = [](const std::vector<float>& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  };
  put(db::kGraphKey, SerializeGraph(plan_.graph));
  if (plan_.source.tokenizer.kind != TokenizerKind::kAbsent) {
    put(db::kTokenizerKey, SerializeTokenizer(plan_.source.tokenizer));
  }
  for (const PlannedTable& table : plan_.layout.tables) {
    put(db::StepsKey(table.spec.id), floats(pass_.steps[table.spec.id]));
    if (!table.input_scales.empty()) {
      put(db::InputScalesKey(table.spec.id), floats(table.input_scales));
    }
  }
  if (plan_.integer) {
    // Every op that may have constants gets a blob, so that a lost one is not taken for none.
    std::map<uint32_t, Thresholds> constants;
    for (uint32_t op = 0; op < plan_.graph.ops.size(); ++op) {
      if (plan_.graph.ops[op].kind == OpKind::kTableSums) constants[op] = Thresholds();
    }
    for (const IntegerStage& stage : plan_.integer->stages) {
      LUTDB_ASSIGN_OR_RETURN(constants[stage.op],
                             MakeThresholds(stage, plan_.layout.tables, pass_.steps[stage.table]));
    }
    for (const auto& [op, values] : constants) {
      put(db::ThresholdsKey(op), SerializeThresholds(values));
    }
  }
  put(db::kManifestKey, SerializeManifest(manifest));
  LUTDB_RETURN_IF_ERROR(rocks_->Apply(writes));
  return rocks_->Flush();
}

absl::Status BuildJob::Publish() {
  LUTDB_RETURN_IF_ERROR(WriteContents());
  rocks_.reset();
  journal_.reset();
  LUTDB_RETURN_IF_ERROR(RemovePath(db::StagingPath(partial_)));
  LUTDB_RETURN_IF_ERROR(SyncDirectory(db::GenerationPath(partial_, 1)));
  LUTDB_RETURN_IF_ERROR(SyncDirectory(partial_));
  // The journal goes last: until the rename it says that everything is finished.
  CrashPoint("build.contents");
  LUTDB_RETURN_IF_ERROR(RenamePath(partial_, store_));
  CrashPoint("build.renamed");
  return RemovePath(db::JournalPath(store_));
}

absl::Status BuildJob::Run(BuildReport* report) {
  LUTDB_RETURN_IF_ERROR(Open());
  absl::Status made = MakeRanges();
  if (made.code() == absl::StatusCode::kCancelled) {
    return Error(absl::StatusCode::kCancelled,
                 "interrupted; {} of {} ranges are finished and kept in {}: build again to resume, "
                 "or remove it to start over",
                 state_.sealed.size(), plan_.layout.ranges.size(), partial_);
  }
  if (made.ok()) made = Publish();
  if (made.code() == absl::StatusCode::kResourceExhausted) {
    return ResourceExhausted("{}; finished ranges are kept in {}: build again to resume",
                             Message(made), partial_);
  }
  if (!made.ok()) return made;
  report->ranges = plan_.layout.ranges.size();
  report->ranges_resumed = ranges_resumed_;
  for (const auto& [index, result] : state_.sealed) {
    report->records += result.records;
    report->stored_bytes += result.file_bytes;
    if (plan_.layout.ranges[index].family == db::Family::kWeights) continue;
    report->raw_bytes += result.raw_bytes;
    report->content_hash += result.cells;
  }
  return absl::OkStatus();
}

}  // namespace lutdb
