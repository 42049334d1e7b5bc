// Makes rows from records: the slow half of the row source. Tile records are decoded (single codes
// of product records without their neighbours), row records are read by batched MultiGet. Nothing
// is cached here.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "coding/record.h"
#include "query/row_places.h"
#include "query/store_reader.h"
#include "query/workers.h"

namespace lutdb {

// One row to be made. `code` must be a stored code of its chunk. out: places.stride_bytes() bytes,
// aligned to 64; what lies beyond the last neuron is zeroed.
struct RowRequest {
  uint32_t chunk = 0;
  uint32_t code = 0;
  uint8_t* out = nullptr;
};

// Thread-safe. Must not outlive the store.
class RowReader {
 public:
  RowReader(const StoreReader& store, const Workers& workers) : store_(store), workers_(workers) {}

  // Rows ascending by chunk. Damage that RocksDB's block checksums or the record's shape show is
  // DataLoss; the payload's own checksum is not computed, since it covers all codes.
  absl::Status ReadRows(uint32_t table, const RowPlaces& places,
                        absl::Span<const RowRequest> rows) const;

  // Opens every record of a table of tiles and hands it to `take`, on several threads at a time;
  // ends with the first error, take's own among them.
  absl::Status ForEachTile(
      uint32_t table,
      const std::function<absl::Status(const TileId&, const TileDecoder&)>& take) const;

  // Decodes all stored codes of one chunk group for neuron blocks [block_begin, block_end) and
  // checks each record's payload. The rows lie one after the other as in the arena, but only the
  // wanted blocks of each: row r of the group at out + r * stride_bytes. Tile layout only; the last
  // block writes no further than to the row's own padded end.
  absl::Status ReadGroup(uint32_t table, const RowPlaces& places, uint32_t group,
                         uint32_t block_begin, uint32_t block_end, uint64_t stride_bytes,
                         uint8_t* out) const;

 private:
  absl::Status ReadTileRows(uint32_t table, const RowPlaces& places,
                            absl::Span<const RowRequest> rows) const;
  absl::Status ReadRowRecords(uint32_t table, const RowPlaces& places,
                              absl::Span<const RowRequest> rows) const;

  const StoreReader& store_;
  const Workers& workers_;
};

}  // namespace lutdb
