#include "query/table_slopes.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/status.h"
#include "engine/kernels/kernels.h"
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

TableSlopes::TableSlopes(const TableGeometry& geometry)
    : geometry_(geometry), blocks_(geometry.neuron_blocks()) {
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
  slopes_ = MakeHuge<int32_t>(PositionsOf(geometry) * blocks_ * kBlockNeurons);
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
        const int32_t* from = slopes.narrow;
        for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
          const uint64_t count = read->Positions(chunk) * kBlockNeurons;
          auto* to = const_cast<int32_t*>(read->At(tile.neuron_block, chunk));
          std::memcpy(to, from, count * sizeof(int32_t));
          from += count;
        }
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

void TableSlopes::Prefetch(uint32_t block, uint32_t chunk) const {
  const auto* from = reinterpret_cast<const uint8_t*>(At(block, chunk));
  const uint64_t bytes = Positions(chunk) * kBlockNeurons * sizeof(int32_t);
  for (uint64_t at = 0; at < bytes; at += kCacheLineBytes) __builtin_prefetch(from + at, 0, 2);
}

void TableSlopes::Row(uint32_t chunk, uint32_t code, uint64_t row_bytes, uint8_t* out) const {
  int32_t levels[kMaxChunkInputs];
  geometry_.LevelsOf(chunk, code, levels);
  const auto positions = static_cast<uint32_t>(Positions(chunk));
  const uint64_t block_bytes = uint64_t{kBlockNeurons} * EntryBytes(geometry_.entry());
  const auto make = [&](uint64_t block, uint64_t count, void* to) {
    const int32_t* slopes = At(static_cast<uint32_t>(block), chunk);
    if (geometry_.entry() == EntryType::kI8) {
      kernels::ProductRow(slopes, levels, positions, count, static_cast<int8_t*>(to));
    } else {
      kernels::ProductRow(slopes, levels, positions, count, static_cast<int16_t*>(to));
    }
  };
  const uint64_t whole = std::min(row_bytes / block_bytes, blocks_);
  make(0, whole, out);
  if (whole == blocks_) return;
  alignas(kCacheLineBytes) uint8_t last[kBlockNeurons * sizeof(int16_t)];
  make(whole, 1, last);
  std::memcpy(out + whole * block_bytes, last, row_bytes - whole * block_bytes);
}

}  // namespace lutdb
