// Opening a store: its directory, its database and its manifest, with the errors people meet.
// Shared by query (reading), and ingest (building, verifying, repairing).
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "db/rocks.h"
#include "schemas/manifest.h"

namespace lutdb::db {

struct OpenedStore {
  std::string path;
  std::unique_ptr<FileLock> lock;  // writers only; released after rocks is closed (member order)
  std::unique_ptr<FileLock> use;   // of the generation's directory, so that nobody removes it
  std::unique_ptr<Rocks> rocks;
  Manifest manifest;
};

enum class Access { kRead, kWrite };

// NotFound when there is no store; when STORE.partial lies there the message says the build was
// interrupted and how to resume it. DataLoss when the manifest is damaged, Unimplemented when it is
// of a newer format version, FailedPrecondition when a writer holds the lock beyond the wait. A
// store whose manifest can be read opens although SST files are damaged or missing: reading what is
// in them is DataLoss. held: the writer's lock, if the caller has it already; taken from it when
// the store opens.
absl::StatusOr<OpenedStore> OpenStore(const std::string& path, Access access,
                                      const OpenOptions& options,
                                      std::unique_ptr<FileLock>* held = nullptr);

// The history of a store alone, as of now; for readers that follow a branch. Errors of OpenStore.
absl::StatusOr<std::unique_ptr<Rocks>> OpenHistory(const std::string& path,
                                                   const OpenOptions& options);

}  // namespace lutdb::db
