// Pairs worth a joint table, on made-up data whose pairs are known.

#include "engine/propose_chunks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/status.h"

namespace lutdb {
namespace {

// Uniform in -1 .. 1, by a generator of our own.
class Uniform {
 public:
  float Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) / static_cast<float>(1 << 23) - 1;
  }

 private:
  uint64_t state_ = 1;
};

template <typename Target>
Dataset MadeUp(size_t rows, uint32_t width, const Target& target) {
  Dataset data;
  data.source = "made up";
  data.rows = rows;
  data.width = width;
  data.target_width = 1;
  Uniform uniform;
  for (size_t i = 0; i < rows; ++i) {
    for (uint32_t c = 0; c < width; ++c) data.inputs.push_back(uniform.Next());
    data.targets.push_back(target(data.inputs.data() + i * width) + 0.2f * uniform.Next());
  }
  return data;
}

std::vector<uint32_t> AllRows(const Dataset& data) {
  std::vector<uint32_t> rows(data.rows);
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

TEST(ProposePairs, FindsWhatActsTogether) {
  // 1 x 4 most, 0 x 3 less; inputs 1 and 2 also act by themselves.
  const Dataset data = MadeUp(4000, 5, [](const float* x) {
    return 2 * x[1] * x[4] + std::fabs(x[0] - x[3]) + std::sin(3 * x[2]) / 2 + x[1] / 4;
  });
  const auto pairs = ProposePairs(data, AllRows(data), {}, {});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  ASSERT_EQ(pairs->size(), 10u);
  EXPECT_EQ((*pairs)[0].first, 1u);
  EXPECT_EQ((*pairs)[0].second, 4u);
  EXPECT_EQ((*pairs)[1].first, 0u);
  EXPECT_EQ((*pairs)[1].second, 3u);
  // The products have no mean, and nothing of them is in functions of one input.
  double variance = 0, mean = 0, products = 0;
  for (const float y : data.targets) mean += y / 4000;
  for (const float y : data.targets) variance += (y - mean) * (y - mean) / 4000;
  for (size_t i = 0; i < data.rows; ++i) {
    products += std::pow(2 * data.row(i)[1] * data.row(i)[4], 2) / 4000;
  }
  EXPECT_NEAR((*pairs)[0].gain, products / variance, 0.05);
  EXPECT_LT(std::fabs((*pairs)[2].gain), 0.01);  // the other eight: nothing but chance
}

TEST(ProposePairs, CorrelatedInputsThatAddUpAreNoPair) {
  Dataset data = MadeUp(4000, 3, [](const float*) { return 0.0f; });
  for (size_t i = 0; i < data.rows; ++i) {
    float* x = data.inputs.data() + i * 3;
    x[1] = 0.9f * x[0] + 0.3f * x[1];
    data.targets[i] += std::exp(x[0]) + x[1] * x[1];
  }
  const auto pairs = ProposePairs(data, AllRows(data), {}, {});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  for (const ProposedPair& pair : *pairs) EXPECT_LT(pair.gain, 0.02) << pair.first << pair.second;
}

TEST(ProposePairs, TellsClassesApart) {
  Dataset data = MadeUp(2000, 4, [](const float*) { return 0.0f; });
  data.has_classes = true;
  data.class_names = {"no", "yes"};
  for (size_t i = 0; i < data.rows; ++i) {
    data.labels.push_back(data.row(i)[0] * data.row(i)[2] > 0 ? 1 : 0);  // exclusive or
  }
  const auto pairs = ProposePairs(data, AllRows(data), {}, {.pairs_max = 1});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  ASSERT_EQ(pairs->size(), 1u);
  EXPECT_EQ((*pairs)[0].first, 0u);
  EXPECT_EQ((*pairs)[0].second, 2u);
  EXPECT_GT((*pairs)[0].gain, 0.7);
}

TEST(ProposePairs, TakesRowsInputsAndTargetsAsGiven) {
  const Dataset data = MadeUp(600, 4, [](const float* x) { return x[0] * x[1]; });
  const std::vector<uint32_t> rows = AllRows(data);
  std::vector<float> residuals;
  for (const uint32_t row : rows) residuals.push_back(data.row(row)[2] * data.row(row)[3]);
  const auto other = ProposePairs(data, rows, residuals, {.pairs_max = 1});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ((*other)[0].first, 2u);
  const auto listed = ProposePairs(data, rows, {}, {.inputs = {3, 1, 1}});
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].first, 1u);
  EXPECT_EQ((*listed)[0].second, 3u);

  EXPECT_FALSE(ProposePairs(data, {rows.data(), 15}, {}, {}).ok());
  EXPECT_FALSE(ProposePairs(data, rows, {residuals.data(), 5}, {}).ok());
  EXPECT_FALSE(ProposePairs(data, rows, {}, {.bins = 1}).ok());
  EXPECT_FALSE(ProposePairs(data, rows, {}, {.inputs = {1, 4}}).ok());
}

TEST(ProposePairs, ConstantsExplainNothing) {
  Dataset data = MadeUp(100, 3, [](const float* x) { return x[0] * x[1]; });
  for (size_t i = 0; i < data.rows; ++i) data.inputs[i * 3] = 5;
  const auto pairs = ProposePairs(data, AllRows(data), {}, {});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  EXPECT_EQ(pairs->size(), 1u);  // of the two that vary
  data.targets.assign(data.rows, 1.0f);
  EXPECT_TRUE(ProposePairs(data, AllRows(data), {}, {})->empty());
}

}  // namespace
}  // namespace lutdb
