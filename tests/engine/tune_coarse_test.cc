// What was learned, rounded to few bits: by rows that make errors cancel, and as the loss allows.
#include "engine/tune_coarse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/tune_run.h"
#include "engine/tune_start.h"
#include "engine/tune_state.h"
#include "tests/engine/tune_problem.h"

namespace lutdb {
namespace {

using testing::TwoTables;
using testing::Wave;

class TuneCoarse : public ::testing::Test {
 protected:
  TuneCoarse() : network_(TwoTables(3, 8, 1, 15)), team_(1), trainer_(network_, team_) {
    train_.resize(1000);
    std::iota(train_.begin(), train_.end(), 0);
    valid_.resize(200);
    std::iota(valid_.begin(), valid_.end(), 1000);
    EXPECT_TRUE(trainer_.Prepare(wave_.rows()).ok());
    StartEmptyTables(&network_, 1, 1);
    for (TuneTable& table : network_.tables) table.initial = table.entries;
    TuneOptions options;
    options.batch = 50;
    options.epochs = 12;
    options.threads = 1;
    const auto run = RunTraining(trainer_, &network_, train_, valid_, options, "", 1);
    EXPECT_TRUE(run.ok()) << run.status();
    PutEntries(run->entries, &network_);
  }

  double Loss(absl::Span<const uint32_t> rows) {
    return MeasureStored(trainer_, &network_, rows)->loss;
  }

  const Wave wave_{1200};
  std::vector<uint32_t> train_, valid_;
  TuneNetwork network_;
  ThreadTeam team_;
  TuneTrainer trainer_;
};

TEST_F(TuneCoarse, RoundsToMultiplesWithinTheLimit) {
  const TuneTable& table = network_.tables[0];
  const std::vector<float> trained = table.entries;
  TuneRounding rounding(trainer_, &network_, train_);
  for (const bool whole : {false, true}) {
    for (const bool cancel : {false, true}) {
      for (const uint32_t shift : {0u, 5u, 11u, 14u}) {
        rounding.Round(0, {.shift = shift, .whole = whole, .cancel = cancel});
        for (size_t row = 0; row < table.rows(); ++row) {
          for (uint32_t n = 0; n < table.neurons; ++n) {
            const int32_t before = whole ? 0 : EntryBefore(table, row, n);
            ASSERT_EQ((table.Rounded(row, n) - before) % (1 << shift), 0);
            ASSERT_LE(std::abs(table.Rounded(row, n)), table.limit);
            const double moved = std::abs(table.entries[row * table.neurons + n] -
                                          trained[row * table.neurons + n]) /
                                 double{table.unit[n]};
            if (!cancel) ASSERT_LE(moved, 0.5 * (1 << shift) + 1);
            ASSERT_LE(moved, 1.5 * (1 << shift) + 1);
          }
        }
      }
    }
  }
}

// Many look-ups a row, neighbours alike: what rounding changes in the sums, on rows it has not
// seen.
TEST(TuneRounding, ErrorsThatCancelCostLess) {
  constexpr uint32_t kInputs = 60, kNeurons = 5;
  constexpr size_t kRows = 1000, kTrained = 800;
  TuneNetwork network;
  network.widths = {kInputs, kNeurons};
  network.tables.push_back(testing::GridTable(kInputs, 1, 8, 1, kNeurons));
  network.ops = {testing::TableOp(0, 1, 0)};
  network.output = 1;
  std::vector<float>& entries = network.tables[0].entries;
  for (uint32_t i = 0; i < entries.size(); ++i) entries[i] = testing::Scatter(i);
  std::vector<float> x, sums(kRows * kNeurons);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t k = 0; k < kInputs; ++k) {
      const float wave = testing::Scatter(2 * r) * static_cast<float>(k) / 10;
      x.push_back(std::sin(5 * testing::Scatter(2 * r + 1) + wave));
    }
  }
  ThreadTeam team(1);
  TuneTrainer trainer(network, team);
  const TuneRows rows = {
      .rows = kRows, .width = kInputs, .inputs = x.data(), .targets = sums.data()};
  ASSERT_TRUE(trainer.Prepare(rows).ok());
  std::vector<uint32_t> all(kRows);
  std::iota(all.begin(), all.end(), 0);
  float* to = sums.data();
  trainer.ForEachRow(all, [&](const TunePass& pass) {
    to = std::copy_n(pass.y(), kNeurons, to);  // from now on what is wanted
  });
  const auto seen = absl::MakeConstSpan(all).first(kTrained);
  const auto unseen = absl::MakeConstSpan(all).subspan(kTrained);
  TuneRounding rounding(trainer, &network, seen);
  const auto loss = [&](bool cancel) {
    rounding.Round(0, {.shift = 9, .whole = true, .cancel = cancel});
    return MeasureStored(trainer, &network, unseen)->loss;
  };
  EXPECT_LT(loss(true), 0.5 * loss(false));
}

TEST_F(TuneCoarse, CorrectionsThatAreNothingStayNothing) {
  TuneTable& table = network_.tables[1];
  for (size_t i = 0; i < table.entries.size(); i += 2) table.entries[i] = table.initial[i];
  const std::vector<float> before = table.entries;
  TuneRounding rounding(trainer_, &network_, train_);
  rounding.Round(1, {.shift = 6, .whole = false, .cancel = true});
  for (size_t i = 0; i < before.size(); i += 2) {
    EXPECT_NEAR(table.entries[i], before[i], table.unit[0] / 2) << i;
  }
}

TEST_F(TuneCoarse, TheLossStaysWithinItsShare) {
  const double before = Loss(valid_);
  const TuneEntries trained = CopyEntries(network_);
  std::vector<CoarseUnit> units;
  for (const bool may_round_all : {false, true}) {
    PutEntries(trained, &network_);
    ASSERT_TRUE(
        CoarsenEntries(trainer_, &network_, train_, valid_, 0.05, may_round_all, &units).ok());
    EXPECT_LE(Loss(valid_), before * 1.05);
    ASSERT_EQ(units.size(), 2u);
    for (const CoarseUnit& unit : units) {
      EXPECT_GT(unit.shift, 0u);
      if (!may_round_all) EXPECT_FALSE(unit.whole);
    }
  }
}

}  // namespace
}  // namespace lutdb
