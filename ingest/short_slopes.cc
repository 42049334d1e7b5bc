#include "ingest/short_slopes.h"

#include <algorithm>

namespace lutdb {
namespace {

// Beyond these hardly any other slope makes all the entries of an `i16` table, whose slopes have 16
// fraction bits; those of `i8` have 24.
constexpr uint32_t kWideEntryCodesMax = 1024;
constexpr uint32_t kWideEntryBitsMax = 7;
constexpr size_t kScratchMax = 1 << 18;  // numbers: what a worker of a build can spare

bool Pays(const TableGeometry& geometry, uint32_t chunk) {
  if (geometry.positions(chunk).size() > kernels::kShortenPositionsMax) return false;
  if (geometry.entry() == EntryType::kI8) return true;
  return geometry.codes(chunk) <= kWideEntryCodesMax && geometry.max_bits() <= kWideEntryBitsMax;
}

template <typename T>
T* Reserve(size_t count, AlignedArray<T>* memory, size_t* capacity) {
  if (count > *capacity) {
    *memory = MakeAligned<T>(count);
    *capacity = count;
  }
  return memory->get();
}

}  // namespace

void ShortSlopes::TakeLevels(absl::Span<const Position> positions) {
  size_t count = 0;
  for (const Position& position : positions) count += position.range.count;
  values_.resize(count);
  levels_.clear();
  int32_t* to = values_.data();
  for (const Position& position : positions) {
    levels_.push_back({.levels = to, .count = position.range.count});
    for (uint32_t k = 0; k < position.range.count; ++k) *to++ = position.range.level(k);
  }
}

Slopes ShortSlopes::Of(const TableGeometry& geometry, const TileId& tile, Slopes slopes) {
  // The levels of a codebook's positions do not combine freely.
  if (geometry.wide_slopes() || geometry.codebook() != nullptr) return slopes;
  const TileShape shape = ShapeOf(geometry, tile);
  const size_t count = size_t{shape.positions} * kBlockNeurons;
  int32_t* at = Reserve(count, &slopes_, &slopes_capacity_);
  std::copy_n(slopes.narrow, count, at);
  levels_.clear();
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    const absl::Span<const Position> positions = geometry.positions(chunk);
    const auto chunk_positions = static_cast<uint32_t>(positions.size());
    if (Pays(geometry, chunk)) {
      if (levels_.empty() || !geometry.uniform()) TakeLevels(positions);
      const size_t needed = kernels::ShortenScratch(levels_.data(), chunk_positions);
      if (needed <= kScratchMax) {
        kernels::ShortenSlopes(at, levels_.data(), chunk_positions, geometry.slope_shift(),
                               Reserve(needed, &scratch_, &scratch_capacity_));
      }
    }
    at += size_t{chunk_positions} * kBlockNeurons;
  }
  return {.narrow = slopes_.get(), .wide = nullptr};
}

}  // namespace lutdb
