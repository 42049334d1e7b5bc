// Activation functions and softmax: the oracle's operations, a vector at a time.
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/activations.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After highway.h.
#include "engine/kernels/lanes16-inl.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void ActivateOf(Activation activation, float alpha, const float* x, size_t count, float* y) {
  reference::Activate(activation, alpha, x, count, y);
}
void SoftmaxOf(const float* x, size_t count, float* y) { reference::Softmax(x, count, y); }

#else

HWY_INLINE V32 One() { return hn::Set(F32(), 1.0f); }

HWY_INLINE V32 TanhV(V32 x) {
  const F32 d;
  const V32 magnitude = hn::Abs(x);
  const V32 square = hn::Mul(x, x);
  V32 p = hn::Set(d, kTanhP[4]);
  for (int i = 3; i >= 0; --i) p = hn::Add(hn::Mul(p, square), hn::Set(d, kTanhP[i]));
  const V32 small = hn::Add(x, hn::Mul(hn::Mul(x, square), p));
  const V32 power = ExpV(hn::Add(magnitude, magnitude));
  const V32 large = hn::Sub(One(), hn::Div(hn::Set(d, 2.0f), hn::Add(power, One())));
  return hn::IfThenElse(hn::Le(magnitude, hn::Set(d, kTanhSmall)), small, hn::CopySign(large, x));
}

HWY_INLINE V32 GeluV(V32 x) {
  const F32 d;
  const V32 half = hn::Set(d, 0.5f);
  const V32 z = hn::Mul(hn::Abs(x), hn::Set(d, kSqrtHalf));
  const V32 t = hn::Div(One(), hn::Add(One(), hn::Mul(half, z)));
  V32 p = hn::Set(d, kErfcP[6]);
  for (int i = 5; i >= 0; --i) p = hn::Add(hn::Mul(p, t), hn::Set(d, kErfcP[i]));
  const V32 half_erfc = hn::Mul(half, hn::Mul(hn::Mul(p, t), ExpV(hn::Neg(hn::Mul(z, z)))));
  const V32 share = hn::Mul(x, half_erfc);
  return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), hn::Sub(x, share), share);
}

HWY_INLINE V32 GeluTanhV(V32 x) {
  const F32 d;
  const V32 cube = hn::Mul(hn::Mul(x, x), x);
  const V32 u =
      hn::Mul(hn::Set(d, kSqrtTwoOverPi), hn::Add(x, hn::Mul(hn::Set(d, kGeluCubic), cube)));
  return hn::Div(x, hn::Add(One(), ExpV(hn::Neg(hn::Add(u, u)))));
}

HWY_INLINE V32 DivideByOnePlusExp(V32 numerator, V32 x) {
  return hn::Div(numerator, hn::Add(One(), ExpV(hn::Neg(x))));
}

template <class Function>
HWY_INLINE size_t Apply(const float* x, size_t count, float* y, const Function& function) {
  const F32 d;
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    hn::StoreU(function(hn::LoadU(d, x + i)), d, y + i);
  }
  return i;
}

void ActivateOf(Activation activation, float alpha, const float* x, size_t count, float* y) {
  const F32 d;
  size_t done = 0;
  switch (activation) {
    case Activation::kIdentity:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return v; });
      break;
    case Activation::kRelu:
      done = Apply(x, count, y,
                   [d](V32 v) HWY_ATTR { return hn::IfThenElseZero(hn::Gt(v, hn::Zero(d)), v); });
      break;
    case Activation::kLeakyRelu:
      done = Apply(x, count, y, [d, alpha](V32 v) HWY_ATTR {
        return hn::IfThenElse(hn::Gt(v, hn::Zero(d)), v, hn::Mul(hn::Set(d, alpha), v));
      });
      break;
    case Activation::kSilu:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return DivideByOnePlusExp(v, v); });
      break;
    case Activation::kGelu:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return GeluV(v); });
      break;
    case Activation::kGeluTanh:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return GeluTanhV(v); });
      break;
    case Activation::kSigmoid:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return DivideByOnePlusExp(One(), v); });
      break;
    case Activation::kTanh:
      done = Apply(x, count, y, [](V32 v) HWY_ATTR { return TanhV(v); });
      break;
  }
  reference::Activate(activation, alpha, x + done, count - done, y + done);
}

void SoftmaxOf(const float* x, size_t count, float* y) {
  if (count == 0) return;
  const F32 d;
  float largest = x[0];
  size_t i = 0;
  if (count >= kVectorLanes) {
    V32 maxima = hn::LoadU(d, x);
    for (i = kVectorLanes; i + kVectorLanes <= count; i += kVectorLanes) {
      maxima = hn::Max(maxima, hn::LoadU(d, x + i));
    }
    largest = hn::GetLane(hn::MaxOfLanes(d, maxima));
  }
  for (; i < count; ++i) largest = largest < x[i] ? x[i] : largest;
  const V32 maximum = hn::Set(d, largest);
  i = Apply(x, count, y, [maximum](V32 v) HWY_ATTR { return ExpV(hn::Sub(v, maximum)); });
  for (; i < count; ++i) y[i] = reference::Exp(x[i] - largest);
  const float sum = Reduce16(
      count, [&](size_t k) HWY_ATTR { return hn::LoadU(d, y + k); },
      [&](size_t k) HWY_ATTR { return y[k]; });
  const V32 sums = hn::Set(d, sum);
  i = Apply(y, count, y, [sums](V32 v) HWY_ATTR { return hn::Div(v, sums); });
  for (; i < count; ++i) y[i] = y[i] / sum;
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(ActivateOf);
HWY_EXPORT(SoftmaxOf);

void Activate(Activation activation, float alpha, const float* x, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(ActivateOf)(activation, alpha, x, count, y);
}
void Softmax(const float* x, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(SoftmaxOf)(x, count, y);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
