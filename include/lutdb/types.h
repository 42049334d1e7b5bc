// The words of lutdb as types: entry types, grids, layouts, codecs. Values are persisted in stores:
// never renumber, only append.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lutdb {

// Version of the directory, keys and records on disk. A store of a newer version is refused.
inline constexpr uint32_t kFormatVersion = 1;

// The stored partial sum of one chunk, for one code, for one neuron.
enum class EntryType : uint8_t { kI8 = 1, kI16 = 2 };
inline constexpr int EntryBytes(EntryType type) { return type == EntryType::kI8 ? 1 : 2; }
// Entries, edited ones too, stay within +-EntryLimit.
inline constexpr int32_t EntryLimit(EntryType type) { return type == EntryType::kI8 ? 127 : 32767; }

// Levels of a b-bit input. Signed: -(2^(b-1)-1) .. 2^(b-1)-1, for b = 1 the pair -1, +1.
// Unsigned: 0 .. 2^b-1. Learned: a list of integers that the table keeps (docs/format.md).
enum class Grid : uint8_t { kSigned = 1, kUnsigned = 2, kLearned = 3 };

// How the entries of a table are cut into records.
enum class Layout : uint8_t { kTile = 1, kRow = 2 };

// How the entries of one record are written. kSmallest is a build choice, never found in a record.
enum class Codec : uint8_t { kSmallest = 0, kProduct = 1, kDelta = 2, kRaw = 3 };

// Neurons of a tile record, and of a cell of the content hash.
inline constexpr uint32_t kBlockNeurons = 64;

const char* Name(EntryType type);
const char* Name(Grid grid);
const char* Name(Layout layout);
const char* Name(Codec codec);

// 128-bit hashes; content hashes add modulo 2^128.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;

  Hash128& operator+=(const Hash128& other);
  Hash128& operator-=(const Hash128& other);
  bool operator==(const Hash128&) const = default;
  std::string Hex() const;  // 32 digits, high half first
};

}  // namespace lutdb
