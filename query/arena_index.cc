#include "query/arena_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint32_t kMagic = 0x4154554c;  // "LUTA"
constexpr uint32_t kVersion = 1;

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  bool Read(T* value) {
    if (bytes_.size() < sizeof(T)) return false;
    *value = LoadLittle<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return true;
  }
  bool Read(Hash128* hash) { return Read(&hash->low) && Read(&hash->high); }
  size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

bool ReadTable(ByteReader* reader, ArenaIndexTable* table) {
  uint8_t residency = 0;
  uint64_t units = 0;
  if (!reader->Read(&residency) || !reader->Read(&table->rows) ||
      !reader->Read(&table->stride_bytes) || !reader->Read(&units)) {
    return false;
  }
  if (residency != 1 && residency != 2) return false;
  table->residency = static_cast<Residency>(residency);
  if (units > reader->left() / (2 * sizeof(uint64_t))) return false;
  table->units.resize(units);
  for (ArenaUnit& unit : table->units) {
    if (!reader->Read(&unit.unit) || !reader->Read(&unit.checksum)) return false;
  }
  return true;
}

}  // namespace

std::string SerializeArenaIndex(const ArenaIndex& index) {
  std::string bytes;
  AppendLittle(kMagic, &bytes);
  AppendLittle(kVersion, &bytes);
  for (const Hash128& hash : {index.content_hash, index.plan_hash}) {
    AppendLittle(hash.low, &bytes);
    AppendLittle(hash.high, &bytes);
  }
  AppendLittle(index.generation, &bytes);
  AppendLittle(static_cast<uint32_t>(index.tables.size()), &bytes);
  for (const ArenaIndexTable& table : index.tables) {
    AppendLittle(static_cast<uint8_t>(table.residency), &bytes);
    AppendLittle(table.rows, &bytes);
    AppendLittle(table.stride_bytes, &bytes);
    AppendLittle(static_cast<uint64_t>(table.units.size()), &bytes);
    for (const ArenaUnit& unit : table.units) {
      AppendLittle(unit.unit, &bytes);
      AppendLittle(unit.checksum, &bytes);
    }
  }
  AppendLittle(static_cast<uint64_t>(XXH3_64bits(bytes.data(), bytes.size())), &bytes);
  return bytes;
}

absl::StatusOr<ArenaIndex> ParseArenaIndex(std::string_view bytes) {
  const absl::Status damaged = DataLoss("the arena's index is damaged");
  if (bytes.size() < sizeof(uint64_t)) return damaged;
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (LoadLittle<uint64_t>(body.data() + body.size()) != XXH3_64bits(body.data(), body.size())) {
    return damaged;
  }
  ByteReader reader(body);
  ArenaIndex index;
  uint32_t magic = 0;
  uint32_t version = 0;
  uint32_t tables = 0;
  if (!reader.Read(&magic) || magic != kMagic || !reader.Read(&version) || version != kVersion ||
      !reader.Read(&index.content_hash) || !reader.Read(&index.plan_hash) ||
      !reader.Read(&index.generation) || !reader.Read(&tables)) {
    return damaged;
  }
  for (uint32_t i = 0; i < tables; ++i) {
    ArenaIndexTable table;
    if (!ReadTable(&reader, &table)) return damaged;
    index.tables.push_back(std::move(table));
  }
  if (reader.left() != 0) return damaged;
  return index;
}

}  // namespace lutdb
