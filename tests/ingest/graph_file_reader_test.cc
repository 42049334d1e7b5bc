// Graph files: every op, how tables are coded, and every way a file can be wrong.
#include <cmath>
#include <random>

#include "ingest/graph_file.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

using absl::StatusCode;

std::string GraphText(const std::string& ops, uint32_t width = 4) {
  return fmt::format(R"({{"format":"lutdb-graph-1","input":{{"width":{}}},"ops":[{}]}})", width,
                     ops);
}

class GraphFileReader : public testing::Test {
 protected:
  GraphFileReader() {
    model_ =
        directory_.Write("model.safetensors",
                         SafetensorsBytes({MakeTensor("a.weight", {3, 4}),
                                           MakeTensor("a.bias", {3}),
                                           MakeTensor("b.weight", {4, 3}),
                                           MakeTensor("square.weight", {4, 4}),
                                           MakeTensor("v4.weight", {4}),
                                           MakeTensor("v4.bias", {4}),
                                           {"mean", "F32", {4}, FloatBytes({0.5f, -1, 0, 2})},
                                           {"var", "F32", {4}, FloatBytes({1, 4, 0, 0.25f})},
                                           {"negative", "F32", {4}, FloatBytes({1, 4, -1, 0.25f})},
                                           {"ids", "I64", {4}, std::string(32, 'x')},
                                           MakeTensor("w.weight", {2, 6})}));
  }

  absl::StatusOr<ModelSource> Open(const std::string& text) {
    graph_ = directory_.Write("graph.json", text);
    return OpenModelSource(model_, WithGraph(graph_));
  }
  // A single linear op whose "table" is given; w.weight has 6 inputs.
  absl::StatusOr<ModelSource> OpenCoding(const std::string& table) {
    return Open(GraphText(R"({"op":"linear","weight":"w.weight","table":)" + table + "}", 6));
  }

  const TestDirectory directory_;
  std::string model_, graph_;
};

TEST_F(GraphFileReader, LowersEveryOp) {
  const auto source = Open(
      R"({"format":"lutdb-graph-1","name":"all","description":"every op",
          "input":{"width":4,"range":[-1,2.5]},"ops":[
      {"op":"linear","weight":"a.weight","bias":"a.bias"},
      {"op":"leaky_relu"},{"op":"leaky_relu","alpha":0.25},
      {"op":"linear","weight":"b.weight","name":"back"},
      {"op":"rms_norm","weight":"v4.weight","epsilon":0.5},
      {"op":"layer_norm","weight":"v4.weight","bias":"v4.bias"},
      {"op":"layer_norm","weight":"v4.weight"},
      {"op":"scale_shift","scale":"v4.weight"},
      {"op":"scale_shift","shift":"v4.bias"},
      {"op":"batch_norm","mean":"mean","var":"var","weight":"v4.weight","bias":"v4.bias"},
      {"op":"add","inputs":["back","input"]},
      {"op":"multiply","inputs":["add.10","back"],"name":"product"},
      {"op":"relu","input":"back"},{"op":"silu"},{"op":"gelu"},{"op":"gelu_tanh"},
      {"op":"sigmoid"},{"op":"tanh"},{"op":"identity"},{"op":"softmax"}]})");
  ASSERT_TRUE(source.ok()) << source.status();
  const Graph& graph = source->graph;
  EXPECT_EQ(source->name, "all");
  EXPECT_EQ(graph.architecture, "feed-forward");
  EXPECT_FALSE(graph.is_language_model());
  EXPECT_EQ(graph.input_low, -1.0f);
  EXPECT_EQ(graph.input_high, 2.5f);
  ASSERT_EQ(graph.ops.size(), 20u);
  ASSERT_EQ(source->tables.size(), 2u);
  EXPECT_EQ(source->tables[0].spec.name, "a");
  EXPECT_EQ(source->tables[1].spec.name, "b");
  EXPECT_FALSE(source->tables[0].coding_given);
  EXPECT_EQ(source->tensors[source->tables[0].spec.bias_tensor].name, "a.bias");
  EXPECT_EQ(graph.ops[1].alpha, 0.01f);
  EXPECT_EQ(graph.ops[2].alpha, 0.25f);
  EXPECT_EQ(graph.ops[4].epsilon, 0.5f);
  EXPECT_EQ(graph.ops[5].epsilon, 1e-5f);
  EXPECT_EQ(graph.ops[4].tensor, graph.ops[5].tensor);
  EXPECT_EQ(Values(source->tensors[graph.ops[6].tensor_b]), std::vector<float>(4, 0.0f));
  EXPECT_EQ(Values(source->tensors[graph.ops[7].tensor_b]), std::vector<float>(4, 0.0f));
  EXPECT_EQ(Values(source->tensors[graph.ops[8].tensor]), std::vector<float>(4, 1.0f));
  const uint32_t back = graph.ops[3].output;
  EXPECT_EQ(graph.ops[10].inputs, (std::vector<uint32_t>{back, graph.input}));
  EXPECT_EQ(graph.ops[11].inputs, (std::vector<uint32_t>{graph.ops[10].output, back}));
  EXPECT_EQ(graph.ops[12].inputs, std::vector<uint32_t>{back});
  EXPECT_EQ(graph.ops[13].activation, Activation::kSilu);
  EXPECT_EQ(graph.ops[16].activation, Activation::kSigmoid);
  EXPECT_EQ(graph.output, graph.ops.back().output);
}

