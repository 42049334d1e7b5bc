// The slopes that a product record keeps: not those of the weights but the roundest ones that make
// the same entries, in a fifth to a half fewer bytes. docs/format.md, "Tile records".
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "coding/record.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

// Reusable; not thread-safe.
class ShortSlopes {
 public:
  // Slopes of the whole tile, for EncodeProductTile: those given where shortening them would not
  // pay, else this object's own, which last until the next call.
  Slopes Of(const TableGeometry& geometry, const TileId& tile, Slopes slopes);

 private:
  void TakeLevels(absl::Span<const Position> positions);

  std::vector<int32_t> values_;
  std::vector<kernels::LevelList> levels_;  // of one chunk
  AlignedArray<int32_t> slopes_;
  size_t slopes_capacity_ = 0;
  AlignedArray<uint32_t> scratch_;
  size_t scratch_capacity_ = 0;
};

}  // namespace lutdb
