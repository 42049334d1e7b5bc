// f32 ops: sums in 16 lanes, norms, products, RoPE. activations.cc has what needs exp.
// Tails shorter than a vector go to the oracle, which does the same operations one by one.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/elementwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After highway.h.
#include "engine/kernels/lanes16-inl.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

float DotOf(const float* a, const float* b, size_t count) { return reference::Dot(a, b, count); }
void MatVecOf(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
              float* y) {
  reference::MatVec(weights, x, bias, rows, cols, y);
}
void AddScaledRowsOf(const float* rows, const float* factors, size_t count, size_t cols, float* y) {
  reference::AddScaledRows(rows, factors, count, cols, y);
}
void AddOf(const float* a, const float* b, size_t count, float* y) {
  reference::Add(a, b, count, y);
}
void MultiplyOf(const float* a, const float* b, size_t count, float* y) {
  reference::Multiply(a, b, count, y);
}
void ScaleShiftOf(const float* x, const float* scale, const float* shift, size_t count, float* y) {
  reference::ScaleShift(x, scale, shift, count, y);
}
void RmsNormOf(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  reference::RmsNorm(x, weight, epsilon, count, y);
}
void LayerNormOf(const float* x, const float* weight, const float* shift, float epsilon,
                 size_t count, float* y) {
  reference::LayerNorm(x, weight, shift, epsilon, count, y);
}
void RopeOf(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x) {
  reference::Rope(cosine, sine, heads, head_dim, x);
}

#else

float DotOf(const float* a, const float* b, size_t count) {
  const F32 d;
  return Reduce16(
      count, [&](size_t i) HWY_ATTR { return hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)); },
      [&](size_t i) HWY_ATTR { return a[i] * b[i]; });
}

// kRows dot products at once: their chains of additions are independent, which hides their latency.
template <size_t kRows>
HWY_INLINE void DotRows(const float* HWY_RESTRICT weights, const float* HWY_RESTRICT x, size_t cols,
                        float* HWY_RESTRICT y) {
  const F32 d;
  V32 sums[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t k = 0; k < kVectors; ++k) sums[r][k] = hn::Zero(d);
  }
  size_t i = 0;
  for (; i + 16 <= cols; i += 16) {
    for (size_t k = 0; k < kVectors; ++k) {
      const size_t at = i + k * kVectorLanes;
      const V32 v = hn::LoadU(d, x + at);
      for (size_t r = 0; r < kRows; ++r) {
        sums[r][k] = hn::Add(sums[r][k], hn::Mul(hn::LoadU(d, weights + r * cols + at), v));
      }
    }
  }
  if (i == cols) {
    for (size_t r = 0; r < kRows; ++r) y[r] = FoldVectors(sums[r]);
    return;
  }
  for (size_t r = 0; r < kRows; ++r) {
    HWY_ALIGN float lanes[16];
    for (size_t k = 0; k < kVectors; ++k) hn::Store(sums[r][k], d, lanes + k * kVectorLanes);
    for (size_t j = i; j < cols; ++j) lanes[j - i] += weights[r * cols + j] * x[j];
    y[r] = FoldLanes(lanes);
  }
}

void MatVecOf(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
              float* y) {
  constexpr size_t kRows = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows) DotRows<kRows>(weights + r * cols, x, cols, y + r);
  for (; r < rows; ++r) DotRows<1>(weights + r * cols, x, cols, y + r);
  if (bias != nullptr) reference::Add(y, bias, rows, y);
}

// kWide vectors of y, kept in registers while all rows are added.
template <size_t kWide>
HWY_INLINE void AddScaledStrip(const float* HWY_RESTRICT rows, const float* HWY_RESTRICT factors,
                               size_t count, size_t cols, float* HWY_RESTRICT y) {
  const F32 d;
  V32 sums[kWide];
  for (size_t k = 0; k < kWide; ++k) sums[k] = hn::LoadU(d, y + k * kVectorLanes);
  for (size_t r = 0; r < count; ++r, rows += cols) {
    const V32 factor = hn::Set(d, factors[r]);
    for (size_t k = 0; k < kWide; ++k) {
      sums[k] = hn::Add(sums[k], hn::Mul(factor, hn::LoadU(d, rows + k * kVectorLanes)));
    }
  }
  for (size_t k = 0; k < kWide; ++k) hn::StoreU(sums[k], d, y + k * kVectorLanes);
}

void AddScaledRowsOf(const float* rows, const float* factors, size_t count, size_t cols, float* y) {
  constexpr size_t kWide = 4;
  size_t i = 0;
  for (; i + kWide * kVectorLanes <= cols; i += kWide * kVectorLanes) {
    AddScaledStrip<kWide>(rows + i, factors, count, cols, y + i);
  }
  for (; i + kVectorLanes <= cols; i += kVectorLanes) {
    AddScaledStrip<1>(rows + i, factors, count, cols, y + i);
  }
  if (i == cols) return;
  for (size_t r = 0; r < count; ++r) {
    reference::AddScaled(rows + r * cols + i, factors[r], cols - i, y + i);
  }
}

void AddOf(const float* a, const float* b, size_t count, float* y) {
  const F32 d;
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  }
  reference::Add(a + i, b + i, count - i, y + i);
}

void MultiplyOf(const float* a, const float* b, size_t count, float* y) {
  const F32 d;
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  }
  reference::Multiply(a + i, b + i, count - i, y + i);
}

