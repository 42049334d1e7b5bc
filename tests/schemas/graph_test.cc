#include "schemas/graph.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "base/status.h"
#include "tests/schemas/random_specs.h"

namespace lutdb {
namespace {

using ::testing::HasSubstr;

TEST(Graph, RoundTrips) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomSpecs specs(seed);
    Manifest manifest = specs.EmptyManifest();
    const Graph graph = specs.LanguageModel(&manifest, seed % 4);
    const std::string bytes = SerializeGraph(graph);
    EXPECT_EQ(bytes, SerializeGraph(graph));  // hashes of graphs rely on it
    const auto parsed = ParseGraph(bytes, manifest.tables, manifest.tensors);
    ASSERT_TRUE(parsed.ok()) << "seed " << seed << ": " << parsed.status();
    EXPECT_EQ(*parsed, graph) << "seed " << seed;
  }
}

TEST(Graph, IsReadFromUnalignedBytes) {
  RandomSpecs specs(1);
  Manifest manifest = specs.EmptyManifest();
  const Graph graph = specs.LanguageModel(&manifest, 1);
  std::string bytes = SerializeGraph(graph);
  bytes.insert(0, 1, '?');
  const auto parsed =
      ParseGraph(std::string_view(bytes).substr(1), manifest.tables, manifest.tensors);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, graph);
}

// A graph, what is wrong with it, and what is to be said.
struct Wrong {
  const char* says;
  std::function<void(Graph&)> change;
  absl::StatusCode code = absl::StatusCode::kDataLoss;
};

Op& FirstOf(Graph& graph, OpKind kind) {
  for (Op& op : graph.ops) {
    if (op.kind == kind) return op;
  }
  ADD_FAILURE() << "no op of kind " << static_cast<int>(kind);
  return graph.ops.front();
}

TEST(Graph, WhatIsWrongIsSaidInOneLine) {
  const auto newer = absl::StatusCode::kUnimplemented;
  const Wrong wrongs[] = {
      {"input or output", [](Graph& g) { g.output = kNone; }},
      {"input or output", [](Graph& g) { g.input = static_cast<uint32_t>(g.values.size()); }},
      {"no op writes", [](Graph& g) { g.ops.pop_back(); }},
      {"read before", [](Graph& g) { std::swap(g.ops[0], g.ops[1]); }},
      {"written twice", [](Graph& g) { g.ops[1].output = g.ops[0].output; }},
      {"written twice", [](Graph& g) { g.ops[0].output = g.input; }},
      {"is not a value", [](Graph& g) { g.ops[1].inputs[0] = kNone; }},
      {"is not a value", [](Graph& g) { g.ops[1].output = 1u << 30; }},
      {"2 inputs", [](Graph& g) { g.ops[0].inputs.push_back(0); }},
      {"1 inputs", [](Graph& g) { FirstOf(g, OpKind::kAdd).inputs.pop_back(); }},
      {"unknown kind", [](Graph& g) { g.ops[0].kind = static_cast<OpKind>(99); }, newer},
      {"kind 0", [](Graph& g) { g.ops[0].kind = static_cast<OpKind>(0); }},
      {"unknown type", [](Graph& g) { g.values[1].type = static_cast<ValueType>(77); }, newer},
      {"width 0", [](Graph& g) { g.values[1].width = 0; }},
      {"type 0", [](Graph& g) { g.values[1].type = static_cast<ValueType>(0); }},
      {"width", [](Graph& g) { g.values[2].width += 1; }},
      {"no vocabulary", [](Graph& g) { g.vocabulary = 0; }},
      {"vocabulary", [](Graph& g) { g.bos = g.vocabulary; }},
      {"vocabulary", [](Graph& g) { g.eos.push_back(1u << 31); }},
      {"positions", [](Graph& g) { g.context = 0; }},
      {"table", [](Graph& g) { FirstOf(g, OpKind::kTable).table = 1000; }},
      {"table", [](Graph& g) { FirstOf(g, OpKind::kTable).table = kNone; }},
      {"tensor", [](Graph& g) { FirstOf(g, OpKind::kEmbedding).tensor = kNone; }},
      {"tensor", [](Graph& g) { FirstOf(g, OpKind::kEmbedding).tensor = 1; }},
      {"theta", [](Graph& g) { FirstOf(g, OpKind::kRope).theta = 0; }},
      {"heads", [](Graph& g) { FirstOf(g, OpKind::kRope).heads = 0; }},
      {"needed", [](Graph& g) { FirstOf(g, OpKind::kRope).heads += 1; }},
      {"heads", [](Graph& g) { FirstOf(g, OpKind::kAttention).kv_heads = 0; }},
      {"heads", [](Graph& g) { FirstOf(g, OpKind::kAttention).head_dim = 1u << 31; }},
      {"activation", [](Graph& g) { FirstOf(g, OpKind::kActivation).activation = Activation{0}; }},
      {"activation", [](Graph& g) { FirstOf(g, OpKind::kActivation).activation = Activation{200}; },
       newer},
      {"inputs from", [](Graph& g) { g.input_low = NAN; }},
      {"inputs from", [](Graph& g) { g.input_low = 1; }},
  };
  for (const Wrong& wrong : wrongs) {
    RandomSpecs specs(7);
    Manifest manifest = specs.EmptyManifest();
    Graph graph = specs.LanguageModel(&manifest, 2);
    wrong.change(graph);
    const absl::Status status = ValidateGraph(graph, manifest.tables, manifest.tensors);
    EXPECT_EQ(status.code(), wrong.code) << wrong.says << ": " << status;
    EXPECT_THAT(Message(status), HasSubstr(wrong.says));
    EXPECT_EQ(Message(status).find('\n'), std::string::npos);
    EXPECT_EQ(ParseGraph(SerializeGraph(graph), manifest.tables, manifest.tensors).status(),
              status);
  }
}