TEST_F(GraphFileReader, FoldsBatchNorm) {
  const auto source = Open(GraphText(
      R"({"op":"batch_norm","mean":"mean","var":"var","weight":"v4.weight","bias":"v4.bias"})"));
  ASSERT_TRUE(source.ok()) << source.status();
  const Op& op = source->graph.ops[0];
  EXPECT_EQ(op.kind, OpKind::kScaleShift);
  // Neither mean nor variance become tensors of the model.
  EXPECT_EQ(source->tensors.size(), 2u);
  const std::vector<float> scale = Values(source->tensors[op.tensor]);
  const std::vector<float> shift = Values(source->tensors[op.tensor_b]);
  const TestTensor weight = MakeTensor("v4.weight", {4}), bias = MakeTensor("v4.bias", {4});
  const float mean[] = {0.5f, -1, 0, 2}, variance[] = {1, 4, 0, 0.25f};
  for (int i = 0; i < 4; ++i) {
    const double w = LoadLittle<float>(weight.bytes.data() + 4 * i);
    const double b = LoadLittle<float>(bias.bytes.data() + 4 * i);
    const double factor = w / std::sqrt(variance[i] + 1e-5);
    EXPECT_FLOAT_EQ(scale[i], factor);
    EXPECT_FLOAT_EQ(shift[i], b - mean[i] * factor);
  }
}

TEST_F(GraphFileReader, ReadsCodings) {
  auto source = OpenCoding(R"({"input_bits":5,"grid":"unsigned","chunk":2,"scale":0.5})");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_TRUE(source->tables[0].coding_given);
  EXPECT_EQ(source->tables[0].spec.levels, (GridLevels{Grid::kUnsigned, 5}));
  EXPECT_EQ(source->tables[0].spec.chunk, 2u);
  EXPECT_EQ(source->tables[0].spec.fixed_scale, 0.5f);
  EXPECT_TRUE(source->tables[0].input_scales.empty());

  source = OpenCoding(R"({"scale":0.5,"input_scales":[1,2,3,4,5,6]})");
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_FALSE(source->tables[0].coding_given);
  EXPECT_EQ(source->tables[0].input_scales, (std::vector<float>{1, 2, 3, 4, 5, 6}));

  // Mixed bits, chunks that overlap: input 0 is first listed with 8 bits, and that counts.
  source = OpenCoding(R"({"input_bits":4,"chunks":[{"inputs":[0,5],"bits":[8,2]},
      {"inputs":[1,2,3]},{"inputs":[4,0],"bits":3,"grid":["unsigned","signed"]}]})");
  ASSERT_TRUE(source.ok()) << source.status();
  const TableSpec& spec = source->tables[0].spec;
  ASSERT_EQ(spec.chunks.size(), 3u);
  EXPECT_EQ(spec.chunks[0].inputs, (std::vector<uint32_t>{0, 5}));
  EXPECT_EQ(spec.chunks[0].levels[1], (GridLevels{Grid::kSigned, 2}));
  EXPECT_EQ(spec.chunks[1].levels[2], (GridLevels{Grid::kSigned, 4}));
  EXPECT_EQ(spec.chunks[2].levels[0], (GridLevels{Grid::kUnsigned, 3}));
  EXPECT_EQ(source->tables[0].input_scales,
            (std::vector<float>{1, 127.0f / 7, 127.0f / 7, 127.0f / 7, 127.0f / 7, 127}));
}

