// Gradients against finite differences, and training on problems small enough to be understood.
#include "engine/tune_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "engine/tune_start.h"
#include "engine/tune_trainer.h"
#include "tests/engine/tune_problem.h"

namespace lutdb {
namespace {

using testing::GridTable;
using testing::Scatter;
using testing::TableOp;
using testing::TwoTables;
using testing::Wave;

double SquaredLoss(TunePass& pass, const TuneNetwork& network, const std::vector<float>& x) {
  pass.Forward(x.data(), std::vector<TunePass::Given>(network.ops.size()));
  double loss = 0;
  for (uint32_t k = 0; k < network.widths[network.output]; ++k) {
    loss += 0.5 * double{pass.y()[k]} * pass.y()[k];
  }
  return loss;
}

// Of the loss by one entry, by the pass and by moving the entry.
void ExpectGradients(TuneNetwork& network, uint32_t op, float h, double tolerance) {
  std::vector<float> x;
  for (uint32_t k = 0; k < network.widths[0]; ++k) x.push_back(Scatter(900 + k));
  TunePass pass(network);
  SquaredLoss(pass, network, x);
  const std::vector<float> y(pass.y(), pass.y() + network.widths[network.output]);
  pass.Backward(y.data());
  TuneTable& table = network.tables[network.ops[op].table];
  const std::vector<float> gradient(pass.sums_gradient(op), pass.sums_gradient(op) + table.neurons);
  const std::vector<uint16_t> codes(pass.codes(op), pass.codes(op) + table.chunks());
  double largest = 0;
  for (const float g : gradient) largest = std::max(largest, std::fabs(double{g}));
  ASSERT_GT(largest, 0);
  for (uint32_t n = 0; n < table.neurons; ++n) {
    float& entry = table.entries[size_t{table.chunk_row[0] + codes[0]} * table.neurons + n];
    const float kept = entry;
    entry = kept + h;
    const double above = SquaredLoss(pass, network, x);
    entry = kept - h;
    const double below = SquaredLoss(pass, network, x);
    entry = kept;
    EXPECT_NEAR(gradient[n], (above - below) / (2 * h), tolerance * largest) << "neuron " << n;
  }
}

void Fill(TuneTable& table, float size, uint32_t seed) {
  for (size_t i = 0; i < table.entries.size(); ++i) {
    table.entries[i] = size * Scatter(static_cast<uint32_t>(i) + seed);
  }
}

// The last table's inputs have so many levels that its entries are as good as a smooth function.
TEST(TuneNetwork, GradientsFlowThroughLaterTables) {
  TuneNetwork network = TwoTables(3, 4, 2, 4001);
  Fill(network.tables[0], 0.3f, 1);
  TuneTable& last = network.tables[1];
  for (uint32_t row = 0; row < last.rows(); ++row) {
    const float v = last.level_values[row % 4001];
    last.entries[2 * row] = std::sin(2 * v + static_cast<float>(row / 4001));
    last.entries[2 * row + 1] = v * v;
  }
  ExpectGradients(network, 0, 0.02f, 0.03);
  ExpectGradients(network, 2, 1e-2f, 1e-3);
}

TEST(TuneNetwork, GradientsOfEveryOp) {
  TuneNetwork network;
  network.widths = {3, 5, 5, 5, 5, 5, 5, 5};
  network.tables.push_back(GridTable(3, 1, 8, 1, 5));
  Fill(network.tables[0], 0.7f, 3);
  const auto op = [&](OpKind kind, std::vector<uint32_t> inputs, uint32_t output) {
    TuneOp made;
    made.kind = kind;
    made.inputs = std::move(inputs);
    made.output = output;
    made.epsilon = 1e-3f;
    made.weight = {0.5f, -1, 2, 0.7f, 1};
    made.shift = {0.1f, 0.2f, 0, -0.1f, 0.3f};
    return made;
  };
  network.ops = {TableOp(0, 1, 0),
                 op(OpKind::kRmsNorm, {1}, 2),
                 op(OpKind::kScaleShift, {2}, 3),
                 op(OpKind::kMultiply, {3, 1}, 4),
                 op(OpKind::kLayerNorm, {4}, 5),
                 op(OpKind::kAdd, {5, 2}, 6),
                 op(OpKind::kSoftmax, {6}, 7)};
  network.output = 6;
  ExpectGradients(network, 0, 1e-3f, 5e-3);
  network.output = 7;
  ExpectGradients(network, 0, 1e-3f, 5e-3);
  network.output = 2;
  for (const Activation activation :
       {Activation::kIdentity, Activation::kRelu, Activation::kLeakyRelu, Activation::kSilu,
        Activation::kGelu, Activation::kGeluTanh, Activation::kSigmoid, Activation::kTanh}) {
    network.ops = {TableOp(0, 1, 0), op(OpKind::kActivation, {1}, 2)};
    network.ops[1].activation = activation;
    network.ops[1].alpha = 0.1f;
    ExpectGradients(network, 0, 1e-3f, 5e-3);
  }
}

// One step at a time over everything, as long as asked; returns the loss of the last one.
double TrainWave(TuneNetwork& network, unsigned threads, int steps, TunePenalties penalties) {
  const Wave wave(600);
  ThreadTeam team(threads);
  TuneTrainer trainer(network, team);
  EXPECT_TRUE(trainer.Prepare(wave.rows()).ok());
  std::vector<uint32_t> all(600);
  std::iota(all.begin(), all.end(), 0);
  double loss = 0;
  for (int step = 0; step < steps; ++step) {
    TuneUpdateOptions options;
    options.learning_rate = 0.02f;
    options.penalties = penalties;
    options.training_rows = 600;
    loss = *trainer.Step(all, options);
  }
  return loss;
}

TEST(TuneTrainer, LearnsFunctionsThatNoWeightHas) {
  TuneNetwork network = TwoTables(3, 6, 1, 31);
  StartEmptyTables(&network, 1, 1);
  const double before = TrainWave(network, 1, 1, {});
  EXPECT_LT(TrainWave(network, 1, 400, {}), 0.05 * before);
}

TEST(TuneTrainer, TheSameForAnyNumberOfThreads) {
  std::vector<float> expected;
  for (const unsigned threads : {1u, 2u, 3u}) {
    // Large enough that the work is really split.
    TuneNetwork network = TwoTables(3, 64, 1, 31);
    StartEmptyTables(&network, 1, 7);
    TrainWave(network, threads, 5, {.smooth = 1, .curve = 1, .near = 0.1f});
    if (expected.empty()) expected = network.tables[0].entries;
    EXPECT_EQ(expected, network.tables[0].entries) << threads;
  }
}

// A code that no row has follows its neighbours with a penalty and stays put without.
TEST(TuneTrainer, PenaltiesReachCodesThatAreNeverLookedUp) {
  for (const float smooth : {0.0f, 3.0f}) {
    TuneNetwork network;
    network.widths = {1, 1};
    network.tables.push_back(GridTable(1, 1, 5, 1, 1));
    network.ops = {TableOp(0, 1, 0)};
    network.output = 1;
    const std::vector<float> x = {-1, -0.5f, 0.5f, 1}, y = {1, 1, 1, 1};
    ThreadTeam team(1);
    TuneTrainer trainer(network, team);
    ASSERT_TRUE(
        trainer.Prepare({.rows = 4, .width = 1, .inputs = x.data(), .targets = y.data()}).ok());
    const std::vector<uint32_t> all = {0, 1, 2, 3};
    for (int step = 0; step < 500; ++step) {
      TuneUpdateOptions options;
      options.learning_rate = 0.01f;
      options.penalties.smooth = smooth;
      options.training_rows = 4;
      ASSERT_TRUE(trainer.Step(all, options).ok());
    }
    EXPECT_NEAR(network.tables[0].entries[0], 1, 0.05);
    EXPECT_NEAR(network.tables[0].entries[2], smooth > 0 ? 1 : 0, 0.05);
  }
}

TEST(TuneTable, RoundsToTheNearestEntryWithinTheLimit) {
  TuneTable table = GridTable(1, 1, 4, 1, 1);
  table.unit = {0.5f};
  table.limit = 127;
  table.entries = {0.8f, -0.76f, 1000, -1000};
  table.Round();
  EXPECT_EQ(table.stored, (std::vector<int16_t>{2, -2, 127, -127}));
}

}  // namespace
}  // namespace lutdb
