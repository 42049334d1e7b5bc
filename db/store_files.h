// Names inside a store's directory. No absolute path is ever written into a store.
#pragma once

#include <cstdint>
#include <string>

namespace lutdb::db {

// STORE/db        the RocksDB of the first base generation
// STORE/db.N      of generation N (query/bake.h), when STORE/generation holds the number N
// STORE/commits   raised with every commit (query/commit_feed.h)
// STORE/arena     cached rows, safe to delete
// STORE/lock      held (flock) by the one writer
// STORE.partial/  the same while it is being built, with
//   staging/      SST files not ingested yet
//   journal       what is finished
std::string RocksPath(const std::string& store);  // of the generation in use
std::string GenerationPath(const std::string& store, uint32_t generation);
std::string GenerationFile(const std::string& store);
std::string ArenaPath(const std::string& store);
std::string LockPath(const std::string& store);
std::string PartialPath(const std::string& store);
std::string StagingPath(const std::string& partial);
std::string JournalPath(const std::string& partial);

}  // namespace lutdb::db
