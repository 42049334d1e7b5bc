// The f32 ops of the scalar oracle, and RoPE angles in double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/kernels/approximations.h"
#include "engine/kernels/reference.h"

namespace lutdb::kernels::reference {
namespace {

constexpr uint32_t kLanes = 16;

// The one order of reduction: lane l has elements l, l + 16, ...; then lanes are folded.
template <typename Term>
float Reduce(size_t count, Term term) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < count; ++i) lanes[i % kLanes] += term(i);
  for (uint32_t width = kLanes / 2; width >= 1; width /= 2) {
    for (uint32_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

float PowerOfTwo(int32_t exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
}

float Tanh(float x) {
  const float magnitude = std::fabs(x);
  if (magnitude <= kTanhSmall) {
    const float square = x * x;
    float p = kTanhP[4];
    for (int i = 3; i >= 0; --i) p = p * square + kTanhP[i];
    return x + (x * square) * p;
  }
  return std::copysign(1.0f - 2.0f / (Exp(magnitude + magnitude) + 1.0f), x);
}

float Gelu(float x) {
  const float z = std::fabs(x) * kSqrtHalf;
  const float t = 1.0f / (1.0f + 0.5f * z);
  float p = kErfcP[6];
  for (int i = 5; i >= 0; --i) p = p * t + kErfcP[i];
  const float half_erfc = 0.5f * ((p * t) * Exp(-(z * z)));
  return x >= 0 ? x - x * half_erfc : x * half_erfc;
}

float ActivateOne(Activation activation, float alpha, float x) {
  switch (activation) {
    case Activation::kIdentity:
      return x;
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kLeakyRelu:
      return x > 0 ? x : alpha * x;
    case Activation::kSilu:
      return x / (1.0f + Exp(-x));
    case Activation::kGelu:
      return Gelu(x);
    case Activation::kGeluTanh: {
      const float u = kSqrtTwoOverPi * (x + kGeluCubic * ((x * x) * x));
      return x / (1.0f + Exp(-(u + u)));
    }
    case Activation::kSigmoid:
      return 1.0f / (1.0f + Exp(-x));
    case Activation::kTanh:
      return Tanh(x);
  }
  return x;
}

// ---- double, for RoPE angles; all by +, -, * and / alone ----

double RoundDouble(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
  return (x + kShift) - kShift;
}

// ln 2 and pi / 2 cut into parts of few bits, so that a small integer times a part is exact.
constexpr double kLn2A = 0x1.62e42fee00000p-1;
constexpr double kLn2B = 0x1.a39ef35793c76p-33;
constexpr double kHalfPiA = 0x1.921fb54400000p+0;
constexpr double kHalfPiB = 0x1.0b4611a600000p-34;
constexpr double kHalfPiC = 0x1.3198a2e037073p-69;

// Natural logarithm of a positive normal number: 2 atanh((m - 1) / (m + 1)) + e ln 2.
double Log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m += m;
    --exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double square = s * s;
  double series = 0;
  for (int k = 23; k >= 1; k -= 2) series = series * square + 1.0 / k;
  return exponent * kLn2A + (2.0 * s * series + exponent * kLn2B);
}

// exp for |x| < 700 by its Taylor series on |r| <= ln(2) / 2.
double ExpDouble(double x) {
  const double k = RoundDouble(x * 1.4426950408889634);
  const double r = (x - k * kLn2A) - k * kLn2B;
  double sum = 1.0;
  for (int i = 15; i >= 1; --i) sum = 1.0 + sum * r / i;
  return std::ldexp(sum, static_cast<int>(k));
}

struct SinCos {
  double sine;
  double cosine;
};

// Taylor series on |r| <= pi / 4; exact reduction for |x| up to about 10^6.
SinCos SinCosOf(double x) {
  const double k = RoundDouble(x * 0.63661977236758134);
  const double r = ((x - k * kHalfPiA) - k * kHalfPiB) - k * kHalfPiC;
  const double square = r * r;
  double sine = 1.0;
  for (int i = 18; i >= 2; i -= 2) sine = 1.0 - sine * square / (i * (i + 1));
  sine *= r;
  double cosine = 1.0;
  for (int i = 17; i >= 1; i -= 2) cosine = 1.0 - cosine * square / (i * (i + 1));
  switch (static_cast<int64_t>(k) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace

float Exp(float x) {
  if (x != x) return x;
  x = std::min(std::max(x, kExpLow), kExpHigh);
  const float k = (x * kLog2E + kRoundShift) - kRoundShift;
  const float r = (x - k * kLn2High) - k * kLn2Low;
  float p = kExpP[4];
  for (int i = 3; i >= 0; --i) p = p * r + kExpP[i];
  const float y = ((p * r) * r + r) + 1.0f;
  const auto exponent = static_cast<int32_t>(k);
  const int32_t half = exponent >> 1;  // two factors, because 2^k alone may not be a normal number
  return (y * PowerOfTwo(half)) * PowerOfTwo(exponent - half);
}

float Dot(const float* a, const float* b, size_t count) {
  return Reduce(count, [&](size_t i) { return a[i] * b[i]; });
}

void MatVec(const float* weights, const float* x, const float* bias, size_t rows, size_t cols,
            float* y) {
  for (size_t r = 0; r < rows; ++r) {
    const float sum = Dot(weights + r * cols, x, cols);
    y[r] = bias == nullptr ? sum : sum + bias[r];
  }
}

void AddScaled(const float* x, float a, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] += a * x[i];
}

void AddScaledRows(const float* rows, const float* factors, size_t count, size_t cols, float* y) {
  for (size_t r = 0; r < count; ++r) AddScaled(rows + r * cols, factors[r], cols, y);
}

void Add(const float* a, const float* b, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void Multiply(const float* a, const float* b, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
}

void ScaleShift(const float* x, const float* scale, const float* shift, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * scale[i] + shift[i];
}

void RmsNorm(const float* x, const float* weight, float epsilon, size_t count, float* y) {
  if (count == 0) return;
  const float squares = Reduce(count, [&](size_t i) { return x[i] * x[i]; });
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(count) + epsilon);
  for (size_t i = 0; i < count; ++i) y[i] = (x[i] * inverse) * weight[i];
}

void LayerNorm(const float* x, const float* weight, const float* shift, float epsilon, size_t count,
               float* y) {
  if (count == 0) return;
  const float mean = Reduce(count, [&](size_t i) { return x[i]; }) / static_cast<float>(count);
  const float squares = Reduce(count, [&](size_t i) { return (x[i] - mean) * (x[i] - mean); });
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(count) + epsilon);
  for (size_t i = 0; i < count; ++i) {
    const float value = ((x[i] - mean) * inverse) * weight[i];
    y[i] = shift == nullptr ? value : value + shift[i];
  }
}

void Activate(Activation activation, float alpha, const float* x, size_t count, float* y) {
  for (size_t i = 0; i < count; ++i) y[i] = ActivateOne(activation, alpha, x[i]);
}

void Softmax(const float* x, size_t count, float* y) {
  if (count == 0) return;
  const float largest = *std::max_element(x, x + count);
  for (size_t i = 0; i < count; ++i) y[i] = Exp(x[i] - largest);
  const float sum = Reduce(count, [&](size_t i) { return y[i]; });
  for (size_t i = 0; i < count; ++i) y[i] = y[i] / sum;
}

void Rope(const float* cosine, const float* sine, size_t heads, size_t head_dim, float* x) {
  const size_t half = head_dim / 2;
  for (size_t h = 0; h < heads; ++h, x += head_dim) {
    for (size_t i = 0; i < half; ++i) {
      const float first = x[i];
      const float second = x[i + half];
      x[i] = first * cosine[i] - second * sine[i];
      x[i + half] = second * cosine[i] + first * sine[i];
    }
  }
}

void RopeFrequencies(float theta, size_t head_dim, double* frequencies) {
  const double log_theta = Log(theta);
  for (size_t i = 0; i < head_dim / 2; ++i) {
    const double fraction = static_cast<double>(2 * i) / static_cast<double>(head_dim);
    frequencies[i] = ExpDouble(-fraction * log_theta);
  }
}

void RopeAngles(uint32_t position, const double* frequencies, size_t pairs, float* cosine,
                float* sine) {
  for (size_t i = 0; i < pairs; ++i) {
    const SinCos angle = SinCosOf(position * frequencies[i]);
    cosine[i] = static_cast<float>(angle.cosine);
    sine[i] = static_cast<float>(angle.sine);
  }
}

// Subnormals by an exact subtraction of floats: (2^-14 + m 2^-24) - 2^-14. NaN payloads are kept.
void ConvertF16(const uint16_t* from, size_t count, float* to) {
  constexpr uint32_t kSmallestNormal = 113u << 23;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t sign = static_cast<uint32_t>(from[i] & 0x8000) << 16;
    const uint32_t magnitude = from[i] & 0x7fff;
    const float subnormal = std::bit_cast<float>((magnitude << 13) + kSmallestNormal) -
                            std::bit_cast<float>(kSmallestNormal);
    const uint32_t bits = magnitude >= 0x7c00  ? (magnitude << 13) | 0x7f800000u
                          : magnitude < 0x0400 ? std::bit_cast<uint32_t>(subnormal)
                                               : (magnitude << 13) + (112u << 23);
    to[i] = std::bit_cast<float>(bits | sign);
  }
}

void ConvertBF16(const uint16_t* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) {
    to[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16);
  }
}

}  // namespace lutdb::kernels::reference
