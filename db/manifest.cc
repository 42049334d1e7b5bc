#include "db/manifest.h"

#include <chrono>
#include <thread>

#include "base/status.h"
#include "db/keys.h"
#include "db/store_files.h"

namespace lutdb::db {
namespace {

absl::Status CheckPresent(const std::string& path) {
  if (IsDirectory(RocksPath(path))) return absl::OkStatus();
  LUTDB_RETURN_IF_ERROR(ReadGeneration(path).status());
  if (PathExists(path)) return DataLoss("{} is not a lutdb store: it holds no database", path);
  if (PathExists(PartialPath(path))) {
    return FailedPrecondition(
        "{} is half-built, its build was interrupted: run the same `lutdb build` again to resume, "
        "or remove {} to start over",
        path, PartialPath(path));
  }
  return NotFound("no store at {}: build one with `lutdb build MODEL {}`", path, path);
}

// Opening for reading meets files that a writer, in this moment, replaces by newer ones: what fails
// while there is a writer is tried again.
template <typename Open>
absl::StatusOr<std::unique_ptr<Rocks>> OpenBesideWriter(const std::string& path, const Open& open) {
  constexpr int kAttempts = 20;
  constexpr auto kPause = std::chrono::milliseconds(10);
  auto rocks = open();
  for (int attempt = 1; attempt < kAttempts && !rocks.ok(); ++attempt) {
    const bool writer = PathExists(LockPath(path)) && !FileLock::Acquire(LockPath(path), 0).ok();
    if (!writer && attempt > 1) break;  // once more: it may have just closed
    std::this_thread::sleep_for(kPause);
    rocks = open();
  }
  return rocks;
}

// The database in use, and a share of it. gc leaves a shared one alone, and also one that was still
// in use after it was shared.
std::string ShareRocksPath(const std::string& path, std::unique_ptr<FileLock>* use) {
  std::string database;
  do {
    database = RocksPath(path);
    *use = FileLock::ShareDirectory(database);
  } while (RocksPath(path) != database);
  return database;
}

// Damage to one SST file concerns the records in it: when it keeps the database from opening, it is
// opened all the same, and reading what is damaged says so.
absl::StatusOr<std::unique_ptr<Rocks>> OpenRocks(const std::string& path, Access access,
                                                 OpenOptions options) {
  const auto open = access == Access::kWrite ? Rocks::OpenForWriting : Rocks::OpenForReading;
  auto rocks = open(path, options);
  if (rocks.status().code() != absl::StatusCode::kDataLoss || options.tolerate_damage) return rocks;
  options.tolerate_damage = true;
  auto tolerant = open(path, options);
  return tolerant.ok() ? std::move(tolerant) : std::move(rocks);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Rocks>> OpenHistory(const std::string& path,
                                                   const OpenOptions& options) {
  OpenOptions history = options;
  history.history_only = true;
  return OpenBesideWriter(path, [&] { return Rocks::OpenForReading(RocksPath(path), history); });
}

absl::StatusOr<OpenedStore> OpenStore(const std::string& path, Access access,
                                      const OpenOptions& options, std::unique_ptr<FileLock>* held) {
  LUTDB_RETURN_IF_ERROR(CheckPresent(path));
  OpenedStore store;
  store.path = path;
  const bool locked = held != nullptr && *held != nullptr;
  if (access == Access::kWrite && !locked) {
    LUTDB_ASSIGN_OR_RETURN(store.lock, FileLock::Acquire(LockPath(path), options.wait_seconds));
  }
  const auto open = [&] {
    const std::string database = ShareRocksPath(path, &store.use);
    return OpenRocks(database, access, options);
  };
  if (access == Access::kWrite) {
    LUTDB_ASSIGN_OR_RETURN(store.rocks, open());
  } else {
    LUTDB_ASSIGN_OR_RETURN(store.rocks, OpenBesideWriter(path, open));
  }
  auto bytes = store.rocks->Get(Family::kDefault, kManifestKey);
  if (bytes.status().code() == absl::StatusCode::kNotFound) {
    return DataLoss("{} holds no manifest: it is not a finished lutdb store", path);
  }
  if (!bytes.ok()) return bytes.status();
  auto manifest = ParseManifest(*bytes);
  if (!manifest.ok()) {
    return Error(manifest.status().code(), "{}: {}", path, Message(manifest.status()));
  }
  store.manifest = *std::move(manifest);
  if (locked) store.lock = std::move(*held);
  return store;
}

}  // namespace lutdb::db
