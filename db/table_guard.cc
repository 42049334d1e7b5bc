#include "db/table_guard.h"

#include <xxhash.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/varint.h"

namespace lutdb::db {
namespace {

// A footer: u8 kind of checksum, two block handles in 40 bytes, u32 version, u64 magic number.
constexpr uint64_t kFooterBytes = 53;
constexpr char kXxh3Checksums = 4;
constexpr size_t kVersionAt = 41;
constexpr uint32_t kVersion = 5;
constexpr uint64_t kMagic = 0x88e241b785f4cff7;
// Behind each block: u8 compression, u32 checksum of all before it.
constexpr uint64_t kTrailerBytes = 5;
constexpr uint64_t kMetaBytesMax = 1 << 20;  // ours have some hundred bytes
constexpr char kPropertiesKey[] = "rocksdb.properties";

// Where a block lies. `bytes` leaves out what stands behind it.
struct Block {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t end() const { return offset + bytes + kTrailerBytes; }
};

std::optional<Block> ReadHandle(std::string_view from, uint64_t limit) {
  size_t at = 0;
  Block block;
  if (!ReadVarint(from, &at, &block.offset) || !ReadVarint(from, &at, &block.bytes)) return {};
  const bool inside = block.bytes <= kMetaBytesMax && block.bytes + kTrailerBytes <= limit &&
                      block.offset <= limit - block.bytes - kTrailerBytes;
  return inside ? std::optional(block) : std::nullopt;
}

// `bytes`: a block and what stands behind it.
bool MatchesChecksum(std::string_view bytes) {
  const size_t body = bytes.size() - kTrailerBytes;
  const auto hash = static_cast<uint32_t>(XXH3_64bits(bytes.data(), body));
  const uint32_t last = static_cast<uint8_t>(bytes[body]) * uint32_t{0x6b9083d9};
  return LoadLittle<uint32_t>(bytes.data() + body + 1) == (hash ^ last);
}

// The value of a key in a block: entries of u32 bytes shared with the key before, other bytes of
// the key, bytes of the value (all of variable length), then these; a list of places at the end.
std::optional<std::string_view> Find(std::string_view block, std::string_view wanted) {
  size_t at = 0;
  std::string key;
  uint32_t shared = 0, rest = 0, value = 0;
  while (ReadVarint(block, &at, &shared) && ReadVarint(block, &at, &rest) &&
         ReadVarint(block, &at, &value)) {
    if (shared > key.size() || uint64_t{rest} + value > block.size() - at) break;
    key.resize(shared);
    key += block.substr(at, rest);
    at += rest;
    if (key == wanted) return block.substr(at, value);
    at += value;
  }
  return {};
}

rocksdb::IOStatus Damaged(const std::string& path, const char* what) {
  return rocksdb::IOStatus::Corruption(what, "in " + path);
}

class GuardedTable : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  GuardedTable(const std::string& path, std::unique_ptr<rocksdb::FSRandomAccessFile>&& file,
               const Block& properties)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), path_(path), properties_(properties) {}

  rocksdb::IOStatus Read(uint64_t offset, size_t bytes, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) const override {
    rocksdb::IOStatus status = target()->Read(offset, bytes, options, result, scratch, debug);
    if (!status.ok() || offset > properties_.offset) return status;
    if (offset + result->size() < properties_.end()) return status;
    const std::string_view read = result->ToStringView();
    const std::string_view block =
        read.substr(properties_.offset - offset, properties_.end() - properties_.offset);
    return MatchesChecksum(block) ? status
                                  : Damaged(path_, "properties differ from their checksum");
  }

 private:
  const std::string path_;
  const Block properties_;
};

// Exactly these bytes, or fewer where the file ends before.
rocksdb::IOStatus ReadPart(const rocksdb::FSRandomAccessFile& file, uint64_t offset, uint64_t bytes,
                           std::string* part) {
  part->resize(bytes);
  rocksdb::Slice result;
  const rocksdb::IOStatus status = file.Read(offset, bytes, {}, &result, part->data(), nullptr);
  if (status.ok()) *part = result.ToString();
  return status;
}

}  // namespace

rocksdb::IOStatus GuardTable(const std::string& path, uint64_t bytes,
                             std::unique_ptr<rocksdb::FSRandomAccessFile>* file) {
  if (bytes < kFooterBytes) return rocksdb::IOStatus::OK();
  std::string footer;
  rocksdb::IOStatus status = ReadPart(**file, bytes - kFooterBytes, kFooterBytes, &footer);
  if (!status.ok()) return status;
  const bool ours = footer.size() == kFooterBytes && footer[0] == kXxh3Checksums &&
                    LoadLittle<uint32_t>(footer.data() + kVersionAt) == kVersion &&
                    LoadLittle<uint64_t>(footer.data() + kVersionAt + 4) == kMagic;
  if (!ours) return status;
  const auto index = ReadHandle(std::string_view(footer).substr(1, kVersionAt - 1), bytes);
  if (!index) return Damaged(path, "the list of blocks lies outside");
  std::string list;
  status = ReadPart(**file, index->offset, index->bytes + kTrailerBytes, &list);
  if (!status.ok()) return status;
  if (list.size() < index->bytes + kTrailerBytes || !MatchesChecksum(list)) {
    return Damaged(path, "the list of blocks differs from its checksum");
  }
  const auto place = Find(std::string_view(list).substr(0, index->bytes), kPropertiesKey);
  const auto properties = place ? ReadHandle(*place, bytes) : std::nullopt;
  if (!properties) return status;  // RocksDB looks for them with the same bytes
  *file = std::make_unique<GuardedTable>(path, std::move(*file), *properties);
  return status;
}

}  // namespace lutdb::db
