// What an explanation lists adds up to what the model answered, whatever the tables are like.
#include "lutdb/explain.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/idx_file.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

// The contributions of every neuron: complete, exact, and the entries that the store has by key.
void ExpectAddsUp(const Explanation& explanation, const Store& store) {
  uint32_t table = 0;
  while (store.info().tables[table].name != explanation.table) ++table;
  for (const NeuronExplanation& neuron : explanation.neurons) {
    ASSERT_EQ(neuron.contributions.size(), neuron.chunks);
    EXPECT_EQ(neuron.rest, 0);
    int64_t sum = 0;
    double share = 0;
    std::vector<EntryKey> keys;
    for (const Contribution& part : neuron.contributions) {
      sum += part.entry;
      share += part.share;
      keys.push_back(
          {.table = table, .neuron = neuron.neuron, .chunk = part.chunk, .code = part.code});
    }
    EXPECT_EQ(sum, neuron.acc);
    EXPECT_TRUE(share == 0 || std::abs(share - 1) < 1e-9) << share;
    const float product = (explanation.scale * neuron.step) * static_cast<float>(neuron.acc);
    const double y = explanation.integer_only ? double{1} * neuron.acc + neuron.integer_bias
                     : neuron.has_bias        ? double{product + neuron.bias}
                                              : double{product};
    EXPECT_EQ(neuron.y, y);
    std::vector<int16_t> entries(keys.size());
    const absl::Status got = store.GetEntries(keys, absl::MakeSpan(entries));
    ASSERT_TRUE(got.ok()) << Message(got);
    for (size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ(entries[i], neuron.contributions[i].entry) << neuron.contributions[i].address;
    }
  }
}

std::vector<uint32_t> Neurons(uint32_t count) {
  std::vector<uint32_t> neurons(count);
  std::iota(neurons.begin(), neurons.end(), 0u);
  return neurons;
}

struct Kind {
  int bits;
  Grid grid;
  uint32_t chunk;
  EntryType entry;
  bool mirror;
  Layout layout;
};

class ExplainTables : public testing::TestWithParam<Kind> {
 protected:
  ScratchDirectory scratch_;
};

