#include "query/edited_hash.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"
#include "coding/cell_hash.h"
#include "query/lookup.h"
#include "query/workers.h"

namespace lutdb {
namespace {

// Hashes cells of one table, before and after their edits.
class TableCells {
 public:
  TableCells(const StoreReader& store, uint32_t table, std::vector<float> steps)
      : store_(store),
        table_(table),
        geometry_(store.geometry(table)),
        steps_(std::move(steps)),
        hasher_(store.spec(table), geometry_) {}

  // *hash -= the cell as in the base, += the cell with its edits.
  absl::Status Replace(uint32_t chunk, const ChunkEdits& edits, uint32_t block, Hash128* hash) {
    const uint32_t first = block * kBlockNeurons;
    const uint32_t lanes = std::min(kBlockNeurons, geometry_.neurons() - first);
    Selection cell = {.table = table_, .chunks = {chunk}};
    cell.neurons.resize(lanes);
    std::iota(cell.neurons.begin(), cell.neurons.end(), first);
    cell.codes.resize(geometry_.codes(chunk));
    std::iota(cell.codes.begin(), cell.codes.end(), 0u);
    entries_.resize(uint64_t{lanes} * cell.codes.size());
    LUTDB_RETURN_IF_ERROR(GatherSelection(store_, Workers(1), cell, entries_.data()));
    *hash -= Hash(chunk, block, lanes);
    for (const ChunkEdits::Row& row : edits.rows) {
      for (const EntryEditValue& entry : row.edits->InBlock(block)) {
        entries_[uint64_t{entry.neuron - first} * cell.codes.size() + row.code] = entry.value;
      }
    }
    *hash += Hash(chunk, block, lanes);
    return absl::OkStatus();
  }

 private:
  Hash128 Hash(uint32_t chunk, uint32_t block, uint32_t lanes) {
    const uint32_t codes = geometry_.codes(chunk);
    hasher_.Begin(chunk, block,
                  absl::MakeConstSpan(steps_).subspan(uint64_t{block} * kBlockNeurons, lanes));
    const bool narrow = geometry_.entry() == EntryType::kI8;
    for (uint32_t code = 0; code < codes; ++code) {
      int16_t wide[kBlockNeurons] = {};
      int8_t bytes[kBlockNeurons] = {};
      for (uint32_t lane = 0; lane < lanes; ++lane) {
        wide[lane] = entries_[uint64_t{lane} * codes + code];
        bytes[lane] = static_cast<int8_t>(wide[lane]);
      }
      if (narrow) {
        hasher_.Update(bytes, sizeof(bytes));
      } else {
        hasher_.Update(wide, sizeof(wide));
      }
    }
    return hasher_.Finish();
  }

  const StoreReader& store_;
  const uint32_t table_;
  const TableGeometry& geometry_;
  const std::vector<float> steps_;
  CellHasher hasher_;
  std::vector<int16_t> entries_;  // neuron-major, then code
};

}  // namespace

absl::StatusOr<Hash128> EditedContentHash(const StoreReader& store, const Edits& edits) {
  Hash128 hash = store.manifest().content_hash;
  for (uint32_t table = 0; table < store.geometries().size(); ++table) {
    const TableEdits* of_table = edits.table(table);
    if (of_table == nullptr) continue;
    LUTDB_ASSIGN_OR_RETURN(std::vector<float> steps, store.Steps(table));
    TableCells cells(store, table, std::move(steps));
    absl::Status status;
    of_table->ForEach([&](uint32_t chunk, const ChunkEdits& edited) {
      for (const uint32_t block : edited.Blocks()) {
        if (status.ok()) status = cells.Replace(chunk, edited, block, &hash);
      }
    });
    LUTDB_RETURN_IF_ERROR(status);
  }
  return hash;
}

}  // namespace lutdb
