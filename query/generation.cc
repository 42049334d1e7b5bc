// Base generations of a store and what is left of old ones: History::Bake and History::Gc.

#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/status.h"
#include "db/store_files.h"
#include "query/bake.h"
#include "query/history_state.h"

namespace lutdb {
namespace {

// Bytes that removing a directory frees: files that another generation shares by a hard link stay.
uint64_t OwnBytes(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(directory, ignored)) {
    struct stat status;
    if (::stat(file.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (status.st_nlink == 1) bytes += static_cast<uint64_t>(status.st_size);
  }
  return bytes;
}

// Databases in the store that are not the one in use: of older generations, and of bakes that did
// not finish.
std::vector<std::string> OldGenerations(const std::string& store) {
  std::vector<std::string> paths;
  const std::string current = db::RocksPath(store);
  const auto names = ListDirectory(store);
  if (!names.ok()) return paths;  // gc frees less
  for (const std::string& name : *names) {
    const bool database = name == "db" || name.rfind("db.", 0) == 0;
    const std::string path = JoinPath(store, name);
    if (database && IsDirectory(path) && path != current) paths.push_back(path);
  }
  return paths;
}

// What the history holds that no ref leads to.
class Sweep {
 public:
  explicit Sweep(History::State* state) : state_(*state) {}

  absl::Status Mark() {
    LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs branches, state_.history().Branches());
    LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs tags, state_.history().Tags());
    LUTDB_ASSIGN_OR_RETURN(const std::string base, state_.history().BaseCommit());
    std::set<std::string> heads = {base};
    for (const auto& [name, commit] : branches) heads.insert(commit);
    for (const auto& [name, commit] : tags) heads.insert(commit);
    for (const std::string& head : heads) LUTDB_RETURN_IF_ERROR(MarkFrom(head, base));
    return absl::OkStatus();
  }

  // Keys of what is not marked, into *writes as deletions.
  absl::Status Collect(GcReport* report, std::vector<db::Write>* writes) {
    const std::string prefix = CommitKey("");
    db::Cursor cursor = state_.store->rocks().Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    for (; cursor.Valid(); cursor.Next()) {
      const std::string id(cursor.key().substr(prefix.size()));
      if (!commits_.contains(id)) {
        ++report->commits;
        Delete(CommitKey(id), report, writes);
        LUTDB_RETURN_IF_ERROR(DeleteAll(PatchPrefix(id), report, writes));
        LUTDB_RETURN_IF_ERROR(DeleteAll(ValuesBeforeKey(id), report, writes));
      }
      if (!snapshots_.contains(id)) {
        LUTDB_RETURN_IF_ERROR(DeleteAll(SnapshotKey(id), report, writes));
        LUTDB_RETURN_IF_ERROR(DeleteAll(SnapshotPrefix(id), report, writes));
      }
    }
    return cursor.status();
  }

 private:
  absl::Status MarkFrom(const std::string& head, const std::string& base) {
    for (std::vector<std::string> waiting = {head}; !waiting.empty();) {
      const std::string id = std::move(waiting.back());
      waiting.pop_back();
      if (id.empty() || !commits_.insert(id).second) continue;
      LUTDB_ASSIGN_OR_RETURN(const CommitRecord commit, state_.history().ReadCommit(id));
      waiting.insert(waiting.end(), commit.info.parents.begin(), commit.info.parents.end());
    }
    // The newest snapshot on the way to the base generation is what reading this head begins with.
    for (std::string id = head; !id.empty() && id != base && climbed_.insert(id).second;) {
      const auto snapshot = state_.store->rocks().Get(db::Family::kHistory, SnapshotKey(id));
      if (snapshot.ok()) {
        snapshots_.insert(id);
        break;
      }
      if (!absl::IsNotFound(snapshot.status())) return snapshot.status();
      LUTDB_ASSIGN_OR_RETURN(const CommitRecord commit, state_.history().ReadCommit(id));
      id = FirstParent(commit);
    }
    return absl::OkStatus();
  }

  void Delete(std::string key, GcReport* report, std::vector<db::Write>* writes) const {
    report->bytes += key.size();
    writes->push_back({db::Family::kHistory, std::move(key), "", /*is_delete=*/true});
  }

