// Product records to entries where codes come in +- pairs: every code and its mirror at once. A run
// of codes along the last position costs one addition per sum, the high part of each sum is the
// entry, and the mirrored code's entry is its negation. Sums of neurons that end up in one machine
// word are kept in different vectors, so that taking the high parts is shifts and blends.
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/kernels/mirrored.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/decode_mirrored.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename Entry>
void DecodePairs(const int32_t* slopes, const Levels* levels, uint32_t positions, uint32_t codes,
                 Entry* out, size_t stride) {
  reference::ProductCodes(slopes, levels, positions, 32 - 8 * static_cast<int>(sizeof(Entry)), 0,
                          codes, out, stride);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kNeurons = 64;
constexpr size_t kPositionsMax = 16;

// 64 sums or slopes, neurons apart by what a word of entries holds: kWays vectors of every kWays-th
// neuron, then the same of the next neurons.
struct Split {
  HWY_ALIGN uint32_t words[kNeurons];
};

template <size_t kWays>
HWY_INLINE void SplitTimes(const int32_t* from, int32_t factor, Split* to) {
  const hn::ScalableTag<uint32_t> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const auto* words = reinterpret_cast<const uint32_t*>(from);
  const V times = hn::Set(d, static_cast<uint32_t>(factor));
  for (size_t n = 0; n < kNeurons; n += kWays * lanes) {
    V part[4];
    if constexpr (kWays == 4) {
      hn::LoadInterleaved4(d, words + n, part[0], part[1], part[2], part[3]);
    } else {
      hn::LoadInterleaved2(d, words + n, part[0], part[1]);
    }
    for (size_t w = 0; w < kWays; ++w) {
      hn::Store(hn::Mul(part[w], times), d, to->words + n + w * lanes);
    }
  }
}

HWY_INLINE void AddTo(const Split& from, Split* to) {
  const hn::ScalableTag<uint32_t> d;
  for (size_t n = 0; n < kNeurons; n += hn::Lanes(d)) {
    const auto sum = hn::Add(hn::Load(d, to->words + n), hn::Load(d, from.words + n));
    hn::Store(sum, d, to->words + n);
  }
}

// The high halves of the sums of even and odd neurons.
template <class V>
HWY_INLINE auto TakeHigh(const V (&sum)[2]) {
  const hn::Repartition<uint16_t, hn::DFromV<V> > d16;
  return hn::OddEven(hn::BitCast(d16, sum[1]), hn::BitCast(d16, hn::ShiftRight<16>(sum[0])));
}
// The top bytes of the sums of neurons 0, 1, 2 and 3 modulo 4.
template <class V>
HWY_INLINE auto TakeHigh(const V (&sum)[4]) {
  const hn::Repartition<uint8_t, hn::DFromV<V> > d8;
  const V even_sums[2] = {sum[0], sum[2]}, odd_sums[2] = {sum[1], sum[3]};
  const auto even = TakeHigh(even_sums), odd = TakeHigh(odd_sums);
  return hn::OddEven(hn::BitCast(d8, odd), hn::BitCast(d8, hn::ShiftRight<8>(even)));
}

// `count` codes from `up` on, the first of sums outer + first, each next one `step` more, and their
// mirrors from `down` backwards.
template <typename Entry>
HWY_INLINE void StorePairs(const Split& outer, const Split& first, const Split& step,
                           uint32_t count, size_t stride, Entry* up, Entry* down) {
  constexpr size_t kWays = sizeof(uint32_t) / sizeof(Entry);
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<Entry, decltype(d)> out;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  for (size_t n = 0; n < kNeurons; n += kWays * lanes) {
    V sum[kWays], add[kWays];
    for (size_t w = 0; w < kWays; ++w) {
      const size_t at = n + w * lanes;
      sum[w] = hn::Add(hn::Load(d, outer.words + at), hn::Load(d, first.words + at));
      add[w] = hn::Load(d, step.words + at);
    }
    Entry* to = up + n;
    Entry* mirrored = down + n;
    for (uint32_t k = 0; k < count; ++k) {
      const auto entries = hn::BitCast(out, TakeHigh(sum));
      hn::StoreU(entries, out, to);
      hn::StoreU(hn::Neg(entries), out, mirrored);
      to += stride;
      mirrored -= stride;
      for (size_t w = 0; w < kWays; ++w) sum[w] = hn::Add(sum[w], add[w]);
    }
  }
}

// The upper half of the codes, the zero code among them: every first level that is not zero is
// positive there, so that all of them round half up.
template <typename Entry>
void DecodePairs(const int32_t* slopes, const Levels* levels, uint32_t positions, uint32_t codes,
                 Entry* out, size_t stride) {
  constexpr size_t kWays = sizeof(uint32_t) / sizeof(Entry);
  constexpr uint32_t kHalf = uint32_t{1} << (31 - 8 * sizeof(Entry));
  const uint32_t last = positions - 1;
  uint32_t index[kPositionsMax], count[kPositionsMax];
  Split up[kPositionsMax];    // what the next level of a position adds
  Split down[kPositionsMax];  // what its return to the least level adds
  Split outer, part;
  for (uint32_t& word : outer.words) word = kHalf;
  uint32_t code = codes / 2;
  for (uint32_t p = positions, rest = code; p-- > 0;) {
    const Levels& range = levels[p];
    count[p] = static_cast<uint32_t>((range.max - range.min) / range.stride) + 1;
    index[p] = rest % count[p];
    rest /= count[p];
    const int32_t* row = slopes + p * kNeurons;
    SplitTimes<kWays>(row, range.stride, &up[p]);
    SplitTimes<kWays>(row, range.min - range.max, &down[p]);
    if (p == last) continue;
    SplitTimes<kWays>(row, range.min + static_cast<int32_t>(index[p]) * range.stride, &part);
    AddTo(part, &outer);
  }
  const auto level_at = [&](uint32_t i) {
    return levels[last].min + static_cast<int32_t>(i) * levels[last].stride;
  };
  Split first;
  SplitTimes<kWays>(slopes + last * kNeurons, level_at(index[last]), &first);
  uint32_t run = count[last] - index[last];
  while (true) {
    StorePairs(outer, first, up[last], run, stride, out + code * stride,
               out + (codes - 1 - code) * stride);
    code += run;
    if (code >= codes) return;
    if (run != count[last]) {
      SplitTimes<kWays>(slopes + last * kNeurons, level_at(0), &first);
      run = count[last];
    }
    for (uint32_t p = last; p-- > 0;) {
      if (++index[p] < count[p]) {
        AddTo(up[p], &outer);
        break;
      }
      index[p] = 0;
      AddTo(down[p], &outer);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void DecodePairsI16(const int32_t* slopes, const Levels* levels, uint32_t positions, uint32_t codes,
                    int16_t* out, size_t stride) {
  DecodePairs(slopes, levels, positions, codes, out, stride);
}
void DecodePairsI8(const int32_t* slopes, const Levels* levels, uint32_t positions, uint32_t codes,
                   int8_t* out, size_t stride) {
  DecodePairs(slopes, levels, positions, codes, out, stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(DecodePairsI16);
HWY_EXPORT(DecodePairsI8);

bool AllMirrored(const Levels* levels, uint32_t positions, uint32_t codes) {
  uint64_t all = 1;
  for (uint32_t p = 0; p < positions; ++p) {
    if (levels[p].min != -levels[p].max) return false;
    all *= static_cast<uint64_t>((levels[p].max - levels[p].min) / levels[p].stride) + 1;
  }
  return all == codes;
}

void MirroredProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions,
                          uint32_t codes, int16_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(DecodePairsI16)(slopes, levels, positions, codes, out, out_stride);
}
void MirroredProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions,
                          uint32_t codes, int8_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(DecodePairsI8)(slopes, levels, positions, codes, out, out_stride);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
