// Sixteen f32 lanes on any vector width: one vector of 16, two of 8 or four of 4. Included once per
// target by the f32 kernels; not for the scalar target, which is the oracle.
#if defined(LUTDB_LANES16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LUTDB_LANES16_INL_H_
#undef LUTDB_LANES16_INL_H_
#else
#define LUTDB_LANES16_INL_H_
#endif

#include <cstddef>

#include "engine/kernels/approximations.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
using V32 = hn::Vec<F32>;
constexpr size_t kVectorLanes = hn::MaxLanes(F32());
constexpr size_t kVectors = 16 / kVectorLanes;

// Lanes 8, 4, 2, 1 are folded in that order on a copy in memory: it is done once per reduction.
HWY_INLINE float FoldLanes(float* lanes) {
  for (size_t width = 8; width >= 1; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// The same folding in registers.
template <class D>
HWY_INLINE float FoldVector(D d, hn::Vec<D> lanes) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return FoldVector(half, hn::Add(hn::LowerHalf(half, lanes), hn::UpperHalf(half, lanes)));
  } else {
    const auto two = hn::Add(lanes, hn::Shuffle1032(lanes));
    return hn::GetLane(hn::Add(two, hn::Shuffle2301(two)));
  }
}

// Of the sums of one reduction, which it leaves folded.
HWY_INLINE float FoldVectors(V32* sums) {
  for (size_t width = kVectors / 2; width >= 1; width /= 2) {
    for (size_t k = 0; k < width; ++k) sums[k] = hn::Add(sums[k], sums[k + width]);
  }
  return FoldVector(F32(), sums[0]);
}

// Lane l sums term(l), term(l + 16), ...: vector_term(i) gives the terms from i on, scalar_term(i)
// one of them, for the tail.
template <class VectorTerm, class ScalarTerm>
HWY_INLINE float Reduce16(size_t count, const VectorTerm& vector_term,
                          const ScalarTerm& scalar_term) {
  const F32 d;
  V32 sums[kVectors];
  for (size_t k = 0; k < kVectors; ++k) sums[k] = hn::Zero(d);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t k = 0; k < kVectors; ++k) {
      sums[k] = hn::Add(sums[k], vector_term(i + k * kVectorLanes));
    }
  }
  if (i == count) return FoldVectors(sums);
  HWY_ALIGN float lanes[16];
  for (size_t k = 0; k < kVectors; ++k) hn::Store(sums[k], d, lanes + k * kVectorLanes);
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += scalar_term(i);
  return FoldLanes(lanes);
}

// reference::Exp, operation by operation. The constant comes first in Max and Min, so that NaN
// wins.
HWY_INLINE V32 ExpV(V32 x) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  x = hn::Min(hn::Set(d, kExpHigh), hn::Max(hn::Set(d, kExpLow), x));
  const V32 shift = hn::Set(d, kRoundShift);
  const V32 k = hn::Sub(hn::Add(hn::Mul(x, hn::Set(d, kLog2E)), shift), shift);
  const V32 r =
      hn::Sub(hn::Sub(x, hn::Mul(k, hn::Set(d, kLn2High))), hn::Mul(k, hn::Set(d, kLn2Low)));
  V32 p = hn::Set(d, kExpP[4]);
  for (int i = 3; i >= 0; --i) p = hn::Add(hn::Mul(p, r), hn::Set(d, kExpP[i]));
  const V32 y = hn::Add(hn::Add(hn::Mul(hn::Mul(p, r), r), r), hn::Set(d, 1.0f));
  const auto exponent = hn::ConvertTo(di, k);
  const auto half = hn::ShiftRight<1>(exponent);
  const auto bias = hn::Set(di, 127);
  const V32 first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V32 second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(exponent, half), bias)));
  return hn::Mul(hn::Mul(y, first), second);
}

#endif  // HWY_TARGET != HWY_SCALAR
}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#endif  // LUTDB_LANES16_INL_H_