  absl::Status DeleteAll(const std::string& prefix, GcReport* report,
                         std::vector<db::Write>* writes) const {
    db::Cursor cursor = state_.store->rocks().Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    for (; cursor.Valid(); cursor.Next()) {
      ++report->patches;
      report->bytes += cursor.value().size();
      Delete(std::string(cursor.key()), report, writes);
    }
    return cursor.status();
  }

  History::State& state_;
  std::set<std::string> commits_, snapshots_;
  std::set<std::string> climbed_;  // what lies below them is marked
};

}  // namespace

absl::Status History::Bake(const std::string& ref, const ProgressFn& progress,
                           const std::atomic<bool>* cancel) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  LUTDB_RETURN_IF_ERROR(state.CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, state.history().Resolve(ref));
  LUTDB_ASSIGN_OR_RETURN(const std::string base, state.history().BaseCommit());
  if (commit == base) {
    return FailedPrecondition("nothing to bake: the base generation holds {} already",
                              commit.empty() ? "the build" : commit.substr(0, 12));
  }
  // A new base is the last place where the values that a commit replaced can be looked up.
  LUTDB_ASSIGN_OR_RETURN(const auto ancestry, state.history().Ancestry(commit, UINT64_MAX));
  for (const CommitRecord& ancestor : ancestry) {
    LUTDB_RETURN_IF_ERROR(state.Complete(ancestor.info.id));
  }
  LUTDB_RETURN_IF_ERROR(state.Settle());
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state.history().FromBase(commit));
  const auto edits = Edits().With(changes, commit, state.geometries());
  BakeRequest request = {
      .store = state.store.get(), .edits = edits.get(), .progress = &progress, .cancel = cancel};
  LUTDB_ASSIGN_OR_RETURN(request.since_build, state.history().Difference("", commit));

  const uint32_t next = state.store->manifest().generation + 1;
  const std::string path = db::GenerationPath(state.path, next);
  const std::string partial = path + ".partial";
  LUTDB_RETURN_IF_ERROR(RemovePath(partial));
  LUTDB_RETURN_IF_ERROR(RemovePath(path));  // of a bake cut short before it was announced
  absl::Status baked = state.rocks->CopyTo(partial);
  if (baked.ok()) baked = BakeInto(request, partial);
  if (!baked.ok()) {
    (void)RemovePath(partial);  // it is in nobody's use
    return baked;
  }
  CrashPoint("bake.copied");
  // Said before there are two, so that a generation file that is lost is missed.
  if (!PathExists(db::GenerationFile(state.path))) {
    LUTDB_RETURN_IF_ERROR(db::AnnounceGeneration(state.path, next - 1));
  }
  LUTDB_RETURN_IF_ERROR(RenamePath(partial, path));
  CrashPoint("bake.named");
  LUTDB_RETURN_IF_ERROR(db::AnnounceGeneration(state.path, next));
  CrashPoint("bake.announced");
  return state.Reopen();
}

absl::StatusOr<GcReport> History::Gc(bool dry_run) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  LUTDB_RETURN_IF_ERROR(state.CheckWritable());
  GcReport report;
  std::vector<db::Write> writes;
  Sweep sweep(&state);
  LUTDB_RETURN_IF_ERROR(sweep.Mark());
  LUTDB_RETURN_IF_ERROR(sweep.Collect(&report, &writes));
  for (const std::string& path : OldGenerations(state.path)) {
    if (!FileLock::IsUnshared(path)) {
      report.kept.push_back(path + ": a reader is using it");
      continue;
    }
    ++report.generations;
    report.bytes += OwnBytes(path);
    if (!dry_run) LUTDB_RETURN_IF_ERROR(RemovePath(path));
  }
  CrashPoint("gc.removed");
  if (dry_run || writes.empty()) return report;
  LUTDB_RETURN_IF_ERROR(state.rocks->Apply(writes));
  LUTDB_RETURN_IF_ERROR(state.rocks->Flush());
  LUTDB_RETURN_IF_ERROR(state.rocks->Compact(db::Family::kHistory));
  return report;
}

}  // namespace lutdb
