#include "query/row_reader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "coding/record.h"
#include "db/keys.h"
#include "query/row_checksum.h"
#include "query/tile_codes.h"

namespace lutdb {
namespace {

// A decoder per thread keeps its buffers from tile to tile; it holds nothing of any store.
TileDecoder& ThreadDecoder() {
  static thread_local TileDecoder decoder;
  return decoder;
}

// Scans pay for a large read-ahead only when they go through many records.
constexpr uint64_t kLongScan = 256;
constexpr uint64_t kReadAheadBytes = 1 << 20;

// Calls body(group_index, tile, record) for positions [begin, end) of the wanted groups' tiles,
// where position p is neuron block p % blocks of groups[p / blocks]: the order of the keys, so that
// runs of groups are one sequential scan.
template <typename Body>
absl::Status WalkTiles(const StoreReader& store, uint32_t table, absl::Span<const uint32_t> groups,
                       uint64_t begin, uint64_t end, const Body& body) {
  const uint64_t blocks = store.geometry(table).neuron_blocks();
  const auto key_of = [&](uint64_t p) {
    return db::TileKey(table, groups[p / blocks], static_cast<uint16_t>(p % blocks));
  };
  db::Cursor cursor = store.rocks().Scan(db::Family::kTile, key_of(begin), db::TableEnd(table),
                                         end - begin >= kLongScan ? kReadAheadBytes : 0);
  for (uint64_t p = begin; p < end; ++p) {
    const std::string key = key_of(p);
    if (p != begin) {
      const bool jump = p % blocks == 0 && groups[p / blocks] != groups[p / blocks - 1] + 1;
      if (jump) {
        cursor.Seek(key);
      } else {
        cursor.Next();
      }
    }
    const TileId tile = {.table = table,
                         .group = groups[p / blocks],
                         .neuron_block = static_cast<uint32_t>(p % blocks)};
    if (!cursor.Valid() || cursor.key() != key) {
      LUTDB_RETURN_IF_ERROR(cursor.status());
      return DataLoss(
          "{}: table {}: the record of chunk group {}, neuron block {} is missing; "
          "`lutdb repair` makes it anew",
          store.path(), store.spec(table).name, tile.group, tile.neuron_block);
    }
    LUTDB_RETURN_IF_ERROR(body(p / blocks, tile, cursor.value()));
  }
  return absl::OkStatus();
}

// Copies blocks that lie one after the other to places stride_bytes apart, `room` bytes of each. A
// size that is known when compiled makes the copy a few moves instead of a call.
template <size_t kRoom>
void PlaceBlocksOf(const uint8_t* from, const uint8_t* end, uint8_t* to, uint64_t stride_bytes) {
  for (; from < end; from += kRoom, to += stride_bytes) std::memcpy(to, from, kRoom);
}
void PlaceBlocks(const uint8_t* from, const uint8_t* end, uint64_t block_bytes, uint64_t room,
                 uint8_t* to, uint64_t stride_bytes) {
  if (room == block_bytes && room == 64) return PlaceBlocksOf<64>(from, end, to, stride_bytes);
  if (room == block_bytes && room == 128) return PlaceBlocksOf<128>(from, end, to, stride_bytes);
  for (; from < end; from += block_bytes, to += stride_bytes) std::memcpy(to, from, room);
}

}  // namespace

absl::Status RowReader::ReadRows(uint32_t table, const RowPlaces& places,
                                 absl::Span<const RowRequest> rows) const {
  if (rows.empty()) return absl::OkStatus();
  return store_.spec(table).layout == Layout::kTile ? ReadTileRows(table, places, rows)
                                                    : ReadRowRecords(table, places, rows);
}

absl::Status RowReader::ReadTileRows(uint32_t table, const RowPlaces& places,
                                     absl::Span<const RowRequest> rows) const {
  const TableGeometry& geometry = store_.geometry(table);
  const uint64_t blocks = geometry.neuron_blocks();
  const uint64_t block_bytes = uint64_t{kBlockNeurons} * EntryBytes(geometry.entry());
  std::vector<uint32_t> groups;        // wanted ones, ascending
  std::vector<size_t> first_of_group;  // into rows; one more at the end
  for (size_t i = 0; i < rows.size(); ++i) {
    const uint32_t group = rows[i].chunk / geometry.tile_chunks();
    if (!groups.empty() && groups.back() == group) continue;
    LUTDB_CHECK(groups.empty() || group > groups.back());
    groups.push_back(group);
    first_of_group.push_back(i);
  }
  first_of_group.push_back(rows.size());

  const auto make = [&](size_t group_index, const TileId& tile, std::string_view record) {
    TileDecoder& decoder = ThreadDecoder();
    LUTDB_RETURN_IF_ERROR(decoder.Open(geometry, tile, record));
    const uint64_t offset = tile.neuron_block * block_bytes;
    const uint64_t room = std::min(block_bytes, places.stride_bytes() - offset);
    for (size_t i = first_of_group[group_index]; i < first_of_group[group_index + 1]; ++i) {
      const RowRequest& row = rows[i];
      if (room == block_bytes) {
        TileCodes(geometry, decoder, row.chunk, row.code, row.code + 1, row.out + offset,
                  block_bytes);
      } else {
        alignas(64) uint8_t last[kBlockNeurons * sizeof(int16_t)];
        TileCodes(geometry, decoder, row.chunk, row.code, row.code + 1, last, block_bytes);
        std::memcpy(row.out + offset, last, room);
      }
    }
    return absl::OkStatus();
  };
  return workers_.Split(groups.size() * blocks, 64, [&](uint64_t begin, uint64_t end) {
    return WalkTiles(store_, table, groups, begin, end, make);
  });
}

absl::Status RowReader::ReadRowRecords(uint32_t table, const RowPlaces& places,
                                       absl::Span<const RowRequest> rows) const {
  const TableGeometry& geometry = store_.geometry(table);
  const uint64_t blocks = geometry.row_blocks();
  const uint64_t entry_bytes = EntryBytes(geometry.entry());
  const uint64_t record_bytes = geometry.row_neurons() * entry_bytes;
  const uint64_t row_bytes = geometry.neurons() * entry_bytes;
  constexpr uint64_t kBatch = 1024;  // about 4 MiB of records

  const auto read = [&](uint64_t begin, uint64_t end) -> absl::Status {
    db::Values values;
    std::vector<std::string> keys;
    for (uint64_t at = begin; at < end; at += kBatch) {
      const uint64_t stop = std::min(end, at + kBatch);
      keys.clear();
      for (uint64_t p = at; p < stop; ++p) {
        const RowRequest& row = rows[p / blocks];
        keys.push_back(db::RowKey(table, row.chunk, static_cast<uint16_t>(row.code),
                                  static_cast<uint16_t>(p % blocks)));
      }
      LUTDB_RETURN_IF_ERROR(store_.rocks().MultiGet(db::Family::kRow, keys, &values));
      for (uint64_t p = at; p < stop; ++p) {
        const RowRequest& row = rows[p / blocks];
        const RowId id = {.table = table,
                          .chunk = row.chunk,
                          .code = row.code,
                          .neuron_block = static_cast<uint32_t>(p % blocks)};
        if (!values.found(p - at)) {
          return DataLoss(
              "{}: table {}: the record of chunk {}, code {}, neuron block {} is missing; "
              "`lutdb repair` makes it anew",
              store_.path(), store_.spec(table).name, id.chunk, id.code, id.neuron_block);
        }
        LUTDB_ASSIGN_OR_RETURN(const std::string_view entries,
                               OpenRow(geometry, id, values[p - at], false));
        const uint64_t offset = id.neuron_block * record_bytes;
        const uint64_t expected = std::min(record_bytes, row_bytes - offset);
        LUTDB_CHECK(entries.size() == expected);
        std::memcpy(row.out + offset, entries.data(), expected);
        if (offset + expected == row_bytes) {
          std::memset(row.out + row_bytes, 0, places.stride_bytes() - row_bytes);
        }
      }
    }
    return absl::OkStatus();
  };
  return workers_.Split(rows.size() * blocks, 64, read);
}

absl::Status RowReader::ForEachTile(
    uint32_t table,
    const std::function<absl::Status(const TileId&, const TileDecoder&)>& take) const {
  const TableGeometry& geometry = store_.geometry(table);
  std::vector<uint32_t> groups(geometry.chunk_groups());
  std::iota(groups.begin(), groups.end(), 0u);
  const auto open = [&](size_t, const TileId& tile, std::string_view record) {
    TileDecoder& decoder = ThreadDecoder();
    LUTDB_RETURN_IF_ERROR(decoder.Open(geometry, tile, record));
    return take(tile, decoder);
  };
  return workers_.Split(groups.size() * geometry.neuron_blocks(), 64,
                        [&](uint64_t begin, uint64_t end) {
                          return WalkTiles(store_, table, groups, begin, end, open);
                        });
}

absl::Status RowReader::ReadGroup(uint32_t table, const RowPlaces& places, uint32_t group,
                                  uint32_t block_begin, uint32_t block_end, uint64_t stride_bytes,
                                  uint8_t* out) const {
  const TableGeometry& geometry = store_.geometry(table);
  const uint64_t blocks = geometry.neuron_blocks();
  const uint64_t block_bytes = uint64_t{kBlockNeurons} * EntryBytes(geometry.entry());
  AlignedArray<uint8_t> payload;
  uint64_t payload_bytes = 0;
  const auto make = [&](size_t, const TileId& tile, std::string_view record) {
    TileDecoder& decoder = ThreadDecoder();
    LUTDB_RETURN_IF_ERROR(decoder.Open(geometry, tile, record));
    const TileShape& shape = decoder.shape();
    const uint64_t bytes = shape.stored_codes * block_bytes;
    if (payload_bytes < bytes) {
      payload = MakeAligned<uint8_t>(bytes);
      payload_bytes = bytes;
    }
    uint8_t* next = payload.get();
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      const uint32_t code_end = geometry.codes(chunk);
      const uint32_t code_begin = code_end - geometry.stored_codes(chunk);
      TileCodes(geometry, decoder, chunk, code_begin, code_end, next, block_bytes);
      next += (code_end - code_begin) * block_bytes;
    }
    if (RowChecksum(payload.get(), bytes) != decoder.checksum()) {
      return DataLoss(
          "{}: table {}: the record of chunk group {}, neuron block {} does not match its "
          "checksum; `lutdb repair` makes it anew",
          store_.path(), store_.spec(table).name, group, tile.neuron_block);
    }
    const uint64_t room =
        std::min(block_bytes, places.stride_bytes() - tile.neuron_block * block_bytes);
    PlaceBlocks(payload.get(), next, block_bytes, room,
                out + (tile.neuron_block - block_begin) * block_bytes, stride_bytes);
    return absl::OkStatus();
  };
  const uint32_t groups[] = {group};
  LUTDB_CHECK(block_begin < block_end && block_end <= blocks);
  return WalkTiles(store_, table, groups, block_begin, block_end, make);
}

}  // namespace lutdb
