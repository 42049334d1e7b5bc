// Names inside a store's directory. No absolute path is ever written into a store.
#pragma once

#include <string>

namespace lutdb::db {

// STORE/db        the RocksDB
// STORE/arena     cached rows, safe to delete
// STORE/lock      held (flock) by the one writer
// STORE.partial/  the same while it is being built, with
//   staging/      SST files not ingested yet
//   journal       what is finished
std::string RocksPath(const std::string& store);
std::string ArenaPath(const std::string& store);
std::string LockPath(const std::string& store);
std::string PartialPath(const std::string& store);
std::string StagingPath(const std::string& partial);
std::string JournalPath(const std::string& partial);

}  // namespace lutdb::db
