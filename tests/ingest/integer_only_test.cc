// Constants of integer-only networks against the f32 pipeline they stand for.

#include "ingest/integer_only.h"

#include <algorithm>
#include <random>

#include "engine/kernels/kernels.h"
#include "ingest/build_plan.h"
#include "tests/ingest/built_stores.h"

namespace lutdb {
namespace {

class IntegerOnlyTest : public testing::TestWithParam<const char*> {
 protected:
  absl::StatusOr<BuildPlan> Plan(const FeedForward& shape, BuildOptions options) {
    options.integer_only = true;
    options.graph_file = WriteFeedForward(directory_, shape, &model_);
    return ResolvePlan(model_, options);
  }

  TestDirectory directory_;
  std::string model_;
};

// The code the f32 pipeline gives for sums of one stage.
std::vector<uint16_t> CodesInFloat(const IntegerStage& stage,
                                   const std::vector<PlannedTable>& tables,
                                   const std::vector<float>& steps,
                                   const std::vector<int32_t>& sums) {
  const PlannedTable& table = tables[stage.table];
  const PlannedTable& next = tables[stage.next_table];
  std::vector<float> y(sums.size()), out(sums.size());
  kernels::ScaleSums(sums.data(), steps.data(), stage.bias.data(), table.spec.fixed_scale,
                     sums.size(), y.data());
  for (const FoldedOp& op : stage.folded) {
    kernels::Activate(op.activation, op.alpha, y.data(), y.size(), out.data());
    y = out;
  }
  const TableGeometry& geometry = next.geometry;
  std::vector<uint16_t> codes(geometry.chunks(), 0);
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    for (uint32_t p = 0; p < geometry.positions(chunk).size(); ++p) {
      const Position& position = geometry.positions(chunk)[p];
      const uint32_t input = geometry.InputAt(chunk, p);
      float x = input == kPadding ? 0.0f : y[input] - stage.offsets[input];
      if (input != kPadding && !next.input_scales.empty()) x /= next.input_scales[input];
      uint16_t index = 0;
      kernels::LevelIndices(&x, 1, next.spec.fixed_scale,
                            {position.range.min, position.range.max, position.range.stride},
                            &index);
      codes[chunk] = static_cast<uint16_t>(codes[chunk] + index * position.place);
    }
  }
  return codes;
}

std::vector<uint16_t> CodesByThresholds(const Thresholds& t, const std::vector<int32_t>& sums) {
  std::vector<uint16_t> codes = t.base;
  for (const ThresholdLane& lane : t.lanes) {
    const auto begin = t.at.begin() + lane.first;
    const auto above = std::upper_bound(begin, begin + lane.count, sums[lane.neuron]);
    codes[lane.chunk] =
        static_cast<uint16_t>(codes[lane.chunk] + t.code[lane.code + (above - begin)]);
  }
  return codes;
}

TEST_P(IntegerOnlyTest, ThresholdsGiveTheCodesOfTheFloatPipeline) {
  for (const uint32_t chunk : {1u, 2u}) {
    BuildOptions options;
    options.input_bits = 5;
    options.chunk = chunk;
    FeedForward shape;
    shape.activation = GetParam();
    shape.width = 33;
    shape.layers = 3;
    const auto plan = Plan(shape, options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const std::vector<PlannedTable>& tables = plan->layout.tables;
    ASSERT_EQ(plan->integer->stages.size(), 3u);
    const auto pass = PassOverTensors(plan->source, tables, 1, nullptr, nullptr);
    ASSERT_TRUE(pass.ok()) << pass.status();
    const IntegerStage& stage = plan->integer->stages[1];
    const std::vector<float>& steps = pass->steps[stage.table];
    const auto constants = MakeThresholds(stage, tables, steps);
    ASSERT_TRUE(constants.ok()) << constants.status();

    // The largest sum that entries, edited ones too, can give.
    const auto limit = static_cast<int32_t>(tables[stage.table].geometry.chunks() * 32767);
    std::mt19937 random(chunk);
    std::vector<int32_t> sums(33);
    for (int round = 0; round < 300; ++round) {
      const int bits = 1 + round % 20;
      for (int32_t& sum : sums) {
        sum = static_cast<int32_t>(random() % (2u << bits)) - (1 << bits);
        sum = std::clamp(sum, -limit, limit);
      }
      ASSERT_EQ(CodesByThresholds(*constants, sums), CodesInFloat(stage, tables, steps, sums))
          << "sums of " << bits << " bits";
    }
    // Just below and at every threshold, where a wrong one would show.
    for (const ThresholdLane& lane : constants->lanes) {
      for (uint32_t i = 0; i < lane.count; i += 3) {
        for (const int32_t sum :
             {constants->at[lane.first + i] - 1, constants->at[lane.first + i]}) {
          sums[lane.neuron] = sum;
          ASSERT_EQ(CodesByThresholds(*constants, sums), CodesInFloat(stage, tables, steps, sums))
              << "neuron " << lane.neuron << ", sum " << sum;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, IntegerOnlyTest,
                         testing::Values("relu", "leaky_relu", "silu", "gelu", "gelu_tanh",
                                         "sigmoid", "tanh", "identity"));

TEST_F(IntegerOnlyTest, TheGraphHasIntegerOpsAlone) {
  FeedForward shape;
  shape.layers = 3;
  const auto plan = Plan(shape, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<OpKind> kinds;
  for (const Op& op : plan->graph.ops) kinds.push_back(op.kind);
  EXPECT_THAT(kinds,
              testing::ElementsAre(OpKind::kInputCodes, OpKind::kTableSums, OpKind::kThresholds,
                                   OpKind::kTableSums, OpKind::kThresholds, OpKind::kTableSums,
                                   OpKind::kArgmax));
  for (const PlannedTable& table : plan->layout.tables) EXPECT_GT(table.spec.fixed_scale, 0);
  EXPECT_TRUE(plan->layout.tables[2].spec.shared_step);
  EXPECT_FALSE(plan->layout.tables[0].spec.shared_step);
}

TEST_F(IntegerOnlyTest, TheSumsOfTheLastTableShareTheirStep) {
  const auto plan = Plan({}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto pass = PassOverTensors(plan->source, plan->layout.tables, 2, nullptr, nullptr);
  ASSERT_TRUE(pass.ok()) << pass.status();
  const std::vector<float>& steps = pass->steps[1];
  EXPECT_EQ(std::count(steps.begin(), steps.end(), steps[0]), 10);
  const auto constants = MakeThresholds(plan->integer->stages[1], plan->layout.tables, steps);
  ASSERT_TRUE(constants.ok()) << constants.status();
  ASSERT_EQ(constants->bias.size(), 10u);
  const float unit = plan->layout.tables[1].spec.fixed_scale * steps[0];
  for (size_t n = 0; n < 10; ++n) {
    EXPECT_NEAR(constants->bias[n] * unit, plan->integer->stages[1].bias[n], unit);
  }
}

TEST_F(IntegerOnlyTest, RefusesWhatCannotBeFolded) {
  BuildOptions options;
  options.integer_only = true;
  const TestDirectory llama;
  ExpectError(ResolvePlan(WriteTinyLlama(llama, {}), options).status(),
              absl::StatusCode::kUnimplemented, "feed-forward", "");
  FeedForward shape;
  const std::string model = directory_.Write("m.safetensors", SafetensorsBytes(shape.Tensors()));
  std::string graph = shape.Graph();
  const std::string range = R"(,"range":[0,1])";
  graph.erase(graph.find(range), range.size());
  options.graph_file = directory_.Write("norange.json", graph);
  ExpectError(ResolvePlan(model, options).status(), absl::StatusCode::kFailedPrecondition, "range",
              "");
  graph = shape.Graph();
  graph.replace(graph.find(R"({"op":"relu"})"), 13, R"({"op":"softmax"})");
  options.graph_file = directory_.Write("softmax.json", graph);
  ExpectError(ResolvePlan(model, options).status(), absl::StatusCode::kUnimplemented, "softmax",
              "");
}

}  // namespace
}  // namespace lutdb
