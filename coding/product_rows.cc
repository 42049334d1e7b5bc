#include "coding/product_rows.h"

#include <algorithm>
#include <type_traits>

namespace lutdb {
namespace {

// A run of codes that differ in their last position only: the outer positions' share of the sums
// and the sign of their first level that is not zero.
template <typename Unsigned>
struct Run {
  alignas(64) Unsigned sums[kBlockNeurons];
  int32_t first_level = 0;
};

// Sums are kept modulo 2^32 or 2^64: damaged slopes give wrong entries, never undefined behaviour.
template <typename Slope, typename Unsigned = std::make_unsigned_t<Slope>>
Run<Unsigned> StartRun(absl::Span<const Position> positions, const Slope* slopes, uint32_t code) {
  Run<Unsigned> run{};
  const size_t last = positions.size() - 1;
  for (size_t p = 0; p <= last; ++p) {
    const Position& position = positions[p];
    const int32_t level = position.range.level(code / position.place % position.range.count);
    const auto factor = static_cast<Unsigned>(static_cast<Slope>(level));
    const Slope* row = slopes + p * kBlockNeurons;
    for (uint32_t n = 0; n < kBlockNeurons; ++n) {
      run.sums[n] += factor * static_cast<Unsigned>(row[n]);
    }
    if (p != last && run.first_level == 0) run.first_level = level;
  }
  return run;
}

// -((-a + half) >> F), the negated entry of the mirrored code, is (a + half - 1) >> F.
template <typename Slope, typename Entry>
void Rows(absl::Span<const Position> positions, const Slope* slopes, int shift, uint32_t code,
          uint32_t code_end, uint8_t* out, uint64_t stride_bytes) {
  using Unsigned = std::make_unsigned_t<Slope>;
  const LevelRange last = positions.back().range;
  alignas(64) Unsigned increment[kBlockNeurons];
  const Slope* last_row = slopes + (positions.size() - 1) * kBlockNeurons;
  for (uint32_t n = 0; n < kBlockNeurons; ++n) {
    increment[n] =
        static_cast<Unsigned>(last_row[n]) * static_cast<Unsigned>(static_cast<Slope>(last.stride));
  }
  const Unsigned half = Unsigned{1} << (shift - 1);
  while (code < code_end) {
    Run<Unsigned> run = StartRun(positions, slopes, code);
    const uint32_t index = code % last.count;
    const uint32_t run_end = std::min(code_end, code + (last.count - index));
    int32_t level = last.level(index);
    for (; code < run_end; ++code, level += last.stride, out += stride_bytes) {
      const int32_t sign = run.first_level != 0 ? run.first_level : level;
      const Unsigned bias = sign < 0 ? half - 1 : half;
      auto* row = reinterpret_cast<Entry*>(out);
      for (uint32_t n = 0; n < kBlockNeurons; ++n) {
        row[n] = static_cast<Entry>(static_cast<Slope>(run.sums[n] + bias) >> shift);
        run.sums[n] += increment[n];
      }
    }
  }
}

// With levels at uneven distances every code's sum is made from its levels.
template <typename Slope, typename Entry>
void UnevenRows(const TableGeometry& geometry, uint32_t chunk, const Slope* slopes, uint32_t code,
                uint32_t code_end, uint8_t* out, uint64_t stride_bytes) {
  using Unsigned = std::make_unsigned_t<Slope>;
  const size_t positions = geometry.positions(chunk).size();
  const int shift = geometry.slope_shift();
  const Unsigned half = Unsigned{1} << (shift - 1);
  int32_t levels[kMaxChunkInputs];
  for (; code < code_end; ++code, out += stride_bytes) {
    geometry.LevelsOf(chunk, code, levels);
    int32_t first = 0;
    for (size_t p = 0; p < positions && first == 0; ++p) first = levels[p];
    const Unsigned bias = first < 0 ? half - 1 : half;
    auto* row = reinterpret_cast<Entry*>(out);
    for (uint32_t n = 0; n < kBlockNeurons; ++n) {
      Unsigned sum = bias;
      for (size_t p = 0; p < positions; ++p) {
        sum += static_cast<Unsigned>(static_cast<Slope>(levels[p])) *
               static_cast<Unsigned>(slopes[p * kBlockNeurons + n]);
      }
      row[n] = static_cast<Entry>(static_cast<Slope>(sum) >> shift);
    }
  }
}

template <typename Slope, typename Entry>
void AnyRows(const TableGeometry& geometry, uint32_t chunk, const Slope* slopes, uint32_t code,
             uint32_t code_end, void* out, uint64_t stride_bytes) {
  auto* bytes = static_cast<uint8_t*>(out);
  if (!geometry.even_steps()) {
    UnevenRows<Slope, Entry>(geometry, chunk, slopes, code, code_end, bytes, stride_bytes);
    return;
  }
  Rows<Slope, Entry>(geometry.positions(chunk), slopes, geometry.slope_shift(), code, code_end,
                     bytes, stride_bytes);
}

}  // namespace

void ProductRows(const TableGeometry& geometry, uint32_t chunk, Slopes slopes, uint32_t code_begin,
                 uint32_t code_end, void* out, uint64_t stride_bytes) {
  const bool narrow_entries = geometry.entry() == EntryType::kI8;
  if (slopes.wide != nullptr) {
    const auto rows = narrow_entries ? AnyRows<int64_t, int8_t> : AnyRows<int64_t, int16_t>;
    rows(geometry, chunk, slopes.wide, code_begin, code_end, out, stride_bytes);
  } else {
    const auto rows = narrow_entries ? AnyRows<int32_t, int8_t> : AnyRows<int32_t, int16_t>;
    rows(geometry, chunk, slopes.narrow, code_begin, code_end, out, stride_bytes);
  }
}

}  // namespace lutdb
