// How far our own functions are from the exact ones. The oracle is measured: the vector kernels
// give its bits.
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/kernels.h"
#include "gtest/gtest.h"

namespace lutdb::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float Apply(Activation activation, float x) {
  float y = 0;
  Activate(activation, 0.01f, &x, 1, &y);
  return y;
}

// Distance in units of the last place of the exact value.
double UlpError(float found, double exact) {
  const auto rounded = static_cast<float>(exact);
  const float next = std::nextafter(std::fabs(rounded), kInfinity);
  return std::fabs(found - exact) / (static_cast<double>(next) - std::fabs(rounded));
}

TEST(Exp, WithinTwoUlp) {
  double worst = 0;
  for (float x = -87.3f; x < 88.7f; x += 0.00137f) {
    worst = std::max(worst, UlpError(Exp(x), std::exp(static_cast<double>(x))));
  }
  EXPECT_LE(worst, 2.0);
  for (float x = -103.5f; x < -87.3f; x += 0.01f) {  // subnormal results
    EXPECT_LE(UlpError(Exp(x), std::exp(static_cast<double>(x))), 2.0) << x;
  }
}

TEST(Exp, Ends) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-kInfinity), 0.0f);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_EQ(Exp(88.8f), kInfinity);
  EXPECT_TRUE(std::isfinite(Exp(88.72f)));
  EXPECT_EQ(Exp(-104.5f), 0.0f);
  EXPECT_GT(Exp(-103.0f), 0.0f);
  EXPECT_TRUE(std::isnan(Exp(std::nanf(""))));
}

TEST(Activate, CloseToTheExactFunctions) {
  for (double x = -30; x <= 30; x += 0.00713) {
    const auto input = static_cast<float>(x);
    const double v = input;
    const double sigmoid = 1 / (1 + std::exp(-v));
    EXPECT_NEAR(Apply(Activation::kSigmoid, input), sigmoid, 2e-7);
    EXPECT_NEAR(Apply(Activation::kSilu, input), v * sigmoid, 3e-7 * std::max(1.0, std::fabs(v)));
    EXPECT_LE(UlpError(Apply(Activation::kTanh, input), std::tanh(v)), 3.0) << v;
    const double scale = std::max(1.0, std::fabs(v));
    EXPECT_NEAR(Apply(Activation::kGelu, input), 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))),
                1e-6 * scale);
    const double u = std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v);
    EXPECT_NEAR(Apply(Activation::kGeluTanh, input), 0.5 * v * (1 + std::tanh(u)), 1e-6 * scale);
    EXPECT_EQ(Apply(Activation::kRelu, input), std::max(0.0f, input));
    EXPECT_EQ(Apply(Activation::kLeakyRelu, input), input > 0 ? input : 0.01f * input);
    EXPECT_EQ(Apply(Activation::kIdentity, input), input);
  }
  EXPECT_EQ(Apply(Activation::kTanh, 100.0f), 1.0f);
  EXPECT_EQ(Apply(Activation::kTanh, -100.0f), -1.0f);
  EXPECT_EQ(Apply(Activation::kGelu, 100.0f), 100.0f);
}

TEST(Softmax, SumsToOneAndKeepsOrder) {
  const std::vector<float> x = {1.0f, 3.0f, -200.0f, 2.0f, -kInfinity};
  std::vector<float> y(x.size());
  Softmax(x.data(), x.size(), y.data());
  EXPECT_NEAR(y[0] + y[1] + y[3], 1.0f, 1e-6f);
  EXPECT_GT(y[1], y[3]);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_EQ(y[4], 0.0f);
}