TEST_P(ExplainTables, EveryTableAddsUpAtEveryPosition) {
  TinyLlama llama;
  llama.hidden = 20;  // no multiple of 3: the last chunk is padded
  BuildOptions options;
  options.input_bits = GetParam().bits;
  options.grid = GetParam().grid;
  options.chunk = GetParam().chunk;
  options.entry = GetParam().entry;
  options.mirror = GetParam().mirror;
  options.layout = GetParam().layout;
  BuildOrFail(WriteLlama(scratch_, "llama", llama), scratch_ / "s", options);
  const auto store = Store::Open(scratch_ / "s", {});
  ASSERT_TRUE(store.ok());
  for (const uint64_t arena : {uint64_t{0}, uint64_t{16} << 20}) {
    const auto model = OpenOrNull(scratch_ / "s", {.store = {.arena_bytes = arena}});
    Explainer explainer(*model);
    std::vector<float> logits(model->output_width());
    for (const TableInfo& table : (*store)->info().tables) {
      const auto explanation = explainer.Tokens(
          {3, 1, 7}, {.table = table.name, .neurons = Neurons(table.neurons), .top = 0});
      ASSERT_TRUE(explanation.ok()) << Message(explanation.status());
      EXPECT_EQ(explanation->table, table.name);
      EXPECT_EQ(explanation->position, 2u);
      ASSERT_EQ(explanation->neurons.size(), table.neurons);
      ExpectAddsUp(*explanation, **store);
      for (const auto& neuron : explanation->neurons) {
        for (const Contribution& part : neuron.contributions) {
          EXPECT_EQ(part.levels.size(), GetParam().chunk);
          EXPECT_TRUE(part.commit.empty());
        }
      }
    }
    // The last table is the answer: its values are the logits.
    const auto answer = explainer.Tokens({3, 1, 7}, {.neurons = Neurons(llama.vocabulary)});
    ASSERT_TRUE(answer.ok()) << Message(answer.status());
    for (const int token : {3, 1, 7}) {
      ASSERT_TRUE(model->Feed(token, absl::MakeSpan(logits)).ok());
    }
    for (const NeuronExplanation& neuron : answer->neurons) {
      EXPECT_EQ(neuron.y, double{logits[neuron.neuron]});
      EXPECT_EQ(neuron.contributions.size(), std::min(10u, neuron.chunks));
    }
    EXPECT_TRUE(answer->neurons[0].largest);
    EXPECT_EQ(answer->neurons[0].y, *std::max_element(logits.begin(), logits.end()));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ExplainTables,
    testing::Values(Kind{8, Grid::kSigned, 1, EntryType::kI16, false, Layout::kTile},
                    Kind{8, Grid::kSigned, 1, EntryType::kI16, true, Layout::kTile},
                    Kind{4, Grid::kUnsigned, 1, EntryType::kI8, false, Layout::kTile},
                    Kind{3, Grid::kSigned, 3, EntryType::kI8, true, Layout::kRow},
                    Kind{1, Grid::kSigned, 8, EntryType::kI16, false, Layout::kTile},
                    Kind{10, Grid::kSigned, 1, EntryType::kI16, false, Layout::kRow}));

// Chunks as lists: permuted, overlapping, of different lengths, grids and bits.
TEST(ExplainLists, AddsUpAndNamesTheInputs) {
  const ScratchDirectory scratch;
  std::ofstream(scratch / "net.safetensors", std::ios::binary)
      << SafetensorsBytes({MakeTensor("w", {70, 7})});
  std::ofstream(scratch / "net.graph.json")
      << R"({"format": "lutdb-graph-1", "name": "lists", "input": {"width": 7},
    "ops": [{"op": "linear", "weight": "w", "table": {"chunks": [
      {"inputs": [6, 0], "bits": [7, 8]}, {"inputs": [3], "bits": 12},
      {"inputs": [0, 5, 2], "bits": [2, 6, 7]}, {"inputs": [1, 4], "bits": 8}]}}]})";
  BuildOptions options;
  options.graph_file = scratch / "net.graph.json";
  BuildOrFail(scratch / "net.safetensors", scratch / "s", options);
  const auto store = Store::Open(scratch / "s", {});
  const auto model = OpenOrNull(scratch / "s");
  ASSERT_TRUE(store.ok() && model != nullptr);
  const std::vector<float> row = {0.5f, -1, 0.25f, 0, 2, -0.125f, 0.75f};
  const auto explanation = Explainer(*model).Row(row, {.neurons = Neurons(70), .top = 0});
  ASSERT_TRUE(explanation.ok()) << Message(explanation.status());
  ExpectAddsUp(*explanation, **store);
  const std::vector<std::vector<uint32_t>> inputs = {{6, 0}, {3}, {0, 5, 2}, {1, 4}};
  for (const Contribution& part : explanation->neurons[0].contributions) {
    EXPECT_EQ(part.inputs, inputs[part.chunk]);
    EXPECT_EQ(part.levels.size(), part.inputs.size());
  }
}

class ExplainDigits : public testing::Test {
 protected:
  void Build(bool integer_only) {
    BuildOptions options;
    options.graph_file = RepositoryPath("models/digits/digits.graph.json");
    options.integer_only = integer_only;
    BuildOrFail(RepositoryPath("models/digits/digits.safetensors"), scratch_ / "s", options);
  }
  static std::vector<uint8_t> Pixels(uint32_t rows) {
    std::vector<uint8_t> pixels(rows * 784);
    const auto images = IdxFile::Open(RepositoryPath("models/digits/test-images.idx3.gz"));
    EXPECT_TRUE(images.ok() && (*images)->Read(absl::MakeSpan(pixels)).ok());
    return pixels;
  }
  // Predictions of all images, each the largest of the sums of its contributions.
  void ExpectAllExplained(uint32_t check_every) {
    const auto store = Store::Open(scratch_ / "s", {});
    const auto model = OpenOrNull(scratch_ / "s");
    ASSERT_TRUE(store.ok() && model != nullptr);
    Explainer explainer(*model);
    const std::vector<uint8_t> pixels = Pixels(1000);
    std::vector<float> output(model->output_width());
    for (uint32_t i = 0; i < 1000; ++i) {
      const auto image = absl::MakeConstSpan(pixels).subspan(i * 784, 784);
      const auto explanation =
          explainer.Pixels(image, {.neurons = Neurons(10), .top = 0, .blame = i % 100 == 0});
      ASSERT_TRUE(explanation.ok()) << Message(explanation.status());
      ASSERT_EQ(explanation->neurons.size(), 10u);
      uint32_t largest = 0;
      for (const NeuronExplanation& neuron : explanation->neurons) {
        int64_t sum = 0;
        for (const Contribution& part : neuron.contributions) sum += part.entry;
        ASSERT_EQ(sum, neuron.acc);
        EXPECT_LE(neuron.y, explanation->neurons[0].y);
        if (neuron.largest) largest = neuron.neuron;
      }
      ASSERT_TRUE(model->RunPixels(image, 1, absl::MakeSpan(output)).ok());
      const auto answer =
          output.size() == 1 ? static_cast<uint32_t>(output[0])
                             : static_cast<uint32_t>(
                                   std::max_element(output.begin(), output.end()) - output.begin());
      EXPECT_EQ(largest, answer) << "image " << i;
      if (i % check_every == 0) ExpectAddsUp(*explanation, **store);
    }
  }
  ScratchDirectory scratch_;
};

