// lutdb backup: a store's database as a checkpoint of RocksDB, and what lies beside it.

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/crash_point.h"
#include "base/status.h"
#include "db/manifest.h"
#include "db/store_files.h"
#include "lutdb/build.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;

// Files that are shared with the store become files of their own.
absl::Status Unshare(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    struct stat status;
    const std::string path = entry.path();
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (status.st_nlink == 1) continue;
    LUTDB_RETURN_IF_ERROR(CopyFile(path, path + ".copy"));
    LUTDB_RETURN_IF_ERROR(RenamePath(path + ".copy", path));
  }
  if (error) return Unavailable("{} cannot be listed: {}", directory, error.message());
  return absl::OkStatus();
}

absl::Status Count(const std::string& directory, BackupReport* report) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    struct stat status;
    if (::stat(entry.path().c_str(), &status) != 0) continue;
    ++report->files;
    report->bytes += static_cast<uint64_t>(status.st_size);
    if (status.st_nlink > 1) report->linked_bytes += static_cast<uint64_t>(status.st_size);
  }
  if (error) return Unavailable("{} cannot be listed: {}", directory, error.message());
  return absl::OkStatus();
}

// The copy opens and, where it was written anew, every byte of it is what it should be.
absl::Status Check(const std::string& copy, bool every_byte, BackupReport* report) {
  LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore opened, db::OpenStore(copy, db::Access::kRead, {}));
  report->content_hash = opened.manifest.content_hash;
  if (!every_byte) return absl::OkStatus();
  for (const db::LiveFile& file : opened.rocks->LiveFiles()) {
    LUTDB_RETURN_IF_ERROR(opened.rocks->VerifyFile(file));
  }
  return absl::OkStatus();
}

absl::StatusOr<BackupReport> CopyInto(const std::string& store, const std::string& copy,
                                      const BackupOptions& options) {
  BackupReport report;
  db::OpenOptions open;
  open.wait_seconds = options.wait_seconds;
  LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore opened,
                         db::OpenStore(store, db::Access::kWrite, open));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t generation, db::ReadGeneration(store));
  const std::string database = db::GenerationPath(copy, generation);
  LUTDB_RETURN_IF_ERROR(RemovePath(copy));  // of a backup that was cut short
  LUTDB_RETURN_IF_ERROR(MakeDirectory(copy));
  LUTDB_RETURN_IF_ERROR(opened.rocks->CopyTo(database));
  if (options.copy) LUTDB_RETURN_IF_ERROR(Unshare(database));
  if (generation > 1) LUTDB_RETURN_IF_ERROR(db::AnnounceGeneration(copy, generation));
  LUTDB_RETURN_IF_ERROR(SyncDirectory(database));
  LUTDB_RETURN_IF_ERROR(SyncDirectory(copy));
  LUTDB_RETURN_IF_ERROR(Check(copy, options.copy, &report));
  LUTDB_RETURN_IF_ERROR(Count(database, &report));
  return report;
}

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
  auto report = CopyInto(store, copying, options);
  if (!report.ok()) {
    (void)RemovePath(copying);  // nobody uses it
    return report;
  }
  CrashPoint("backup.copied");
  LUTDB_RETURN_IF_ERROR(RenamePath(copying, path));
  return report;
}

}  // namespace lutdb
