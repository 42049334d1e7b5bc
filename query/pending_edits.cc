#include "query/pending_edits.h"

#include <algorithm>

#include "base/status.h"
#include "query/lookup.h"

namespace lutdb {

absl::StatusOr<std::shared_ptr<const Edits>> WithPending(const StoreReader& store,
                                                         const Edits& head,
                                                         absl::Span<const EntryChange> changes) {
  TileChanges tiles;
  for (const EntryChange& change : changes) {
    const TableGeometry& geometry = store.geometry(change.table);
    tiles[TileOf(geometry, change.table, change.neuron, change.chunk)].push_back(
        {DeltaIndex(geometry, change.neuron, change.chunk, change.code), 0, change.after});
  }
  for (auto& [tile, deltas] : tiles) {
    std::sort(deltas.begin(), deltas.end(),
              [](const EntryDelta& a, const EntryDelta& b) { return a.index < b.index; });
  }
  LUTDB_RETURN_IF_ERROR(FillValuesBefore(store, head, &tiles));
  return head.With(tiles, head.commit(), store.geometries());
}

}  // namespace lutdb