void ScaleShiftOf(const float* x, const float* scale, const float* shift, size_t count, float* y) {
  const F32 d;
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 product = hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, scale + i));
    hn::StoreU(hn::Add(product, hn::LoadU(d, shift + i)), d, y + i);
  }
  reference::ScaleShift(x + i, scale + i, shift + i, count - i, y + i);
}

void RmsNormOf(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  if (count == 0) return;
  const F32 d;
  const float inverse = 1.0f / std::sqrt(DotOf(x, x, count) / static_cast<float>(count) + epsilon);
  const V32 factor = hn::Set(d, inverse);
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 scaled = hn::Mul(hn::LoadU(d, x + i), factor);
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, weight + i)), d, y + i);
  }
  for (; i < count; ++i) y[i] = (x[i] * inverse) * weight[i];
}

void LayerNormOf(const float* x, const float* weight, const float* shift, float epsilon,
                 size_t count, float* y) {
  if (count == 0) return;
  const F32 d;
  const float mean = Reduce16(
                         count, [&](size_t i) HWY_ATTR { return hn::LoadU(d, x + i); },
                         [&](size_t i) HWY_ATTR { return x[i]; }) /
                     static_cast<float>(count);
  const V32 means = hn::Set(d, mean);
  const float squares = Reduce16(
      count,
      [&](size_t i) HWY_ATTR {
        const V32 centred = hn::Sub(hn::LoadU(d, x + i), means);
        return hn::Mul(centred, centred);
      },
      [&](size_t i) HWY_ATTR { return (x[i] - mean) * (x[i] - mean); });
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(count) + epsilon);
  const V32 factor = hn::Set(d, inverse);
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 centred = hn::Sub(hn::LoadU(d, x + i), means);
    V32 value = hn::Mul(hn::Mul(centred, factor), hn::LoadU(d, weight + i));
    if (shift != nullptr) value = hn::Add(value, hn::LoadU(d, shift + i));
    hn::StoreU(value, d, y + i);
  }
  for (; i < count; ++i) {
    const float value = ((x[i] - mean) * inverse) * weight[i];
    y[i] = shift == nullptr ? value : value + shift[i];
  }
}

HWY_INLINE void RotateHead(const float* cosine, const float* sine, size_t half, float* x) {
  const F32 d;
  size_t i = 0;
  for (; i + kVectorLanes <= half; i += kVectorLanes) {
    const V32 first = hn::LoadU(d, x + i), second = hn::LoadU(d, x + half + i);
    const V32 c = hn::LoadU(d, cosine + i), s = hn::LoadU(d, sine + i);
    hn::StoreU(hn::Sub(hn::Mul(first, c), hn::Mul(second, s)), d, x + i);
    hn::StoreU(hn::Add(hn::Mul(second, c), hn::Mul(first, s)), d, x + half + i);
  }
  for (; i < half; ++i) {
    const float first = x[i];
    const float second = x[i + half];
    x[i] = first * cosine[i] - second * sine[i];
    x[i + half] = second * cosine[i] + first * sine[i];
  }
}

void RopeOf(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x) {
  for (size_t h = 0; h < heads; ++h) RotateHead(cosine, sine, head_dim / 2, x + h * head_dim);
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(DotOf);
HWY_EXPORT(MatVecOf);
HWY_EXPORT(AddScaledRowsOf);
HWY_EXPORT(AddOf);
HWY_EXPORT(MultiplyOf);
HWY_EXPORT(ScaleShiftOf);
HWY_EXPORT(RmsNormOf);
HWY_EXPORT(LayerNormOf);
HWY_EXPORT(RopeOf);

float Dot(const float* a, const float* b, size_t count) {
  return HWY_DYNAMIC_DISPATCH(DotOf)(a, b, count);
}
void MatVec(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
            float* y) {
  HWY_DYNAMIC_DISPATCH(MatVecOf)(weights, x, bias, rows, cols, y);
}
void AddScaledRows(const float* rows, const float* factors, size_t count, size_t cols, float* y) {
  HWY_DYNAMIC_DISPATCH(AddScaledRowsOf)(rows, factors, count, cols, y);
}
void Add(const float* a, const float* b, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddOf)(a, b, count, y);
}
void Multiply(const float* a, const float* b, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(MultiplyOf)(a, b, count, y);
}
void ScaleShift(const float* x, const float* scale, const float* shift, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleShiftOf)(x, scale, shift, count, y);
}
void RmsNorm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(RmsNormOf)(x, weight, epsilon, count, y);
}
void LayerNorm(const float* x, const float* weight, const float* shift, float epsilon, size_t count,
               float* y) {
  HWY_DYNAMIC_DISPATCH(LayerNormOf)(x, weight, shift, epsilon, count, y);
}
void Rope(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x) {
  HWY_DYNAMIC_DISPATCH(RopeOf)(cosine, sine, heads, head_dim, x);
}

// Exact or in double, and the same code for every target.
void RopeFrequencies(float theta, size_t head_dim, double* frequencies) {
  reference::RopeFrequencies(theta, head_dim, frequencies);
}
void RopeAngles(uint32_t position, const double* frequencies, size_t pairs, float* cosine,
                float* sine) {
  reference::RopeAngles(position, frequencies, pairs, cosine, sine);
}
float Exp(float x) { return reference::Exp(x); }
void ConvertF16(const uint16_t* from, size_t count, float* to) {
  reference::ConvertF16(from, count, to);
}
void ConvertBF16(const uint16_t* from, size_t count, float* to) {
  reference::ConvertBF16(from, count, to);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
