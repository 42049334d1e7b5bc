#include "db/store_files.h"

#include <charconv>

#include "base/file.h"

namespace lutdb::db {

std::string RocksPath(const std::string& store) {
  constexpr uint64_t kDigitsMax = 16;
  const auto text = ReadFile(GenerationFile(store), kDigitsMax);
  if (!text.ok()) return GenerationPath(store, 1);
  uint32_t generation = 1;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), generation);
  return GenerationPath(store, parsed.ec == std::errc() ? generation : 1);
}

std::string GenerationPath(const std::string& store, uint32_t generation) {
  return JoinPath(store, generation <= 1 ? "db" : "db." + std::to_string(generation));
}

std::string GenerationFile(const std::string& store) { return JoinPath(store, "generation"); }

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
