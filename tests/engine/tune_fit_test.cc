// Least squares for the entries of a table.
#include "engine/tune_fit.h"

#include <gtest/gtest.h>

#include "tests/engine/tune_problem.h"

namespace lutdb {
namespace {

using testing::GridTable;
using testing::Scatter;

struct Problem {
  explicit Problem(size_t rows) : table(GridTable(4, 1, 6, 1, 3)), scales(rows) {
    const TuneCoder coder = table.coders();
    codes.resize(rows * 4);
    for (size_t r = 0; r < rows; ++r) {
      float x[4];
      for (uint32_t k = 0; k < 4; ++k) x[k] = Scatter(static_cast<uint32_t>(4 * r + k));
      coder(x, nullptr, codes.data() + 4 * r);
      scales[r] = 1 + 0.5f * Scatter(static_cast<uint32_t>(r) + 99991);
    }
  }
  FitRows rows() const {
    return {.rows = scales.size(), .codes = codes.data(), .scales = scales.data()};
  }
  TuneTable table;
  std::vector<uint16_t> codes;
  std::vector<float> scales;
};

double SquaredDistance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum;
}

double Square(const std::vector<float>& a) {
  return SquaredDistance(a, std::vector<float>(a.size(), 0.0f));
}

TEST(TuneFit, FindsTheEntriesThatMadeTheOutputs) {
  const Problem problem(2000);
  ThreadTeam team(1);
  std::vector<float> truth(problem.table.entries.size()), targets, found(truth.size(), 0.0f), got;
  for (size_t i = 0; i < truth.size(); ++i) truth[i] = Scatter(static_cast<uint32_t>(i));
  ASSERT_TRUE(TuneFit::Apply(problem.table, problem.rows(), truth, 3, team, &targets).ok());
  TuneFit fit(problem.table, problem.rows(), team);
  ASSERT_TRUE(fit.Solve(targets, 3, {.near = 1e-3, .iterations = 60}, &found).ok());
  ASSERT_TRUE(TuneFit::Apply(problem.table, problem.rows(), found, 3, team, &got).ok());
  EXPECT_LT(SquaredDistance(got, targets), 1e-4 * Square(targets));
}

TEST(TuneFit, PenaltiesDrawTowardsNothing) {
  const Problem problem(300);
  ThreadTeam team(1);
  std::vector<float> targets(300 * 3);
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = Scatter(static_cast<uint32_t>(i));
  TuneFit fit(problem.table, problem.rows(), team);
  double before = 1e30;
  for (const double near : {0.1, 10.0, 1e6}) {
    std::vector<float> found(problem.table.entries.size(), 0.0f);
    ASSERT_TRUE(fit.Solve(targets, 3, {.near = near, .smooth = 1}, &found).ok());
    EXPECT_LT(Square(found), before) << near;
    before = Square(found);
  }
  EXPECT_LT(before, 1e-4);
}

TEST(TuneFit, WeightsAloneAreSlopesAlongTheLevels) {
  const Problem problem(500);
  ThreadTeam team(1);
  std::vector<float> targets(500 * 3);
  for (size_t r = 0; r < 500; ++r) {
    const float v = problem.table.level_values[problem.codes[4 * r]];
    for (size_t n = 0; n < 3; ++n) {
      targets[3 * r + n] = problem.scales[r] * (0.7f * v + 0.2f * v * v);
    }
  }
  TuneFit fit(problem.table, problem.rows(), team);
  std::vector<float> found(problem.table.entries.size(), 0.0f);
  ASSERT_TRUE(fit.Solve(targets, 3, {.near = 0.01, .weights_only = true}, &found).ok());
  const float slope = found[3 * 5] / problem.table.level_values[5];
  EXPECT_NEAR(slope, 0.7f, 0.1f);
  for (uint32_t row = 0; row < 6; ++row) {
    EXPECT_NEAR(found[3 * row], slope * problem.table.level_values[row], 1e-4);
  }
}

TEST(TuneFit, TheSameForAnyNumberOfThreads) {
  const Problem problem(3000);
  std::vector<float> targets(3000 * 3), expected;
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = Scatter(static_cast<uint32_t>(i));
  for (const unsigned threads : {1u, 2u}) {
    ThreadTeam team(threads);
    TuneFit fit(problem.table, problem.rows(), team);
    std::vector<float> found(problem.table.entries.size(), 0.0f);
    ASSERT_TRUE(fit.Solve(targets, 3, {}, &found).ok());
    if (expected.empty()) expected = found;
    EXPECT_EQ(found, expected);
  }
}

}  // namespace
}  // namespace lutdb