// The exact angle is taken in long double: at position 10^6 an f64 frequency is itself 1e-10 off.
TEST(RopeAngles, CloseToTheExactAngles) {
  for (const uint32_t position : {0u, 1u, 2u, 255u, 4095u, 131071u, 999999u}) {
    for (const float theta : {10000.0f, 500000.0f, 1000000.0f}) {
      std::vector<float> cosine(64), sine(64);
      std::vector<double> frequencies(64);
      RopeFrequencies(theta, 128, frequencies.data());
      RopeAngles(position, frequencies.data(), 64, cosine.data(), sine.data());
      for (int i = 0; i < 64; ++i) {
        const long double frequency = std::pow(static_cast<long double>(theta), -2.0L * i / 128);
        const long double angle = position * frequency;
        EXPECT_NEAR(cosine[i], static_cast<double>(std::cos(angle)), 6e-8) << position << " " << i;
        EXPECT_NEAR(sine[i], static_cast<double>(std::sin(angle)), 6e-8) << position << " " << i;
      }
    }
  }
}

TEST(Convert, EveryHalf) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    float found = 0;
    ConvertF16(&half, 1, &found);
    const auto exponent = static_cast<int>(bits >> 10 & 31);
    const auto mantissa = static_cast<float>(bits & 1023);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(found), mantissa != 0);
    } else {
      const float magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25);
      EXPECT_EQ(std::fabs(found), magnitude);
    }
    EXPECT_EQ(std::signbit(found), bits >> 15 != 0);
    ConvertBF16(&half, 1, &found);
    EXPECT_EQ(std::bit_cast<uint32_t>(found), bits << 16);
  }
}

// ---- The choice of the scale ----

double CodingError(const std::vector<float>& x, float scale, Levels levels) {
  std::vector<uint16_t> index(x.size());
  LevelIndices(x.data(), x.size(), scale, levels, index.data());
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double level = levels.min + index[i] * levels.stride;
    error += (x[i] - scale * level) * (x[i] - scale * level);
  }
  return error;
}

std::vector<float> Normals(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& value : x) value = normal(random);
  return x;
}

TEST(ChooseScale, NeverWorseThanTheLargestMagnitudeAndNearTheBest) {
  for (int bits = 2; bits <= 12; ++bits) {
    const int32_t max = (1 << (bits - 1)) - 1;
    const Levels levels = {-max, max, 1};
    for (uint32_t seed = 0; seed < 8; ++seed) {
      const std::vector<float> x = Normals(512, seed);
      float largest = 0;
      for (const float value : x) largest = std::max(largest, std::fabs(value));
      const float base = largest / static_cast<float>(max);
      const double chosen = CodingError(x, ChooseScale(x.data(), x.size(), levels), levels);
      double best = DBL_MAX;
      for (float f = 1.0f; f > 0.08f; f -= 0.001f) {
        best = std::min(best, CodingError(x, base * f, levels));
      }
      EXPECT_LE(chosen, CodingError(x, base, levels) * 1.0001);
      EXPECT_LE(chosen, best * 1.08) << bits << " bits";
    }
  }
}

TEST(ChooseScale, SpecialInputs) {
  const Levels levels = {-127, 127, 1};
  const std::vector<float> zeros(20);
  EXPECT_EQ(ChooseScale(zeros.data(), zeros.size(), levels), 1.0f);
  EXPECT_EQ(ChooseScale(nullptr, 0, levels), 1.0f);
  const std::vector<float> tiny(20, 1e-44f);
  EXPECT_GE(ChooseScale(tiny.data(), tiny.size(), levels), FLT_MIN);
  const std::vector<float> huge(20, FLT_MAX);
  EXPECT_TRUE(std::isfinite(ChooseScale(huge.data(), huge.size(), levels)));
  const std::vector<float> pair = {1.0f, -3.0f};
  EXPECT_EQ(ChooseScale(pair.data(), 2, {-1, 1, 2}), 2.0f);  // one bit: the mean magnitude
  // An unsigned grid covers what is positive; negative inputs are lost either way.
  EXPECT_LE(ChooseScale(pair.data(), 2, {0, 255, 1}), 1.0f / 255);
  const std::vector<float> negative(5, -2.0f);
  EXPECT_GT(ChooseScale(negative.data(), 5, {0, 255, 1}), 0.0f);
}

}  // namespace
}  // namespace lutdb::kernels
