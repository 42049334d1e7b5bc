#include "engine/sample.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace lutdb {
namespace {

TEST(Sample, GreedyTakesTheLowestAmongEquals) {
  const std::vector<float> logits{1, 3, 3, 2};
  EXPECT_EQ(ArgMax(logits), 1u);
  Sampler sampler({.temperature = 0, .top_p = 0.9f, .seed = 1});
  EXPECT_EQ(sampler.Next(logits), 1u);
}

TEST(Sample, FollowsTheSharesOfTheLogits) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  Sampler sampler({.temperature = 1, .top_p = 1, .seed = 42});
  std::array<int, 3> seen{};
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++seen[sampler.Next(logits)];
  EXPECT_NEAR(seen[0], 0.5 * kDraws, 0.02 * kDraws);
  EXPECT_NEAR(seen[1], 0.3 * kDraws, 0.02 * kDraws);
  EXPECT_NEAR(seen[2], 0.2 * kDraws, 0.02 * kDraws);
}

TEST(Sample, TopPLeavesOutTheTail) {
  const std::vector<float> logits{std::log(0.05f), std::log(0.6f), std::log(0.3f), std::log(0.05f)};
  Sampler sampler({.temperature = 1, .top_p = 0.8f, .seed = 3});
  std::array<int, 4> seen{};
  for (int i = 0; i < 5000; ++i) ++seen[sampler.Next(logits)];
  EXPECT_EQ(seen[0] + seen[3], 0);
  EXPECT_NEAR(seen[1], 5000 * 2 / 3, 150);
  Sampler only_the_best({.temperature = 1, .top_p = 0, .seed = 3});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(only_the_best.Next(logits), 1u);
}

TEST(Sample, SameSeedSameTokens) {
  std::vector<float> logits(100);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 17) * 0.3f;
  Sampler a({.temperature = 0.8f, .top_p = 0.95f, .seed = 5});
  Sampler b({.temperature = 0.8f, .top_p = 0.95f, .seed = 5});
  Sampler c({.temperature = 0.8f, .top_p = 0.95f, .seed = 6});
  int differing = 0;
  for (int i = 0; i < 200; ++i) {
    const uint32_t token = a.Next(logits);
    EXPECT_EQ(token, b.Next(logits));
    differing += token != c.Next(logits);
  }
  EXPECT_GT(differing, 100);
}

TEST(Sample, TinyTemperatureIsGreedyNotNaN) {
  const std::vector<float> logits{-1000, 500, 499.9f};
  Sampler sampler({.temperature = 1e-38f, .top_p = 0.95f, .seed = 1});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sampler.Next(logits), 1u);
}

TEST(Sample, TopKKeepsTheLikeliest) {
  const std::vector<float> logits{std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
  Sampler sampler({.temperature = 1, .top_k = 2, .seed = 3});
  std::array<int, 4> seen{};
  for (int i = 0; i < 7000; ++i) ++seen[sampler.Next(logits)];
  EXPECT_EQ(seen[0] + seen[2], 0);
  EXPECT_NEAR(seen[1], 4000, 200);
  // top_p is a part of what top_k left: 0.4 of 0.7 is more than half, so the first is enough.
  Sampler both({.temperature = 1, .top_k = 2, .top_p = 0.5f, .seed = 3});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(both.Next(logits), 1u);
}

TEST(Sample, MinPIsAPartOfTheLargestShare) {
  const std::vector<float> logits{std::log(0.6f), std::log(0.25f), std::log(0.15f)};
  Sampler sampler({.temperature = 1, .min_p = 0.3f, .seed = 9});
  std::array<int, 3> seen{};
  for (int i = 0; i < 5000; ++i) ++seen[sampler.Next(logits)];
  EXPECT_EQ(seen[2], 0);
  EXPECT_GT(seen[1], 1000);
}

TEST(Sample, RepetitionIsPunishedOnBothSidesOfZero) {
  Sampler sampler({.temperature = 0, .repetition_penalty = 2});
  EXPECT_EQ(sampler.Next(std::vector<float>{3, 2, -1}), 0u);
  sampler.See(0);
  EXPECT_EQ(sampler.Next(std::vector<float>{3, 2, -1}), 1u);
  EXPECT_EQ(sampler.Next(std::vector<float>{-1, -1.5f, -3}), 1u);
  Sampler none({.temperature = 0});
  none.See(0);
  EXPECT_EQ(none.Next(std::vector<float>{3, 2, -1}), 0u);
}

TEST(Sample, RefusesImpossibleOptions) {
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.min_p = -0.1f})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.repetition_penalty = 0})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.repetition_penalty = NAN})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = -1})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = NAN})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = 1, .top_p = 1.5f})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = 1, .top_p = NAN})));
  EXPECT_TRUE(Sampler::Check({.temperature = 1, .top_p = 0.5f}).ok());
}

}  // namespace
}  // namespace lutdb
