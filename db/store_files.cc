#include "db/store_files.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/status.h"

namespace lutdb::db {

namespace {

// The number, and a checksum that keeps a spoilt digit from naming an older generation.
std::string GenerationText(uint32_t generation) {
  const std::string digits = std::to_string(generation);
  return fmt::format("{} {:016x}\n", digits, XXH3_64bits(digits.data(), digits.size()));
}

}  // namespace

absl::StatusOr<uint32_t> ReadGeneration(const std::string& store) {
  constexpr uint64_t kBytesMax = 64;
  const std::string path = GenerationFile(store);
  auto text = ReadFile(path, kBytesMax);
  if (absl::IsNotFound(text.status())) {
    const std::vector<uint32_t> there = ListGenerations(store);
    if (there.empty() || there.back() == 1) return 1;
    text = ReadFile(path, kBytesMax);  // written meanwhile, before there was a second generation
  }
  const bool absent = absl::IsNotFound(text.status());
  if (!text.ok() && !absent) return text.status();
  if (!absent) {
    uint32_t generation = 0;
    (void)std::from_chars(text->data(), text->data() + text->size(), generation);
    if (generation >= 1 && *text == GenerationText(generation)) return generation;
    // Stores of the first version of this file have the number alone.
    if (generation >= 2 && *text == fmt::format("{}\n", generation)) return generation;
  }
  return DataLoss(
      "{} is {}, so that it is not known which database holds the store: "
      "`lutdb repair` mends",
      path, absent ? "missing" : "damaged");
}

std::vector<uint32_t> ListGenerations(const std::string& store) {
  std::vector<uint32_t> numbers;
  const auto names = ListDirectory(store);
  if (!names.ok()) return numbers;  // opening what lies there says why
  for (const std::string& name : *names) {
    uint32_t number = 0;
    if (name == "db") {
      numbers.push_back(1);
    } else if (name.rfind("db.", 0) == 0) {
      const auto parsed = std::from_chars(name.data() + 3, name.data() + name.size(), number);
      const bool whole = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
      if (whole) numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::Status AnnounceGeneration(const std::string& store, uint32_t generation) {
  return WriteFileAtomically(GenerationFile(store), GenerationText(generation));
}

std::string RocksPath(const std::string& store) {
  const auto generation = ReadGeneration(store);
  return generation.ok() ? GenerationPath(store, *generation) : JoinPath(store, "db.unknown");
}

std::string GenerationPath(const std::string& store, uint32_t generation) {
  return JoinPath(store, generation <= 1 ? "db" : "db." + std::to_string(generation));
}

std::string GenerationFile(const std::string& store) { return JoinPath(store, "generation"); }

// Named like a database, so that gc finds those that nobody uses.
std::string StagedBackupPath(const std::string& store, int number) {
  return JoinPath(store, "db.backup-" + std::to_string(number));
}

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
