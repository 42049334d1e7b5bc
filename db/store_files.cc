#include "db/store_files.h"

#include "base/file.h"

namespace lutdb::db {

std::string RocksPath(const std::string& store) { return JoinPath(store, "db"); }
std::string ArenaPath(const std::string& store) { return JoinPath(store, "arena"); }
std::string LockPath(const std::string& store) { return JoinPath(store, "lock"); }

std::string PartialPath(const std::string& store) {
  std::string base = store;
  while (base.size() > 1 && base.back() == '/') base.pop_back();
  return base + ".partial";
}

std::string StagingPath(const std::string& partial) { return JoinPath(partial, "staging"); }
std::string JournalPath(const std::string& partial) { return JoinPath(partial, "journal"); }

}  // namespace lutdb::db
