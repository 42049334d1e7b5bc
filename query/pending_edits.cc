#include "query/pending_edits.h"

#include <algorithm>

namespace lutdb {

std::shared_ptr<const Edits> WithPending(const Edits& head, absl::Span<const EntryChange> changes,
                                         const std::vector<TableGeometry>& geometries) {
  TileChanges tiles;
  for (const EntryChange& change : changes) {
    const TableGeometry& geometry = geometries[change.table];
    tiles[TileOf(geometry, change.table, change.neuron, change.chunk)].push_back(
        {DeltaIndex(geometry, change.neuron, change.chunk, change.code), change.before,
         change.after});
  }
  for (auto& [tile, deltas] : tiles) {
    std::sort(deltas.begin(), deltas.end(),
              [](const EntryDelta& a, const EntryDelta& b) { return a.index < b.index; });
  }
  return head.With(tiles, head.commit(), geometries);
}

}  // namespace lutdb
