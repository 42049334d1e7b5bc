// lutdb backup: a store's database as a checkpoint of RocksDB, and what lies beside it.
//
// Where links will do, the checkpoint is made right at the copy. Else it is made in the store, in a
// moment, and its files are copied from there while writers go on with the store.

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/status.h"
#include "db/manifest.h"
#include "db/store_files.h"
#include "ingest/copy_database.h"
#include "ingest/parallel.h"
#include "lutdb/build.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;

// A directory to be made inside a store: one that is not in use.
absl::StatusOr<std::string> StagingPlace(const std::string& store) {
  for (int number = 1;; ++number) {
    std::string path = db::StagedBackupPath(store, number);
    if (PathExists(path) && !FileLock::IsUnshared(path)) continue;  // another backup's
    LUTDB_RETURN_IF_ERROR(RemovePath(path));                        // of one that was killed
    return path;
  }
}

// A checkpoint of a store that is opened for writing, in a directory that is made for it: a store
// of its own.
absl::Status Checkpoint(const db::OpenedStore& store, uint32_t generation,
                        const std::string& path) {
  LUTDB_RETURN_IF_ERROR(MakeDirectory(path));
  LUTDB_RETURN_IF_ERROR(store.rocks->CopyTo(db::GenerationPath(path, generation)));
  return generation > 1 ? db::AnnounceGeneration(path, generation) : absl::OkStatus();
}

class Backup {
 public:
  Backup(std::string store, std::string copy, const BackupOptions& options)
      : store_(std::move(store)),
        copy_(std::move(copy)),
        options_(options),
        meter_(options.progress) {}
  ~Backup() {
    if (!staged_.empty()) (void)RemovePath(staged_);  // while it is in use: by nobody else
  }

  // Removes what there is of a copy that failed, unless an earlier one began it, on which a later
  // one can go on.
  void Discard(const absl::Status& status) const {
    if (began_ && (!went_on_ || absl::IsDataLoss(status))) (void)RemovePath(copy_);
  }

