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
    if (!staged_.empty()) (void)RemovePath(staged_);
  }

  // Whether there is anything of it under its name.
  bool began() const { return began_; }

  absl::StatusOr<BackupReport> Make() {
    LUTDB_RETURN_IF_ERROR(Write());
    const std::string database = db::RocksPath(copy_);
    BackupReport report;
    {
      LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore copy,
                             db::OpenStore(copy_, db::Access::kRead, {}));
      report.content_hash = copy.manifest.content_hash;
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
    LUTDB_ASSIGN_OR_RETURN(const uint32_t generation, db::ReadGeneration(store_));
    if (PathExists(copy_) && !FileLock::IsUnshared(copy_)) {
      return FailedPrecondition(
          "another backup is writing {}: let it finish, or choose another name", copy_);
    }
    const std::string current = JoinPath(db::GenerationPath(store_, generation), "CURRENT");
    const bool links = !options_.copy && CanLink(current, DirectoryOf(copy_));
    if (links || !CanLink(current, store_)) {
      LUTDB_RETURN_IF_ERROR(RemovePath(copy_));  // of a backup that was cut short
      began_ = true;
      return Checkpoint(opened, generation, copy_);
    }
    LUTDB_ASSIGN_OR_RETURN(staged_, StagingPlace(store_));
    LUTDB_RETURN_IF_ERROR(Checkpoint(opened, generation, staged_));
    LUTDB_RETURN_IF_ERROR(MakeDirectory(copy_));
    began_ = true;
    // Said before another backup, or gc, can become the store's writer.
    const auto staged_in_use = FileLock::ShareDirectory(staged_);
    const auto copy_in_use = FileLock::ShareDirectory(copy_);
    CrashPoint("backup.staged");
    opened = {};  // writers go on
    return CopyStaged(generation);
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
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(copy_, error)) {
      if (entry.path() != database) LUTDB_RETURN_IF_ERROR(RemovePath(entry.path()));
    }
    if (error) return Unavailable("{} cannot be listed: {}", copy_, error.message());
    return absl::OkStatus();
  }

  static absl::Status Count(const std::string& database, BackupReport* report) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(database, error)) {
      struct stat status;
      if (::stat(entry.path().c_str(), &status) != 0) continue;
      ++report->files;
      report->bytes += static_cast<uint64_t>(status.st_size);
      if (status.st_nlink > 1) report->linked_bytes += static_cast<uint64_t>(status.st_size);
    }
    if (error) return Unavailable("{} cannot be listed: {}", database, error.message());
    return absl::OkStatus();
  }

  const std::string store_;
  const std::string copy_;  // under the name that it has until it is whole
  const BackupOptions& options_;
  ProgressMeter meter_;
  std::string staged_;  // in the store; empty: the copy is the checkpoint
  bool began_ = false;
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
  if (report.status().code() == absl::StatusCode::kCancelled) {
    return Error(absl::StatusCode::kCancelled,
                 "interrupted: what was copied is kept in {}; the same command goes on from there",
                 copying);
  }
  if (!report.ok()) {
    if (backup.began()) (void)RemovePath(copying);  // nobody uses it
    return report;
  }
  CrashPoint("backup.copied");
  LUTDB_RETURN_IF_ERROR(RenamePath(copying, path));
  return report;
}

}  // namespace lutdb
