// Product records to entries. Along the last position of a chunk the sums of all codes are an
// arithmetic progression, so a run of codes costs one addition per sum and the high part of each
// sum is the entry. Sums of neurons that end up in one machine word are kept in different vectors,
// so that taking the high parts is a shift and a blend, with no lane crossing.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/mirrored.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/decode.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename Slope, typename Entry>
void DecodeCodes(const Slope* slopes, const Levels* levels, uint32_t positions, int shift,
                 uint32_t code_begin, uint32_t code_end, Entry* out, size_t out_stride) {
  reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kNeurons = 64;

// ---- A run: `count` codes whose sums start at sums[] and grow by increment[], rounding included
// ----

// i16 entries of int32 sums, F = 16: even neurons' sums in one vector, odd ones' in another; the
// entries are the high halves, blended.
HWY_INLINE void StoreRun(const uint32_t* HWY_RESTRICT sums, const uint32_t* HWY_RESTRICT increment,
                         uint32_t count, int16_t* HWY_RESTRICT out, size_t stride) {
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  for (size_t n = 0; n < kNeurons; n += 2 * lanes) {
    const auto s0 = hn::Load(d, sums + n), s1 = hn::Load(d, sums + n + lanes);
    const auto i0 = hn::Load(d, increment + n), i1 = hn::Load(d, increment + n + lanes);
    auto even = hn::ConcatEven(d, s1, s0), odd = hn::ConcatOdd(d, s1, s0);
    const auto even_step = hn::ConcatEven(d, i1, i0), odd_step = hn::ConcatOdd(d, i1, i0);
    auto* to = reinterpret_cast<uint16_t*>(out + n);
    for (uint32_t k = 0; k < count; ++k, to += stride) {
      const auto low = hn::BitCast(d16, hn::ShiftRight<16>(even));
      hn::StoreU(hn::OddEven(hn::BitCast(d16, odd), low), d16, to);
      even = hn::Add(even, even_step);
      odd = hn::Add(odd, odd_step);
    }
  }
}

// i8 entries of int32 sums, F = 24: four vectors by neuron modulo 4; the entries are the top bytes.
HWY_INLINE void StoreRun(const uint32_t* HWY_RESTRICT sums, const uint32_t* HWY_RESTRICT increment,
                         uint32_t count, int8_t* HWY_RESTRICT out, size_t stride) {
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const hn::Repartition<uint8_t, decltype(d)> d8;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const auto split = [d, lanes](const uint32_t* from, V* by_residue) HWY_ATTR {
    const V v0 = hn::Load(d, from), v1 = hn::Load(d, from + lanes);
    const V v2 = hn::Load(d, from + 2 * lanes), v3 = hn::Load(d, from + 3 * lanes);
    const V even_low = hn::ConcatEven(d, v1, v0), even_high = hn::ConcatEven(d, v3, v2);
    const V odd_low = hn::ConcatOdd(d, v1, v0), odd_high = hn::ConcatOdd(d, v3, v2);
    by_residue[0] = hn::ConcatEven(d, even_high, even_low);
    by_residue[1] = hn::ConcatEven(d, odd_high, odd_low);
    by_residue[2] = hn::ConcatOdd(d, even_high, even_low);
    by_residue[3] = hn::ConcatOdd(d, odd_high, odd_low);
  };
  const auto top_bytes = hn::Set(d16, 0xff00);
  for (size_t n = 0; n < kNeurons; n += 4 * lanes) {
    V sum[4], step[4];
    split(sums + n, sum);
    split(increment + n, step);
    auto* to = reinterpret_cast<uint8_t*>(out + n);
    for (uint32_t k = 0; k < count; ++k, to += stride) {
      const auto even =
          hn::OddEven(hn::BitCast(d16, sum[2]), hn::BitCast(d16, hn::ShiftRight<16>(sum[0])));
      const auto odd =
          hn::OddEven(hn::BitCast(d16, sum[3]), hn::BitCast(d16, hn::ShiftRight<16>(sum[1])));
      const auto bytes = hn::Or(hn::ShiftRight<8>(even), hn::And(odd, top_bytes));
      hn::StoreU(hn::BitCast(d8, bytes), d8, to);
      for (size_t r = 0; r < 4; ++r) sum[r] = hn::Add(sum[r], step[r]);
    }
  }
}

// Entries of int64 sums, F = 32: the high words, narrowed.
template <typename Entry>
HWY_INLINE void StoreRun(const uint64_t* HWY_RESTRICT sums, const uint64_t* HWY_RESTRICT increment,
                         uint32_t count, Entry* HWY_RESTRICT out, size_t stride) {
  const hn::ScalableTag<uint64_t> d;
  const hn::Repartition<uint32_t, decltype(d)> d32;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  for (size_t n = 0; n < kNeurons; n += 4 * lanes) {
    V sum[4], step[4];
    for (size_t r = 0; r < 4; ++r) {
      sum[r] = hn::Load(d, sums + n + r * lanes);
      step[r] = hn::Load(d, increment + n + r * lanes);
    }
    Entry* to = out + n;
    for (uint32_t k = 0; k < count; ++k, to += stride) {
      const auto low = hn::ConcatOdd(d32, hn::BitCast(d32, sum[1]), hn::BitCast(d32, sum[0]));
      const auto high = hn::ConcatOdd(d32, hn::BitCast(d32, sum[3]), hn::BitCast(d32, sum[2]));
      const auto words = hn::ConcatEven(d16, hn::BitCast(d16, high), hn::BitCast(d16, low));
      if constexpr (sizeof(Entry) == 2) {
        hn::StoreU(words, d16, reinterpret_cast<uint16_t*>(to));
      } else {
        const hn::Repartition<uint8_t, decltype(d)> d8;
        const hn::Half<decltype(d8)> half;
        const auto bytes = hn::ConcatEven(d8, hn::BitCast(d8, words), hn::BitCast(d8, words));
        hn::StoreU(hn::LowerHalf(half, bytes), half, reinterpret_cast<uint8_t*>(to));
      }
      for (size_t r = 0; r < 4; ++r) sum[r] = hn::Add(sum[r], step[r]);
    }
  }
}

// ---- All positions but the last: an odometer ----

// to[n] += factor * slopes[n], modulo the word: compilers make vectors of it for each target.
template <typename Unsigned, typename Slope>
HWY_INLINE void AddMultiple(const Slope* HWY_RESTRICT slopes, int32_t factor,
                            Unsigned* HWY_RESTRICT to) {
  const auto multiplier = static_cast<Unsigned>(static_cast<Slope>(factor));
  for (size_t n = 0; n < kNeurons; ++n) to[n] += multiplier * static_cast<Unsigned>(slopes[n]);
}

struct Odometer {
  uint32_t index[16];  // of the level of each position
  uint32_t count[16];

  void Set(const Levels* levels, uint32_t positions, uint32_t code) {
    for (uint32_t p = positions; p-- > 0;) {
      count[p] = static_cast<uint32_t>(levels[p].max - levels[p].min) /
                     static_cast<uint32_t>(levels[p].stride) +
                 1;
      index[p] = code % count[p];
      code /= count[p];
    }
  }
};

HWY_INLINE int32_t LevelAt(const Levels& levels, uint32_t index) {
  return levels.min + static_cast<int32_t>(index) * levels.stride;
}

// Moves positions 0 .. last - 1 to their next combination and `outer`, their share of the sums,
// with them: on average fewer than two positions change.
template <typename Unsigned, typename Slope>
HWY_INLINE void Advance(const Slope* slopes, const Levels* levels, uint32_t last,
                        Odometer* odometer, Unsigned* outer) {
  for (uint32_t p = last; p-- > 0;) {
    const Slope* row = slopes + p * kNeurons;
    if (++odometer->index[p] < odometer->count[p]) {
      AddMultiple(row, levels[p].stride, outer);
      return;
    }
    odometer->index[p] = 0;
    AddMultiple(row, levels[p].min - levels[p].max, outer);
  }
}

// Sign of the first outer level that is not zero, or 0.
HWY_INLINE int32_t FirstOuterLevel(const Levels* levels, uint32_t last, const Odometer& odometer) {
  for (uint32_t p = 0; p < last; ++p) {
    const int32_t level = LevelAt(levels[p], odometer.index[p]);
    if (level != 0) return level;
  }
  return 0;
}

// Codes of one run that round alike: -((-a + half) >> F), the negated entry of the mirrored code,
// is (a + half - 1) >> F, so signs differ in the rounding constant only.
template <typename Unsigned, typename Entry>
HWY_INLINE void RoundAndStore(const Unsigned* outer, const Unsigned* first,
                              const Unsigned* increment, Unsigned rounding, uint32_t count,
                              Entry* out, size_t stride) {
  if (count == 0) return;
  HWY_ALIGN Unsigned sums[kNeurons];
  for (size_t n = 0; n < kNeurons; ++n) sums[n] = outer[n] + first[n] + rounding;
  StoreRun(sums, increment, count, out, stride);
}

template <typename Slope, typename Unsigned, typename Entry>
HWY_INLINE void DecodeRuns(const Slope* slopes, const Levels* levels, uint32_t positions, int shift,
                           uint32_t code, uint32_t code_end, Entry* out, size_t out_stride) {
  const uint32_t last = positions - 1;
  const Slope* last_row = slopes + last * kNeurons;
  const Levels last_levels = levels[last];
  Odometer odometer;
  odometer.Set(levels, positions, code);
  HWY_ALIGN Unsigned outer[kNeurons] = {};
  HWY_ALIGN Unsigned increment[kNeurons] = {};
  for (uint32_t p = 0; p < last; ++p) {
    AddMultiple(slopes + p * kNeurons, LevelAt(levels[p], odometer.index[p]), outer);
  }
  AddMultiple(last_row, last_levels.stride, increment);
  const Unsigned half = Unsigned{1} << (shift - 1);
  uint32_t index = odometer.index[last];
  while (code < code_end) {
    const uint32_t left = odometer.count[last] - index;
    const uint32_t count = left < code_end - code ? left : code_end - code;
    const int32_t sign = FirstOuterLevel(levels, last, odometer);
    uint32_t negative = sign < 0 ? count : 0;  // codes at the front of the run that mirror
    const int32_t level = LevelAt(last_levels, index);
    if (sign == 0 && level < 0) {
      const auto below_zero =
          static_cast<uint32_t>((-level + last_levels.stride - 1) / last_levels.stride);
      negative = below_zero < count ? below_zero : count;
    }
    HWY_ALIGN Unsigned first[kNeurons] = {};
    AddMultiple(last_row, level, first);
    RoundAndStore(outer, first, increment, half - 1, negative, out, out_stride);
    if (negative > 0)
      AddMultiple(last_row, static_cast<int32_t>(negative) * last_levels.stride, first);
    RoundAndStore(outer, first, increment, half, count - negative, out + negative * out_stride,
                  out_stride);
    code += count;
    out += count * out_stride;
    index = 0;
    if (code < code_end) Advance(slopes, levels, last, &odometer, outer);
  }
}

template <typename Slope, typename Entry>
void DecodeCodes(const Slope* slopes, const Levels* levels, uint32_t positions, int shift,
                 uint32_t code_begin, uint32_t code_end, Entry* out, size_t out_stride) {
  LUTDB_DCHECK(positions >= 1 && positions <= 16);
  constexpr int kShift = sizeof(Slope) == 8 ? 32 : 32 - 8 * static_cast<int>(sizeof(Entry));
  if (shift != kShift) {  // no record is like that; the oracle knows every shift
    reference::ProductCodes(slopes, levels, positions, shift, code_begin, code_end, out,
                            out_stride);
  } else if constexpr (sizeof(Slope) == 8) {
    DecodeRuns<Slope, uint64_t>(slopes, levels, positions, shift, code_begin, code_end, out,
                                out_stride);
  } else {
    DecodeRuns<Slope, uint32_t>(slopes, levels, positions, shift, code_begin, code_end, out,
                                out_stride);
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void NarrowI16(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
               uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  DecodeCodes(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void NarrowI8(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
              uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  DecodeCodes(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void WideI16(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
             uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  DecodeCodes(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void WideI8(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
            uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  DecodeCodes(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(NarrowI16);
HWY_EXPORT(NarrowI8);
HWY_EXPORT(WideI16);
HWY_EXPORT(WideI8);

void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  if (code_begin == 0 && shift == 16 && AllMirrored(levels, positions, code_end)) {
    MirroredProductCodes(slopes, levels, positions, code_end, out, out_stride);
    return;
  }
  HWY_DYNAMIC_DISPATCH(NarrowI16)
  (slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  if (code_begin == 0 && shift == 24 && AllMirrored(levels, positions, code_end)) {
    MirroredProductCodes(slopes, levels, positions, code_end, out, out_stride);
    return;
  }
  HWY_DYNAMIC_DISPATCH(NarrowI8)
  (slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(WideI16)
  (slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}
void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(WideI8)
  (slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
