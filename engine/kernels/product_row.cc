// One row out of slopes: the entries of one code of one chunk for many neurons, without the other
// codes. A level is a few powers of two, added or subtracted, so that a product is as many shifted
// additions; 255 takes two of them.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/product_row.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename Entry>
void ProductRowOf(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                  Entry* out) {
  reference::ProductRow(slopes, levels, positions, blocks, out);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kNeurons = 64;
constexpr size_t kPositionsMax = 16;
constexpr size_t kTermsMax = 17;

// A level as a sum of terms sign * 2^shift, no two shifts neighbours: as few as there can be.
struct Terms {
  uint32_t count = 0;
  int shift[kTermsMax];
  bool subtracted[kTermsMax];

  void Set(int32_t level) {
    count = 0;
    int64_t rest = level;
    for (int bit = 0; rest != 0; ++bit, rest /= 2) {
      if (rest % 2 == 0) continue;
      // Of a run of ones, the lowest is subtracted and the one above the run added.
      const int64_t digit = (rest & 3) == 3 ? -1 : 1;
      shift[count] = bit;
      subtracted[count++] = digit < 0;
      rest -= digit;
    }
  }
};

template <class D, class V>
HWY_INLINE V AddTerms(D d, const uint32_t* slopes, const Terms& terms, V sum) {
  const V slope = hn::Load(d, slopes);
  for (uint32_t t = 0; t < terms.count; ++t) {
    const V product = hn::ShiftLeftSame(slope, terms.shift[t]);
    sum = terms.subtracted[t] ? hn::Sub(sum, product) : hn::Add(sum, product);
  }
  return sum;
}

// The high halves of two vectors' sums, the top bytes of four.
template <class V>
HWY_INLINE void StoreHigh(const V (&sum)[2], int16_t* out) {
  const hn::ScalableTag<int16_t> d16;
  hn::StoreU(hn::ConcatOdd(d16, hn::BitCast(d16, sum[1]), hn::BitCast(d16, sum[0])), d16, out);
}
template <class V>
HWY_INLINE void StoreHigh(const V (&sum)[4], int8_t* out) {
  const hn::ScalableTag<int16_t> d16;
  const hn::ScalableTag<int8_t> d8;
  const auto low = hn::ConcatOdd(d16, hn::BitCast(d16, sum[1]), hn::BitCast(d16, sum[0]));
  const auto high = hn::ConcatOdd(d16, hn::BitCast(d16, sum[3]), hn::BitCast(d16, sum[2]));
  hn::StoreU(hn::ConcatOdd(d8, hn::BitCast(d8, high), hn::BitCast(d8, low)), d8, out);
}

template <typename Entry>
HWY_INLINE void ProductRowOf(const int32_t* slopes, const int32_t* levels, uint32_t positions,
                             size_t blocks, Entry* out) {
  LUTDB_DCHECK(positions <= kPositionsMax);
  constexpr size_t kVectors = sizeof(uint32_t) / sizeof(Entry);  // of sums in one of entries
  constexpr uint32_t kHalf = uint32_t{1} << (31 - 8 * sizeof(Entry));
  const hn::ScalableTag<uint32_t> d;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  Terms terms[kPositionsMax];
  int32_t first = 0;  // level that is not zero
  for (uint32_t p = 0; p < positions; ++p) {
    terms[p].Set(levels[p]);
    if (first == 0) first = levels[p];
  }
  // -((-a + half) >> F), the negated entry of the mirrored code, is (a + half - 1) >> F.
  const V rounding = hn::Set(d, first < 0 ? kHalf - 1 : kHalf);
  const auto* words = reinterpret_cast<const uint32_t*>(slopes);
  for (size_t b = 0; b < blocks; ++b, words += positions * kNeurons, out += kNeurons) {
    for (size_t n = 0; n < kNeurons; n += kVectors * lanes) {
      V sum[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        sum[v] = rounding;
        for (uint32_t p = 0; p < positions; ++p) {
          sum[v] = AddTerms(d, words + p * kNeurons + n + v * lanes, terms[p], sum[v]);
        }
      }
      StoreHigh(sum, out + n);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void ProductRowI16(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                   int16_t* out) {
  ProductRowOf(slopes, levels, positions, blocks, out);
}
void ProductRowI8(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                  int8_t* out) {
  ProductRowOf(slopes, levels, positions, blocks, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(ProductRowI16);
HWY_EXPORT(ProductRowI8);

void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int16_t* out) {
  HWY_DYNAMIC_DISPATCH(ProductRowI16)(slopes, levels, positions, blocks, out);
}
void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int8_t* out) {
  HWY_DYNAMIC_DISPATCH(ProductRowI8)(slopes, levels, positions, blocks, out);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