  absl::StatusOr<BackupReport> Make() {
    LUTDB_RETURN_IF_ERROR(Write());
    const std::string database = db::RocksPath(copy_);
    BackupReport report;
    {
      LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore copy,
                             db::OpenStore(copy_, db::Access::kRead, {}));
      report.content_hash = copy.manifest.content_hash;
      if (unchecked_) LUTDB_RETURN_IF_ERROR(CheckTables(*copy.rocks));
      copy.rocks->KeepCopies();
    }
    LUTDB_RETURN_IF_ERROR(SyncDirectory(database));
    LUTDB_RETURN_IF_ERROR(SyncDirectory(copy_));
    LUTDB_RETURN_IF_ERROR(Count(database, &report));
    return report;
  }

 private:
  absl::Status Write() {
    db::OpenOptions open;
    open.wait_seconds = options_.wait_seconds;
    LUTDB_ASSIGN_OR_RETURN(db::OpenedStore opened, db::OpenStore(store_, db::Access::kWrite, open));
    if (IsCancelled(options_.cancel)) return CancelledStatus();
    LUTDB_ASSIGN_OR_RETURN(const uint32_t generation, db::ReadGeneration(store_));
    if (FileLock::IsShared(copy_)) {
      return FailedPrecondition(
          "another backup is writing {}: let it finish, or choose another name", copy_);
    }
    const std::string current = JoinPath(db::GenerationPath(store_, generation), "CURRENT");
    const bool links = !options_.copy && CanLink(current, DirectoryOf(copy_));
    if (links || !CanLink(current, store_)) {
      LUTDB_RETURN_IF_ERROR(RemovePath(copy_));  // of a backup that was cut short
      began_ = true;
      unchecked_ = !links;  // RocksDB copies, and writers wait
      LUTDB_RETURN_IF_ERROR(Checkpoint(opened, generation, copy_));
      copy_in_use_ = FileLock::ShareDirectory(copy_);
      return absl::OkStatus();
    }
    LUTDB_ASSIGN_OR_RETURN(staged_, StagingPlace(store_));
    LUTDB_RETURN_IF_ERROR(Checkpoint(opened, generation, staged_));
    went_on_ = PathExists(copy_);
    LUTDB_RETURN_IF_ERROR(MakeDirectory(copy_));
    began_ = true;
    // Said before another backup, or gc, can become the store's writer.
    staged_in_use_ = FileLock::ShareDirectory(staged_);
    copy_in_use_ = FileLock::ShareDirectory(copy_);
    CrashPoint("backup.staged");
    // Writers go on, once the database is closed: assignment would give the lock back first.
    { const db::OpenedStore closed = std::move(opened); }
    return CopyStaged(generation);
  }

  static absl::Status CheckTables(const db::Rocks& rocks) {
    for (const db::LiveFile& file : rocks.LiveFiles()) {
      LUTDB_RETURN_IF_ERROR(db::VerifyTableFile(file));
    }
    return absl::OkStatus();
  }

  absl::Status CopyStaged(uint32_t generation) {
    const std::string database = db::GenerationPath(copy_, generation);
    LUTDB_RETURN_IF_ERROR(RemoveAllBut(database));  // of a backup of another generation
    LUTDB_RETURN_IF_ERROR(MakeDirectory(database));
    LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore source,
                           db::OpenStore(staged_, db::Access::kRead, {}));
    LUTDB_RETURN_IF_ERROR(CopyDatabase({.from = db::GenerationPath(staged_, generation),
                                        .to = database,
                                        .tables = source.rocks->LiveFiles(),
                                        .meter = &meter_,
                                        .cancel = options_.cancel}));
    return generation > 1 ? db::AnnounceGeneration(copy_, generation) : absl::OkStatus();
  }

  absl::Status RemoveAllBut(const std::string& database) const {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(copy_));
    for (const std::string& name : names) {
      const std::string path = JoinPath(copy_, name);
      if (path != database) LUTDB_RETURN_IF_ERROR(RemovePath(path));
    }
    return absl::OkStatus();
  }

  static absl::Status Count(const std::string& database, BackupReport* report) {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(database));
    for (const std::string& name : names) {
      struct stat status;
      if (::stat(JoinPath(database, name).c_str(), &status) != 0) continue;
      ++report->files;
      report->bytes += static_cast<uint64_t>(status.st_size);
      if (status.st_nlink > 1) report->linked_bytes += static_cast<uint64_t>(status.st_size);
    }
    return absl::OkStatus();
  }

  const std::string store_;
  const std::string copy_;  // under the name that it has until it is whole
  const BackupOptions& options_;
  ProgressMeter meter_;
  std::string staged_;  // in the store; empty: the copy is the checkpoint
  bool began_ = false;
  bool went_on_ = false;    // from what an earlier one has copied
  bool unchecked_ = false;  // table files were not read since they were written
  std::unique_ptr<FileLock> staged_in_use_, copy_in_use_;
};

// Whether a path that does not exist yet lies in the directory, links followed.
bool LiesIn(const std::string& path, const std::string& directory) {
  std::error_code error;
  const fs::path outer = fs::canonical(directory, error);
  if (error) return false;  // no store: opening it says so
  const fs::path inner = fs::weakly_canonical(fs::absolute(path, error), error);
  return !error &&
         std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

absl::StatusOr<BackupReport> BackupStore(const std::string& store, const std::string& to,
                                         const BackupOptions& options) {
  if (to.empty()) return InvalidArgument("the copy needs a name");
  const std::string path = WithoutSlashes(to);
  if (PathExists(path)) {
    return FailedPrecondition("{} exists; choose another name, or remove it first", path);
  }
  if (LiesIn(path, store)) {
    return InvalidArgument("{} lies in the store that is copied; choose a place outside", path);
  }
  const std::string copying = path + ".copying";
  Backup backup(store, copying, options);
  auto report = backup.Make();
  if (absl::IsCancelled(report.status()) && PathExists(copying)) {
    return Error(absl::StatusCode::kCancelled,
                 "interrupted: what was copied is kept in {}; the same command goes on from there",
                 copying);
  }
  if (!report.ok()) {
    backup.Discard(report.status());
    return report;
  }
  CrashPoint("backup.copied");
  LUTDB_RETURN_IF_ERROR(RenamePath(copying, path));
  return report;
}

}  // namespace lutdb
