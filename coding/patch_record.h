// What a commit changed in one tile, as bytes. docs/format.md, "History", has the layout.
//
// Entries are named inside their tile by (first code of the chunk within the tile + code) * 64 +
// neuron, and kept as gap, value before and difference, in variable-length integers: an edit of a
// few neighbouring entries takes a few bytes each, before ZSTD is tried; many entries are kept in
// columns where that is smaller (coding/patch_columns.h). A patch may leave the
// values before out: a commit is durable before they are known (query/quick_commit.cc), and whoever
// reads one without them finds them at its parent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coding/record.h"

namespace lutdb {

struct EntryDelta {
  uint32_t index = 0;  // of the entry inside its tile
  int16_t before = 0;
  int16_t after = 0;
  bool operator==(const EntryDelta&) const = default;
};
// Ascending by index, each once.
using TileDeltas = std::vector<EntryDelta>;

// Entries of a tile, all codes (mirrored or not), 64 neurons each.
uint32_t TileEntries(const TableGeometry& geometry, const TileId& tile);
// The tile of an entry, and its index in it.
TileId TileOf(const TableGeometry& geometry, uint32_t table, uint32_t neuron, uint32_t chunk);
uint32_t DeltaIndex(const TableGeometry& geometry, uint32_t neuron, uint32_t chunk, uint32_t code);

struct DeltaPlace {
  uint32_t neuron = 0;
  uint32_t chunk = 0;
  uint32_t code = 0;
};
// index < TileEntries(geometry, tile).
DeltaPlace PlaceOf(const TableGeometry& geometry, const TileId& tile, uint32_t index);

enum class PatchValues : uint8_t { kBeforeAndAfter, kAfter };

void EncodePatch(const TileDeltas& deltas, PatchValues values, std::string* out);
// DataLoss when damaged or when an index or value cannot belong to the tile. *values says which the
// patch holds; without `before` that is 0. Null: a patch that lacks them counts as damaged.
absl::StatusOr<TileDeltas> DecodePatch(std::string_view bytes, const TableGeometry& geometry,
                                       const TileId& tile, PatchValues* values = nullptr);

// The values before of a commit whose patches lack them, in the order of its tiles and entries.
std::string EncodeValuesBefore(const std::vector<int16_t>& values);
// DataLoss when damaged or not `count` of them.
absl::StatusOr<std::vector<int16_t>> DecodeValuesBefore(std::string_view bytes, size_t count);

// state := state, then deltas. An entry that is back at the value it had before leaves `state`.
void FoldInto(const TileDeltas& deltas, TileDeltas* state);

}  // namespace lutdb