TEST_F(GraphFileReader, SharesTheTableOfAWeightUsedTwice) {
  const std::string linear = R"({"op":"linear","weight":"square.weight"})";
  const auto source = Open(GraphText(linear + R"(,{"op":"relu"},)" + linear));
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ(source->tables.size(), 1u);
  EXPECT_EQ(source->graph.ops[0].table, source->graph.ops[2].table);
  EXPECT_NE(source->graph.ops[0].name, source->graph.ops[2].name);
  ExpectError(Open(GraphText(linear + R"(,{"op":"linear","weight":"square.weight","bias":"mean"})"))
                  .status(),
              StatusCode::kDataLoss, "asked for twice", model_);
}

struct BadGraph {
  std::string text;
  StatusCode code;
  const char* message;
};

TEST_F(GraphFileReader, RefusesBadFiles) {
  const BadGraph cases[] = {
      {"", StatusCode::kDataLoss, "not valid JSON"},
      {"[]", StatusCode::kDataLoss, "not a JSON object"},
      {R"({"input":{"width":4},"ops":[]})", StatusCode::kDataLoss, "format is missing"},
      {R"({"format":"lutdb-graph-2"})", StatusCode::kUnimplemented, "lutdb-graph-2"},
      {R"({"format":"lutdb-graph-1","ops":[{"op":"relu"}]})", StatusCode::kDataLoss,
       "input is missing"},
      {R"({"format":"lutdb-graph-1","input":{"width":4}})", StatusCode::kDataLoss, "ops"},
      {R"({"format":"lutdb-graph-1","input":4,"ops":[{"op":"relu"}]})", StatusCode::kDataLoss,
       "input must be an object"},
      {R"({"format":"lutdb-graph-1","input":{"width":4,"range":[1,0]},"ops":[{"op":"relu"}]})",
       StatusCode::kDataLoss, "low below high"},
      {R"({"format":"lutdb-graph-1","input":{"width":4,"range":[0,1e300]},"ops":[{"op":"relu"}]})",
       StatusCode::kDataLoss, "range"},
      {R"({"format":"lutdb-graph-1","input":{"width":4,"rnge":[0,1]},"ops":[{"op":"relu"}]})",
       StatusCode::kDataLoss, "\"rnge\" is not known"},
      {R"({"format":"lutdb-graph-1","input":{"width":4},"ops":[{"op":"relu"}],"more":1})",
       StatusCode::kDataLoss, "\"more\" is not known"},
  };
  for (const BadGraph& bad : cases) {
    SCOPED_TRACE(bad.text);
    ExpectError(Open(bad.text).status(), bad.code, bad.message, directory_.path());
  }
  ExpectError(OpenError(model_, WithGraph(directory_.At("absent"))), StatusCode::kNotFound, "",
              "absent");
}

