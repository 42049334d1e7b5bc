#include "ingest/baked_edits.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/status.h"
#include "db/keys.h"

namespace lutdb {

absl::StatusOr<BakedEdits> BakedEdits::Load(const db::Rocks& rocks,
                                            const std::vector<PlannedTable>& tables) {
  BakedEdits edits;
  const std::string prefix = db::kBakedPrefix;
  const size_t key_bytes = prefix.size() + db::TileKey(0, 0, 0).size();
  std::string end = prefix;
  ++end.back();
  db::Cursor cursor = rocks.Scan(db::Family::kHistory, prefix, end);
  for (; cursor.Valid(); cursor.Next()) {
    if (cursor.key().size() != key_bytes) return DataLoss("the history holds a malformed key");
    const char* key = cursor.key().data() + prefix.size();
    const TileId tile = {LoadBig<uint32_t>(key), LoadBig<uint32_t>(key + 4),
                         LoadBig<uint16_t>(key + 8)};
    if (tile.table >= tables.size() || tile.group >= tables[tile.table].geometry.chunk_groups() ||
        tile.neuron_block >= tables[tile.table].geometry.neuron_blocks()) {
      return DataLoss("the history names a tile that no table has");
    }
    LUTDB_ASSIGN_OR_RETURN(TileDeltas deltas,
                           DecodePatch(cursor.value(), tables[tile.table].geometry, tile));
    edits.tiles_[{tile.table, tile.group, tile.neuron_block}] = std::move(deltas);
  }
  LUTDB_RETURN_IF_ERROR(cursor.status());
  return edits;
}

void BakedEdits::Apply(const TableGeometry& geometry, const TileId& tile, uint32_t chunk,
                       uint32_t begin, uint32_t end, void* entries) const {
  const auto found = tiles_.find({tile.table, tile.group, tile.neuron_block});
  if (found == tiles_.end()) return;
  const uint32_t first = DeltaIndex(geometry, 0, chunk, begin);
  const uint32_t last = DeltaIndex(geometry, 0, chunk, end - 1) + kBlockNeurons;
  const TileDeltas& deltas = found->second;
  auto delta =
      std::lower_bound(deltas.begin(), deltas.end(), first,
                       [](const EntryDelta& d, uint32_t index) { return d.index < index; });
  const auto entry_bytes = static_cast<size_t>(EntryBytes(geometry.entry()));
  for (; delta != deltas.end() && delta->index < last; ++delta) {
    std::memcpy(static_cast<uint8_t*>(entries) + (delta->index - first) * entry_bytes,
                &delta->after, entry_bytes);  // little-endian, whatever the width
  }
}

}  // namespace lutdb
