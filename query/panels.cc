#include "query/panels.h"

#include <algorithm>

#include "schemas/graph.h"

namespace lutdb {
namespace {

class Panels {
 public:
  Panels(const StoreReader& store, const std::vector<RowPlaces>& places)
      : store_(store), places_(places), panel_of_(places.size(), kNone) {}

  // The panel of the first table that reads `value` and has the same rows, or a new one.
  void Add(uint32_t table, uint32_t value) {
    if (panel_of_[table] != kNone) return;
    for (size_t i = 0; i < panels_.size(); ++i) {
      if (values_[i] != value || value == kNone || !Alike(panels_[i].front(), table)) continue;
      panel_of_[table] = static_cast<uint32_t>(i);
      panels_[i].push_back(table);
      return;
    }
    panel_of_[table] = static_cast<uint32_t>(panels_.size());
    panels_.push_back({table});
    values_.push_back(value);
  }
  std::vector<Panel> Take() { return std::move(panels_); }

 private:
  bool Alike(uint32_t a, uint32_t b) const {
    const TableGeometry& of_a = store_.geometry(a);
    const TableGeometry& of_b = store_.geometry(b);
    return store_.spec(a).layout == Layout::kTile && store_.spec(b).layout == Layout::kTile &&
           of_a.entry() == of_b.entry() && of_a.tile_chunks() == of_b.tile_chunks() &&
           places_[a].SameNumbers(places_[b]);
  }

  const StoreReader& store_;
  const std::vector<RowPlaces>& places_;
  std::vector<uint32_t> panel_of_;  // by table; kNone: in none yet
  std::vector<Panel> panels_;
  std::vector<uint32_t> values_;  // what the tables of each panel read
};

}  // namespace

std::vector<Panel> PanelsOf(const StoreReader& store, const std::vector<RowPlaces>& places) {
  Panels panels(store, places);
  // A graph that cannot be read is an error of whoever runs it, not of a cache.
  if (const auto graph = store.LoadGraph(); graph.ok()) {
    for (const Op& op : graph->ops) {
      if (op.kind == OpKind::kTable) panels.Add(op.table, op.inputs[0]);
    }
  }
  for (uint32_t table = 0; table < places.size(); ++table) panels.Add(table, kNone);
  return panels.Take();
}

}  // namespace lutdb
