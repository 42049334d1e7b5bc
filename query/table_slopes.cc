#include "query/table_slopes.h"

#include <atomic>
#include <cstring>

#include "base/status.h"
#include "query/tile_codes.h"

namespace lutdb {
namespace {

uint64_t PositionsOf(const TableGeometry& geometry) {
  if (geometry.uniform()) return uint64_t{geometry.chunks()} * geometry.positions(0).size();
  uint64_t positions = 0;
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    positions += geometry.positions(chunk).size();
  }
  return positions;
}

}  // namespace

uint64_t TableSlopes::BytesOf(const StoreReader& store, uint32_t table) {
  const TableGeometry& geometry = store.geometry(table);
  if (store.spec(table).layout != Layout::kTile || geometry.wide_slopes() ||
      !geometry.even_steps() || geometry.chunks() == 0) {
    return 0;
  }
  return PositionsOf(geometry) * geometry.neuron_blocks() * kBlockNeurons * sizeof(int32_t);
}

TableSlopes::TableSlopes(const TableGeometry& geometry) : geometry_(geometry) {
  positions_ = PositionsOf(geometry);
  if (geometry.uniform()) {
    positions_each_ = geometry.positions(0).size();
  } else {
    first_position_.reserve(geometry.chunks());
    uint64_t next = 0;
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      first_position_.push_back(next);
      next += geometry.positions(chunk).size();
    }
  }
  slopes_ = MakeAligned<int32_t>(positions_ * geometry.neuron_blocks() * kBlockNeurons);
}

absl::StatusOr<std::unique_ptr<const TableSlopes>> TableSlopes::Read(const StoreReader& store,
                                                                     const RowReader& reader,
                                                                     uint32_t table) {
  std::unique_ptr<TableSlopes> read(new TableSlopes(store.geometry(table)));
  std::atomic<bool> others{false};
  const absl::Status status =
      reader.ForEachTile(table, [&](const TileId& tile, const TileDecoder& decoder) {
        const Slopes slopes = decoder.slopes();
        if (slopes.narrow == nullptr) {
          others.store(true);
          return absl::CancelledError();  // nobody hears of it: the walk is over
        }
        const TileShape& shape = decoder.shape();
        auto* to = const_cast<int32_t*>(read->At(tile.neuron_block, shape.chunk_begin));
        std::memcpy(to, slopes.narrow, size_t{shape.positions} * kBlockNeurons * sizeof(int32_t));
        return absl::OkStatus();
      });
  if (others.load()) return nullptr;
  LUTDB_RETURN_IF_ERROR(status);
  return read;
}

void TableSlopes::AllCodes(uint32_t block, uint32_t chunk, void* out) const {
  SlopeCodes(geometry_, At(block, chunk), chunk, 0, geometry_.codes(chunk), out,
             uint64_t{kBlockNeurons} * EntryBytes(geometry_.entry()));
}

}  // namespace lutdb
