#include "db/manifest.h"

#include "base/status.h"
#include "db/keys.h"
#include "db/store_files.h"

namespace lutdb::db {
namespace {

absl::Status CheckPresent(const std::string& path) {
  if (IsDirectory(RocksPath(path))) return absl::OkStatus();
  if (PathExists(path)) return DataLoss("{} is not a lutdb store: it holds no database", path);
  if (PathExists(PartialPath(path))) {
    return FailedPrecondition(
        "{} is half-built, its build was interrupted: run the same `lutdb build` again to resume, "
        "or remove {} to start over",
        path, PartialPath(path));
  }
  return NotFound("no store at {}: build one with `lutdb build MODEL {}`", path, path);
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

absl::StatusOr<OpenedStore> OpenStore(const std::string& path, Access access,
                                      const OpenOptions& options) {
  LUTDB_RETURN_IF_ERROR(CheckPresent(path));
  OpenedStore store;
  store.path = path;
  if (access == Access::kWrite) {
    LUTDB_ASSIGN_OR_RETURN(store.lock, FileLock::Acquire(LockPath(path), options.wait_seconds));
  }
  LUTDB_ASSIGN_OR_RETURN(store.rocks, OpenRocks(RocksPath(path), access, options));
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
  return store;
}

}  // namespace lutdb::db