TEST_F(GraphFileReader, RefusesBadOps) {
  const std::string relu = R"({"op":"relu"})";
  const BadGraph cases[] = {
      {GraphText(""), StatusCode::kDataLoss, "ops must be a list"},
      {GraphText("1"), StatusCode::kDataLoss, "op 0 must be an object"},
      {GraphText("{}"), StatusCode::kDataLoss, "op is missing"},
      {GraphText(relu, 0), StatusCode::kDataLoss, "width"},
      {GraphText(relu + R"(,{"op":"conv2d"})"), StatusCode::kUnimplemented,
       "op 1: \"conv2d\" is not known; lutdb knows linear, learned, rms_norm"},
      {GraphText(R"({"op":"relu","alpha":1})"), StatusCode::kDataLoss, "misspelt"},
      {GraphText(R"({"op":"relu","input":"later"})"), StatusCode::kDataLoss,
       "no earlier op is named \"later\""},
      {GraphText(R"({"op":"relu","name":"input"})"), StatusCode::kDataLoss, "is taken"},
      {GraphText(R"({"op":"relu","name":"x"},{"op":"relu","name":"x"})"), StatusCode::kDataLoss,
       "is taken"},
      {GraphText(R"({"op":"relu","name":"relu.1"},{"op":"relu"})"), StatusCode::kDataLoss,
       "is taken"},
      {GraphText(R"({"op":"leaky_relu","alpha":"x"})"), StatusCode::kDataLoss, "alpha"},
      {GraphText(R"({"op":"linear"})"), StatusCode::kDataLoss, "weight is missing"},
      {GraphText(R"({"op":"linear","weight":""})"), StatusCode::kDataLoss, "not empty"},
      {GraphText(R"({"op":"linear","weight":"zzz"})"), StatusCode::kNotFound, "\"zzz\""},
      {GraphText(R"({"op":"linear","weight":"mean"})"), StatusCode::kDataLoss, "shape [4]"},
      {GraphText(R"({"op":"linear","weight":"a.weight"},{"op":"linear","weight":"a.weight"})"),
       StatusCode::kDataLoss,
       "op 1 (linear): weight \"a.weight\" has 4 inputs, but the value it "
       "reads is 3 wide"},
      {GraphText(R"({"op":"linear","weight":"a.weight","bias":"mean"})"), StatusCode::kDataLoss,
       "op 0 (linear)"},
      {GraphText(R"({"op":"rms_norm","weight":"a.bias"})"), StatusCode::kDataLoss,
       "shape [3], the model needs [4]"},
      {GraphText(R"({"op":"rms_norm","weight":"ids"})"), StatusCode::kUnimplemented, "I64"},
      {GraphText(R"({"op":"rms_norm","weight":"mean","epsilon":-1})"), StatusCode::kDataLoss,
       "epsilon"},
      {GraphText(R"({"op":"scale_shift"})"), StatusCode::kDataLoss, "needs scale, shift"},
      {GraphText(R"({"op":"batch_norm","mean":"mean"})"), StatusCode::kDataLoss, "var is missing"},
      {GraphText(R"({"op":"batch_norm","mean":"mean","var":"negative"})"), StatusCode::kDataLoss,
       "element 2"},
      {GraphText(R"({"op":"batch_norm","mean":"mean","var":"var","epsilon":0})"),
       StatusCode::kDataLoss, "element 2"},
      {GraphText(R"({"op":"add"})"), StatusCode::kDataLoss, "list of 2 op names"},
      {GraphText(R"({"op":"add","inputs":["input"]})"), StatusCode::kDataLoss,
       "list of 2 op names"},
      {GraphText(R"({"op":"linear","weight":"a.weight"},{"op":"add","inputs":["a","input"]})"),
       StatusCode::kDataLoss, "op 1 (add): its inputs have different widths, 3 and 4"},
  };
  for (const BadGraph& bad : cases) {
    SCOPED_TRACE(bad.text);
    ExpectError(Open(bad.text).status(), bad.code, bad.message, directory_.path());
  }
}

