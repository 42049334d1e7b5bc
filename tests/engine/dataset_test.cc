// Splits and shuffles, arrays and images as rows.

#include "lutdb/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "base/npy.h"
#include "base/status.h"
#include "engine/scores.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

TEST(Shuffle, IsAPermutationChosenByTheSeed) {
  const std::vector<uint32_t> rows = ShuffledRows(1000, 7);
  EXPECT_EQ(std::set<uint32_t>(rows.begin(), rows.end()).size(), 1000u);
  EXPECT_EQ(rows, ShuffledRows(1000, 7));
  EXPECT_NE(rows, ShuffledRows(1000, 8));
  // The same on every machine and in every version: experiments are repeated by seed.
  EXPECT_EQ(ShuffledRows(8, 0), (std::vector<uint32_t>{1, 2, 6, 5, 4, 0, 3, 7}));
}

TEST(Split, HoldsOutTheShareAskedFor) {
  Dataset data;
  data.rows = 103;
  const auto split = SplitRows(data, 0.2, 3);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->valid.size(), 21u);
  std::set<uint32_t> all(split->train.begin(), split->train.end());
  all.insert(split->valid.begin(), split->valid.end());
  EXPECT_EQ(all.size(), 103u);
  EXPECT_TRUE(std::is_sorted(split->train.begin(), split->train.end()));
  EXPECT_EQ(split->valid, SplitRows(data, 0.2, 3)->valid);
  EXPECT_NE(split->valid, SplitRows(data, 0.2, 4)->valid);
  for (const double fraction : {0.0, 1.0, -1.0, 0.001, 0.999}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SplitRows(data, fraction, 3).status())) << fraction;
  }
}

TEST(Split, KeepsStrataInProportion) {
  Dataset data;
  data.rows = 2700;
  for (uint32_t i = 0; i < data.rows; ++i) data.strata.push_back(i * 7 % 60);
  const auto split = SplitRows(data, 300.0 / 2700, 1);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(split->valid.size(), 300u);
  std::map<uint32_t, int> count;
  for (const uint32_t row : split->valid) ++count[data.strata[row]];
  for (const auto& [stratum, rows] : count) EXPECT_EQ(rows, 5) << stratum;
}

class ArrayRows : public testing::Test {
 protected:
  std::string Npy(const std::string& name, const std::vector<uint64_t>& shape,
                  const std::vector<float>& values) {
    EXPECT_TRUE(WriteNpy(scratch_ / name, shape, values).ok());
    return scratch_ / name;
  }
  DataOptions Pair(const std::vector<uint64_t>& x_shape, const std::vector<float>& x,
                   const std::vector<uint64_t>& y_shape, const std::vector<float>& y) {
    DataOptions options;
    options.npy_inputs = Npy("x.npy", x_shape, x);
    options.npy_targets = Npy("y.npy", y_shape, y);
    return options;
  }
  ScratchDirectory scratch_;
};

TEST_F(ArrayRows, AreClassesOrRealValuesAsTheNetworkAnswers) {
  const DataOptions options = Pair({2, 3}, {1, 2, 3, 4, 5, 6}, {2}, {1, 0});
  const auto classes = LoadDataset(options, {3, 2, {}, {}});
  ASSERT_TRUE(classes.ok()) << classes.status();
  EXPECT_EQ(classes->labels, (std::vector<uint32_t>{1, 0}));
  EXPECT_EQ(classes->row(1)[2], 6);
  const auto real = LoadDataset(options, {3, 1, {}, {}});
  ASSERT_TRUE(real.ok()) << real.status();
  EXPECT_EQ(real->targets, (std::vector<float>{1, 0}));
  const auto wide = LoadDataset(Pair({1, 2, 2}, {1, 2, 3, 4}, {1, 2}, {5, 6}), {4, 2, {}, {}});
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_EQ(wide->target(0)[1], 6);
}

TEST_F(ArrayRows, AreChecked) {
  const auto problem = [](const DataOptions& options, const DataShape& shape) {
    const absl::Status status = LoadDataset(options, shape).status();
    EXPECT_FALSE(status.ok());
    return Message(status);
  };
  const auto expect = [&](const DataOptions& options, const DataShape& shape, const char* part) {
    const std::string message = problem(options, shape);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const DataShape shape = {2, 2, {}, {}};
  expect(Pair({2, 3}, {1, 2, 3, 4, 5, 6}, {2}, {0, 1}), shape, "3 inputs, but the network takes 2");
  expect(Pair({2, 2}, {1, 2, 3, 4}, {3}, {0, 1, 0}), shape, "2 rows but");
  expect(Pair({4}, {1, 2, 3, 4}, {4}, {0, 1, 0, 1}), shape, "1 dimensions");
  expect(Pair({2, 2}, {1, 2, NAN, 4}, {2}, {0, 1}), shape, "x.npy, row 1, element 0");
  expect(Pair({2, 2}, {1, 2, 3, 4}, {2}, {0, INFINITY}), shape, "y.npy, row 1");
  expect(Pair({2, 2}, {1, 2, 3, 4}, {2}, {0, 0.5f}), shape, "0.5 is not a class number");
  expect(Pair({2, 2}, {1, 2, 3, 4}, {2}, {0, 5}), {2, 3, {}, {}}, "--classes");
  expect(Pair({2, 2}, {1, 2, 3, 4}, {2, 3}, {0, 2, 3, 4, 5, 6}), shape, "3 values per row");
  DataOptions options = Pair({2, 2}, {1, 2, 3, 4}, {2}, {0, 1});
  options.bytes_max = 15;
  expect(options, shape, "15 bytes");
  options.csv = "y.csv";
  expect(options, shape, "one source");
  expect({}, shape, "one source");
}

TEST(ImageRows, ArePixelsOver255) {
  ScratchDirectory scratch;
  DataOptions options;
  options.images = scratch / "i";
  options.labels = scratch / "l";
  std::ofstream(options.images, std::ios::binary)
      << std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\xff\x33\x66", 20);
  std::ofstream(options.labels, std::ios::binary)
      << std::string("\0\0\x08\x01\0\0\0\x02\x01\0", 10);
  const auto data = LoadDataset(options, {2, 2, {}, {}});
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->inputs, (std::vector<float>{0, 1, 0.2f, 0.4f}));
  EXPECT_EQ(data->labels, (std::vector<uint32_t>{1, 0}));
  EXPECT_TRUE(absl::IsInvalidArgument(LoadDataset(options, {3, 2, {}, {}}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(LoadDataset(options, {2, 1, {}, {}}).status()));
}

TEST(Scores, MatchTheirDefinitions) {
  SquaredErrors errors(1);
  for (const float target : {1.0f, 2.0f, 3.0f, 6.0f}) errors.Add({target + 1}, {target});
  EXPECT_DOUBLE_EQ(errors.mean(), 1);
  EXPECT_DOUBLE_EQ(errors.r2(), 1 - 4.0 / 14);
  SquaredErrors alike(1);
  alike.Add({1}, {2});
  alike.Add({1}, {2});
  EXPECT_FALSE(alike.HasR2());
  EXPECT_NEAR(NegativeLogShare({0, 0, 0, 0}, 2), std::log(4.0), 1e-15);
  EXPECT_NEAR(NegativeLogShare({1000, 0}, 1), 1000, 1e-9);
}

}  // namespace
}  // namespace lutdb
