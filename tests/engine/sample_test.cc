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

TEST(Sample, RefusesImpossibleOptions) {
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = -1})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = NAN})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = 1, .top_p = 1.5f})));
  EXPECT_TRUE(absl::IsInvalidArgument(Sampler::Check({.temperature = 1, .top_p = NAN})));
  EXPECT_TRUE(Sampler::Check({.temperature = 1, .top_p = 0.5f}).ok());
}

}  // namespace
}  // namespace lutdb