TEST_F(GraphFileReader, RefusesBadCodings) {
  const struct {
    const char* table;
    const char* message;
  } cases[] = {
      {"1", "must be an object"},
      {R"({"bits":8})", "\"bits\" is not known"},
      {R"({"input_bits":0})", "bits must be"},
      {R"({"input_bits":17})", "bits must be"},
      {R"({"grid":"octal"})", "grid must be"},
      {R"({"chunk":0})", "chunk must be"},
      {R"({"chunk":3,"input_bits":8})", "table: "},
      {R"({"scale":0})", "scale must be"},
      {R"({"scale":-1})", "scale must be"},
      {R"({"input_scales":[1,2]})", "list of 6 numbers"},
      {R"({"input_scales":[1,2,3,4,5,0]})", "input_scales must be"},
      {R"({"chunk":2,"chunks":[]})", "contradict"},
      {R"({"chunks":[]})", "chunks must be"},
      {R"({"chunks":[1]})", "chunk 0: must be an object"},
      {R"({"chunks":[{"inputs":[]}]})", "chunk 0: inputs"},
      {R"({"chunks":[{"inputs":[6]}]})", "from 0 to 5"},
      {R"({"chunks":[{"inputs":[-1]}]})", "from 0 to 5"},
      {R"({"chunks":[{"inputs":[0,1,2,3,4,5],"bits":[1,2]}]})", "bits has 2 elements for 6 inputs"},
      {R"({"chunks":[{"inputs":[0,1,2,3,4,5],"bits":2,"width":1}]})", "\"width\""},
      {R"({"input_bits":2,"chunks":[{"inputs":[0,1,2,3,4,4]}]})", "table: "},
      {R"({"input_bits":2,"chunks":[{"inputs":[0,1,2,3,4]}]})", "table: "},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.table);
    const absl::Status status = OpenCoding(bad.table).status();
    ExpectError(status, StatusCode::kDataLoss, bad.message, graph_);
    EXPECT_THAT(Message(status), testing::HasSubstr("op 0 (linear), table"));
  }
}

// --tokenizer and --graph with models they do not go with are the caller's mistake.
TEST_F(GraphFileReader, RefusesContradictions) {
  const std::string graph = directory_.Write("g.json", GraphText(R"({"op":"relu"})"));
  const std::string tokenizer = directory_.Write("t.bin", TokenizerBytes(4));
  ExpectError(OpenError(model_, {.graph_file = graph, .tokenizer_file = tokenizer}),
              StatusCode::kInvalidArgument, "--tokenizer", tokenizer);
}

TEST_F(GraphFileReader, SurvivesDamage) {
  const std::string good = GraphText(
      R"({"op":"linear","weight":"w.weight","table":{"input_bits":4,"chunks":[
      {"inputs":[0,5],"bits":[8,2]},{"inputs":[1,2,3]},{"inputs":[4,0],"bits":3}]}},
      {"op":"leaky_relu","alpha":0.5},{"op":"add","inputs":["w","leaky_relu.1"]})",
      6);
  ASSERT_TRUE(Open(good).ok()) << Open(good).status();
  std::mt19937_64 random(3);
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    for (uint64_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    }
    EXPECT_EQ(Message(Open(bytes).status()).find('\n'), std::string::npos);
  }
}

// What the reader knows and what the schema describes are one list.
TEST_F(GraphFileReader, SchemaNamesEveryOp) {
  const std::string schema = FileBytes(LUTDB_SOURCE_DIR "/schemas/graph.schema.json");
  const std::string known = Message(Open(GraphText(R"({"op":"?"})")).status());
  std::string names = known.substr(known.find("lutdb knows ") + 12) + ", ";
  int count = 0;
  for (size_t end; (end = names.find(", ")) != std::string::npos; names.erase(0, end + 2)) {
    EXPECT_THAT(schema, testing::HasSubstr('"' + names.substr(0, end) + '"'));
    ++count;
  }
  EXPECT_EQ(count, 17);
}

TEST_F(GraphFileReader, ReadsTheShippedNetworks) {
  const std::string digits = LUTDB_SOURCE_DIR "/models/digits/digits";
  const auto source = OpenModelSource(digits + ".safetensors", WithGraph(digits + ".graph.json"));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->name, "digits");
  EXPECT_EQ(source->graph.values[source->graph.output].width, 10u);

  const std::vector<TestTensor> mnist = {MakeTensor("l1.weight", {128, 784}),
                                         MakeTensor("l2.weight", {10, 128})};
  const auto shaped =
      OpenModelSource(directory_.Write("mnist.safetensors", SafetensorsBytes(mnist)),
                      WithGraph(LUTDB_SOURCE_DIR "/examples/mnist_mlp.graph.json"));
  ASSERT_TRUE(shaped.ok()) << shaped.status();
  ASSERT_EQ(shaped->tables.size(), 2u);
  EXPECT_EQ(shaped->tables[0].spec.name, "l1");
  EXPECT_EQ(shaped->tables[1].spec.name, "l2");
}

}  // namespace
}  // namespace lutdb