// Pixels to an answer without a float: codes, sums, thresholds, sums, the largest.
class IntegerGraph : public ::testing::Test {
 protected:
  IntegerGraph() {
    for (const auto& [inputs, neurons] : {std::pair(7u, 5u), std::pair(5u, 3u)}) {
      TableSpec table;
      table.id = static_cast<uint32_t>(tables_.size());
      table.name = fmt::format("l{}", table.id);
      table.inputs = inputs;
      table.neurons = neurons;
      table.chunk = 2;
      table.levels.bits = 4;
      table.fixed_scale = 0.5f;
      tables_.push_back(table);
    }
    graph_.values = {{"x", ValueType::kF32, 7},   {"c1", ValueType::kCodes, 4},
                     {"s1", ValueType::kSums, 5}, {"c2", ValueType::kCodes, 3},
                     {"s2", ValueType::kSums, 3}, {"y", ValueType::kIndex, 1}};
    graph_.ops = {{.kind = OpKind::kInputCodes, .name = {}, .inputs = {0}, .output = 1, .table = 0},
                  {.kind = OpKind::kTableSums, .name = {}, .inputs = {1}, .output = 2, .table = 0},
                  {.kind = OpKind::kThresholds, .name = {}, .inputs = {2}, .output = 3, .table = 1},
                  {.kind = OpKind::kTableSums, .name = {}, .inputs = {3}, .output = 4, .table = 1},
                  {.kind = OpKind::kArgmax, .name = {}, .inputs = {4}, .output = 5}};
    graph_.input = 0;
    graph_.output = 5;
    graph_.input_high = 1;
  }
  absl::Status Check() { return ValidateGraph(graph_, tables_, {}); }

  std::vector<TableSpec> tables_;
  Graph graph_;
};

TEST_F(IntegerGraph, IsValidAndRoundTrips) {
  ASSERT_TRUE(Check().ok()) << Check();
  EXPECT_EQ(*ParseGraph(SerializeGraph(graph_), tables_, {}), graph_);
}

TEST_F(IntegerGraph, MayEndInSumsAndBeginInCodes) {
  graph_.ops.pop_back();
  graph_.output = 4;
  EXPECT_TRUE(Check().ok()) << Check();
  graph_.ops.erase(graph_.ops.begin());
  graph_.input = 1;
  EXPECT_TRUE(Check().ok()) << Check();
}

TEST_F(IntegerGraph, CodesBelongToOneTable) {
  graph_.ops[2].table = 0;
  EXPECT_EQ(Check().code(), absl::StatusCode::kDataLoss);
  graph_.ops[2].table = 1;
  tables_[1].inputs = 7;  // of the same shape, yet another table
  tables_[1].neurons = 5;
  graph_.ops[1].table = 1;
  EXPECT_THAT(Message(Check()), HasSubstr("another table"));
}

TEST_F(IntegerGraph, NeedsAFixedScaleAndTheRightTypes) {
  tables_[0].fixed_scale = 0;
  EXPECT_THAT(Message(Check()), HasSubstr("scale"));
  tables_[0].fixed_scale = 1;
  graph_.values[1].width = 5;
  EXPECT_THAT(Message(Check()), HasSubstr("width"));
  graph_.values[1].width = 4;
  graph_.values[2].type = ValueType::kF32;
  EXPECT_THAT(Message(Check()), HasSubstr("type"));
}

}  // namespace
}  // namespace lutdb
