// Levels from data, and what is refused as data.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "coding/levels.h"
#include "ingest/calibrate.h"

namespace lutdb {
namespace {

std::vector<float> Skewed(size_t count) {
  std::mt19937 random(5);
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    const float u = static_cast<float>(random() % 100000) / 100000.0f;
    values.push_back(u * u * u * 40 - 1);
  }
  std::sort(values.begin(), values.end());
  return values;
}

double MeanSquaredError(const std::vector<float>& values, const FittedInput& fitted) {
  double sum = 0;
  for (const float value : values) {
    const auto& thresholds = fitted.set.thresholds;
    const auto above = std::upper_bound(thresholds.begin(), thresholds.end(), value / fitted.scale);
    const double level = fitted.set.levels[static_cast<size_t>(above - thresholds.begin())];
    sum += std::pow(value - fitted.scale * level, 2);
  }
  return sum / static_cast<double>(values.size());
}

TEST(FitInput, QuantilesHoldEquallyManyValues) {
  const std::vector<float> values = Skewed(16000);
  const FittedInput fitted = FitInput(values, 4, LevelsFrom::kQuantile, 0);
  ASSERT_TRUE(CheckLevelSet(fitted.set).ok());
  ASSERT_EQ(fitted.set.levels.size(), 16u);
  size_t before = 0;
  for (const float threshold : fitted.set.thresholds) {
    const auto at = std::lower_bound(values.begin(), values.end(), threshold * fitted.scale);
    const auto below = static_cast<size_t>(at - values.begin());
    EXPECT_NEAR(static_cast<double>(below - before), 1000, 20);
    before = below;
  }
}

TEST(FitInput, LearnedLevelsLoseLess) {
  const std::vector<float> values = Skewed(8000);
  const double learned = MeanSquaredError(values, FitInput(values, 4, LevelsFrom::kLearned, 0));
  const double quantile = MeanSquaredError(values, FitInput(values, 4, LevelsFrom::kQuantile, 0));
  // Sixteen even levels over the 40 units: (40 / 16)^2 / 12.
  EXPECT_LT(learned, 0.8 * 0.52);
  EXPECT_LT(learned, quantile);
}

TEST(FitInput, FewValuesAreAllLevels) {
  const std::vector<float> values = {0, 0, 0, 1, 1, 2, 5, 5, 5, 5};
  for (const LevelsFrom from : {LevelsFrom::kQuantile, LevelsFrom::kLearned}) {
    const FittedInput fitted = FitInput(values, 4, from, 0);
    ASSERT_EQ(fitted.set.levels.size(), 4u);
    EXPECT_LT(MeanSquaredError(values, fitted), 1e-6);
  }
}

TEST(FitInput, ConstantInputsKeepTheirValue) {
  for (const float constant : {0.0f, 3.25f, -7.0f, 1e30f, 1e-40f}) {
    const std::vector<float> values(9, constant);
    for (const LevelsFrom from : {LevelsFrom::kQuantile, LevelsFrom::kLearned}) {
      const FittedInput fitted = FitInput(values, 4, from, 0);
      EXPECT_TRUE(CheckLevelSet(fitted.set).ok()) << constant;
      EXPECT_EQ(fitted.set.levels.size(), 2u);
      EXPECT_NEAR(std::sqrt(MeanSquaredError(values, fitted)), 0,
                  std::fabs(constant) * 1e-4 + 1e-37);
    }
  }
}

// Most values of a rectified input are zero: the others still get their levels.
TEST(FitInput, ManyEqualValuesTakeOneLevel) {
  std::vector<float> values(30000, -1.0f);
  const std::vector<float> others = Skewed(5000);
  values.insert(values.end(), others.begin(), others.end());
  std::sort(values.begin(), values.end());
  const FittedInput fitted = FitInput(values, 4, LevelsFrom::kLearned, 0);
  EXPECT_EQ(fitted.set.levels.size(), 16u);
  EXPECT_LT(MeanSquaredError(values, fitted), 0.9 * 0.52 / 7);
}

TEST(FitInput, OneBitIsAThreshold) {
  std::vector<float> values(100, 0.0f);
  std::fill(values.begin() + 60, values.end(), 1.0f);
  for (const LevelsFrom from : {LevelsFrom::kQuantile, LevelsFrom::kLearned}) {
    const FittedInput fitted = FitInput(values, 1, from, 0);
    ASSERT_EQ(fitted.set.thresholds.size(), 1u);
    EXPECT_NEAR(fitted.set.thresholds[0] * fitted.scale, 0.5, 1e-3);
  }
}

TEST(FitInput, ScalesArePowersOfTwo) {
  for (const float factor : {1e-20f, 1.0f, 12345.0f, 1e25f}) {
    std::vector<float> values = Skewed(500);
    for (float& value : values) value *= factor;
    const FittedInput fitted = FitInput(values, 5, LevelsFrom::kLearned, 0);
    int exponent = 0;
    EXPECT_EQ(std::frexp(fitted.scale, &exponent), 0.5f);
    EXPECT_TRUE(CheckLevelSet(fitted.set).ok());
  }
}

std::vector<float> Gaussian(size_t rows, uint32_t width) {
  std::mt19937 random(9);
  std::vector<float> values;
  for (size_t i = 0; i < rows * width; ++i) {
    float sum = 0;
    for (int k = 0; k < 12; ++k) sum += static_cast<float>(random() % 10000) / 10000.0f - 0.5f;
    values.push_back(sum);
  }
  return values;
}

TEST(FitVectors, LevelsAreDenseWhereValuesAre) {
  const auto set = FitVectors(Gaussian(400, 64), 64, 4, LevelsFrom::kLearned);
  ASSERT_TRUE(set.ok());
  ASSERT_EQ(set->levels.size(), 16u);
  EXPECT_GT(set->levels[1] - set->levels[0], 2 * (set->levels[8] - set->levels[7]));
}

TEST(FitVectors, RefusesNothingButZeros) {
  const std::vector<float> zeros(640, 0.0f);
  EXPECT_EQ(FitVectors(zeros, 64, 4, LevelsFrom::kLearned).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FitCodebook(zeros, 64, 2, 16).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(FitCodebook, NeedsAsManyChunksAsCodewords) {
  const std::vector<float> rows = Gaussian(4, 5);
  EXPECT_TRUE(FitCodebook(rows, 5, 2, 12).ok());
  EXPECT_EQ(FitCodebook(rows, 5, 2, 13).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace lutdb