TEST_F(ExplainDigits, AThousandPredictionsBeforeAndAfterEdits) {
  Build(false);
  ExpectAllExplained(100);
  std::string commit;
  uint32_t code = 0;
  {
    const auto model = OpenOrNull(scratch_ / "s");
    Explainer explainer(*model);
    const auto before = explainer.Pixels(Pixels(1), {.neurons = {4}, .top = 0});
    ASSERT_TRUE(before.ok());
    const NeuronExplanation& four = before->neurons.back();
    const auto seventh = std::find_if(four.contributions.begin(), four.contributions.end(),
                                      [](const Contribution& part) { return part.chunk == 7; });
    ASSERT_NE(seventh, four.contributions.end());
    code = seventh->code;
    const auto history = History::Open(scratch_ / "s", {.write = true});
    ASSERT_TRUE(history.ok()) << Message(history.status());
    std::vector<EntryEdit> edits = {
        {.table = 1, .neuron = 4, .chunk = 7, .code = code, .value = 32000}};
    // A whole row as well, which readers replace instead of adding to.
    for (uint32_t n = 0; n < 10; ++n) {
      edits.push_back(
          {.table = 1, .neuron = n, .chunk = 9, .code = 127, .value = 100 * int(n) + 1});
    }
    CommitOptions options;
    options.message = "edit";
    const auto info = (*history)->Commit("main", edits, options);
    ASSERT_TRUE(info.ok()) << Message(info.status());
    commit = info->id;
  }
  const auto model = OpenOrNull(scratch_ / "s");
  Explainer explainer(*model);
  const auto after = explainer.Pixels(Pixels(1), {.neurons = {4}, .top = 0});
  ASSERT_TRUE(after.ok()) << Message(after.status());
  EXPECT_EQ(after->commit, commit);
  const auto four = std::find_if(after->neurons.begin(), after->neurons.end(),
                                 [](const NeuronExplanation& n) { return n.neuron == 4; });
  EXPECT_EQ(four->contributions[0].address, fmt::format("output[4, 7, {}]", code));
  EXPECT_EQ(four->contributions[0].entry, 32000);
  EXPECT_EQ(four->contributions[0].commit, commit);
  for (const Contribution& part : four->contributions) {
    const bool edited = part.chunk == 7 || (part.chunk == 9 && part.code == 127);
    EXPECT_EQ(part.commit, edited ? commit : "") << part.address;
  }
  ExpectAllExplained(50);
}

TEST_F(ExplainDigits, IntegerOnlyNetworksToo) {
  Build(true);
  ExpectAllExplained(200);
  const auto store = Store::Open(scratch_ / "s", {});
  const auto model = OpenOrNull(scratch_ / "s");
  const auto hidden =
      Explainer(*model).Pixels(Pixels(1), {.table = "hidden", .neurons = {0, 63}, .top = 0});
  ASSERT_TRUE(hidden.ok()) << Message(hidden.status());
  EXPECT_TRUE(hidden->integer_only);
  ExpectAddsUp(*hidden, **store);
}

TEST_F(ExplainDigits, MistakesAreNamedAndLeaveTheModelUsable) {
  Build(false);
  const auto model = OpenOrNull(scratch_ / "s");
  Explainer explainer(*model);
  const std::vector<float> row(784, 0.5f);
  const auto code = [&](absl::Span<const float> input, const ExplainOptions& options) {
    return explainer.Row(input, options).status().code();
  };
  EXPECT_EQ(code(row, {.table = "outptu"}), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(row, {.neurons = {10}}), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(code(absl::MakeConstSpan(row).subspan(1), {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(explainer.Tokens({1}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(explainer.Tokens({}, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(explainer.Row(row, {.neurons = {3, 3, 9}}).ok());
  const auto reference = OpenOrNull(scratch_ / "s", {.store = {}, .reference = true});
  EXPECT_EQ(Explainer(*reference).Row(row, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace lutdb
