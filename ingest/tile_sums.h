// The one pass over all entries that everything else is derived from: windows of a chunk's codes
// are decoded, hashed into the chunk's cell and handed on, and never exist all at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/aligned_buffer.h"
#include "coding/cell_hash.h"
#include "coding/record.h"
#include "engine/kernels/kernels.h"
#include "ingest/baked_edits.h"
#include "ingest/short_slopes.h"
#include "ingest/store_layout.h"

namespace lutdb {

// A window is at most this many bytes: it stays in the second-level cache while it is hashed.
inline constexpr uint64_t kWindowBytes = 256 << 10;

// Decodes codes of one chunk from slopes with the fast kernels.
class ProductDecoder {
 public:
  explicit ProductDecoder(const TableGeometry& geometry);
  // Entries of 64 neurons for codes [begin, end) of a chunk, whose slopes are given, to `out`
  // (64-byte aligned), 64 entries per code.
  void Decode(uint32_t chunk, Slopes slopes, uint32_t begin, uint32_t end, void* out);

 private:
  const TableGeometry& geometry_;
  void DecodeUneven(uint32_t chunk, Slopes slopes, uint32_t begin, uint32_t end, void* out);

  std::vector<kernels::Levels> levels_;
  std::vector<int32_t> uneven_;  // codes x positions
};

struct TileSums {
  Hash128 cells;          // sum of the cell hashes of the tile's chunks
  uint64_t checksum = 0;  // XXH3-64 of the record's payload
};

// Reusable; not thread-safe.
class TileSummer {
 public:
  explicit TileSummer(const PlannedTable& table);

  // Fills `out` with entries of codes [begin, end) of a chunk, 64 per code.
  using CodesFn = std::function<void(uint32_t chunk, uint32_t begin, uint32_t end, void* out)>;
  // Hashes all entries of a tile. steps: of its real neurons. entries: null, or where the stored
  // entries go (as EncodeEntryTile takes them).
  TileSums Sum(const TileId& tile, absl::Span<const float> steps, const CodesFn& codes,
               void* entries);

 private:
  const TableGeometry& geometry_;
  CellHasher hasher_;
  AlignedArray<uint8_t> window_;
};

// Buffers of MakeTileRecord.
struct TileScratch {
  std::vector<uint8_t> entries;
  std::string record;
  ShortSlopes slopes;
};

// The record of one tile, made from the slopes of its first chunk on; the table's codec decides
// which. scratch is for the entries of codecs other than product. baked: edits to be put over the
// entries (null: none).
TileSums MakeTileRecord(const PlannedTable& table, const TileId& tile, Slopes slopes,
                        absl::Span<const float> steps, TileSummer* summer, ProductDecoder* decoder,
                        TileScratch* scratch, const BakedEdits* baked, std::string* record);

}  // namespace lutdb
