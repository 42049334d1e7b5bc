// Names inside a store's directory. No absolute path is ever written into a store.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb::db {

// STORE/db        the RocksDB of the first base generation
// STORE/db.N      of generation N (query/bake.h), when STORE/generation holds the number N
//   db/writes     how many writes were acknowledged (db/write_mark.h)
// STORE/db.backup-N/  a checkpoint that `backup` copies files from: a store of its own
// STORE/commits   raised with every commit (query/commit_feed.h)
// STORE/arena     cached rows, safe to delete
// STORE/lock      held (flock) by the one writer
// STORE.partial/  the same while it is being built, with
//   staging/      SST files not ingested yet
//   journal       what is finished
// Of the generation in use; a path that does not exist when the generation file is damaged.
std::string RocksPath(const std::string& store);
// 1 where there never was a bake; DataLoss when the generation file does not name a generation, or
// is gone.
absl::StatusOr<uint32_t> ReadGeneration(const std::string& store);
// Numbers of the generations that lie in a store, whole or not; ascending.
std::vector<uint32_t> ListGenerations(const std::string& store);
// Makes a generation the one in use, for all who open the store from now on. Durable on return.
absl::Status AnnounceGeneration(const std::string& store, uint32_t generation);
std::string GenerationPath(const std::string& store, uint32_t generation);
std::string GenerationFile(const std::string& store);
std::string StagedBackupPath(const std::string& store, int number);
std::string ArenaPath(const std::string& store);
std::string LockPath(const std::string& store);
std::string PartialPath(const std::string& store);
std::string StagingPath(const std::string& partial);
std::string JournalPath(const std::string& partial);

}  // namespace lutdb::db
