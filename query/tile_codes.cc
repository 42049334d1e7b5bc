#include "query/tile_codes.h"

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

template <typename Slope>
void FromSlopes(const TableGeometry& geometry, const Slope* slopes, uint32_t chunk,
                uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes) {
  const absl::Span<const Position> positions = geometry.positions(chunk);
  LUTDB_CHECK(positions.size() <= kMaxChunkInputs);
  kernels::Levels levels[kMaxChunkInputs];
  for (size_t p = 0; p < positions.size(); ++p) {
    const LevelRange& range = positions[p].range;
    levels[p] = {.min = range.min, .max = range.max, .stride = range.stride};
  }
  const uint32_t count = static_cast<uint32_t>(positions.size());
  const int shift = geometry.slope_shift();
  if (geometry.entry() == EntryType::kI8) {
    kernels::ProductCodes(slopes, levels, count, shift, code_begin, code_end,
                          static_cast<int8_t*>(out), stride_bytes);
  } else {
    kernels::ProductCodes(slopes, levels, count, shift, code_begin, code_end,
                          static_cast<int16_t*>(out), stride_bytes / sizeof(int16_t));
  }
}

}  // namespace

void TileCodes(const TableGeometry& geometry, const TileDecoder& decoder, uint32_t chunk,
               uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes) {
  const Slopes slopes = decoder.slopes();
  const uint64_t offset = uint64_t{decoder.position_offset(chunk)} * kBlockNeurons;
  if (slopes.narrow != nullptr) {
    FromSlopes(geometry, slopes.narrow + offset, chunk, code_begin, code_end, out, stride_bytes);
  } else if (slopes.wide != nullptr) {
    FromSlopes(geometry, slopes.wide + offset, chunk, code_begin, code_end, out, stride_bytes);
  } else {
    decoder.Codes(chunk, code_begin, code_end, out, stride_bytes);
  }
}

}  // namespace lutdb
