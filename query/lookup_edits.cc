// query/lookup.h: the edits of a commit, put over entries gathered from the base.

#include <algorithm>

#include "base/status.h"
#include "query/lookup.h"

namespace lutdb {
namespace {

// Places of a value in an index list that is ascending or descending without repeats.
class PlaceInList {
 public:
  explicit PlaceInList(absl::Span<const uint32_t> list)
      : list_(list), descending_(list.size() > 1 && list.front() > list.back()) {}

  // list.size() when absent.
  size_t Find(uint32_t wanted) const {
    const auto before = [this](uint32_t a, uint32_t b) { return descending_ ? a > b : a < b; };
    const auto it = std::lower_bound(list_.begin(), list_.end(), wanted, before);
    return it != list_.end() && *it == wanted ? static_cast<size_t>(it - list_.begin())
                                              : list_.size();
  }

 private:
  absl::Span<const uint32_t> list_;
  bool descending_;
};

}  // namespace

void ApplyEdits(const Edits& edits, const Selection& selection, int16_t* out) {
  const TableEdits* table = edits.table(selection.table);
  if (table == nullptr) return;
  const PlaceInList neurons(selection.neurons), chunks(selection.chunks), codes(selection.codes);
  table->ForEach([&](uint32_t chunk, const ChunkEdits& edited) {
    const size_t c = chunks.Find(chunk);
    if (c == selection.chunks.size()) return;
    for (const ChunkEdits::Row& row : edited.rows) {
      const size_t k = codes.Find(row.code);
      if (k == selection.codes.size()) continue;
      for (const EntryEditValue& entry : row.edits->entries()) {
        const size_t n = neurons.Find(entry.neuron);
        if (n == selection.neurons.size()) continue;
        out[(n * selection.chunks.size() + c) * selection.codes.size() + k] = entry.value;
      }
    }
  });
}

void ApplyEdits(const Edits& edits, absl::Span<const EntryKey> keys, int16_t* out) {
  if (edits.empty()) return;
  for (size_t i = 0; i < keys.size(); ++i) {
    out[i] = edits.Value(keys[i].table, keys[i].neuron, keys[i].chunk, keys[i].code, out[i]);
  }
}

absl::Status FillValuesBefore(const StoreReader& store, const Edits& edits, TileChanges* changes) {
  // Looking an entry up takes some ten times its change, so many are looked up in turn.
  constexpr size_t kAtOnce = size_t{1} << 18;
  std::vector<EntryKey> keys;
  std::vector<EntryDelta*> deltas_of;
  std::vector<int16_t> before;
  const auto fill = [&]() -> absl::Status {
    before.resize(keys.size());
    LUTDB_RETURN_IF_ERROR(GatherEntries(store, Workers(1), keys, before.data()));
    ApplyEdits(edits, keys, before.data());
    for (size_t i = 0; i < keys.size(); ++i) deltas_of[i]->before = before[i];
    keys.clear();
    deltas_of.clear();
    return absl::OkStatus();
  };
  for (auto& [tile, deltas] : *changes) {
    for (EntryDelta& delta : deltas) {
      const DeltaPlace place = PlaceOf(store.geometry(tile.table), tile, delta.index);
      keys.push_back({tile.table, place.neuron, place.chunk, place.code});
      deltas_of.push_back(&delta);
      if (keys.size() == kAtOnce) LUTDB_RETURN_IF_ERROR(fill());
    }
  }
  return fill();
}

}  // namespace lutdb
