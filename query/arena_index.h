// What an arena held when it was closed: the file `index` beside the rows. It exists only while no
// process has the arena open, so a crash leaves none and the next process starts empty. What it
// says is believed only so far: each unit's checksum is compared with the rows before their first
// use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lutdb/types.h"

namespace lutdb {

enum class Residency : uint8_t {
  kWhole = 1,  // units are chunk groups
  kRows = 2,   // units are rows
};

struct ArenaUnit {
  uint64_t unit = 0;      // number of the row or chunk group
  uint64_t checksum = 0;  // XXH3-64 of its bytes in the file
  bool operator==(const ArenaUnit&) const = default;
};

struct ArenaIndexTable {
  Residency residency = Residency::kRows;
  uint64_t rows = 0;
  uint64_t stride_bytes = 0;
  std::vector<ArenaUnit> units;
  bool operator==(const ArenaIndexTable&) const = default;
};

struct ArenaIndex {
  Hash128 content_hash;  // what the rows were made from
  Hash128 plan_hash;
  uint32_t generation = 0;
  std::vector<ArenaIndexTable> tables;  // one per table of the store
  bool operator==(const ArenaIndex&) const = default;
};

// Little-endian, with an XXH3-64 of everything before it at the end.
std::string SerializeArenaIndex(const ArenaIndex& index);
// DataLoss unless every byte is as written.
absl::StatusOr<ArenaIndex> ParseArenaIndex(std::string_view bytes);

}  // namespace lutdb
