#include "query/tile_codes.h"

#include <vector>

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

// Learned levels and codewords: all levels of the codes wanted, made into entries by multiplying.
template <typename Slope>
void FromUnevenSlopes(const TableGeometry& geometry, const Slope* slopes, uint32_t chunk,
                      uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes) {
  const size_t positions = geometry.positions(chunk).size();
  std::vector<int32_t> levels(positions * (code_end - code_begin));
  for (uint32_t code = code_begin; code < code_end; ++code) {
    geometry.LevelsOf(chunk, code, levels.data() + (code - code_begin) * positions);
  }
  const auto count = static_cast<uint32_t>(positions);
  if (geometry.entry() == EntryType::kI8) {
    kernels::UnevenProductCodes(slopes, levels.data(), count, geometry.slope_shift(),
                                code_end - code_begin, static_cast<int8_t*>(out), stride_bytes);
  } else {
    kernels::UnevenProductCodes(slopes, levels.data(), count, geometry.slope_shift(),
                                code_end - code_begin, static_cast<int16_t*>(out),
                                stride_bytes / sizeof(int16_t));
  }
}

template <typename Slope>
void FromSlopes(const TableGeometry& geometry, const Slope* slopes, uint32_t chunk,
                uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes) {
  if (!geometry.even_steps()) {
    FromUnevenSlopes(geometry, slopes, chunk, code_begin, code_end, out, stride_bytes);
    return;
  }
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

void SlopeCodes(const TableGeometry& geometry, const int32_t* slopes, uint32_t chunk,
                uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes) {
  FromSlopes(geometry, slopes, chunk, code_begin, code_end, out, stride_bytes);
}

}  // namespace lutdb
