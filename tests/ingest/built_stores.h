// Models and stores made by the builder's tests.
#pragma once

#include <filesystem>
#include <string>

#include "lutdb/build.h"
#include "tests/ingest/model_files.h"

namespace lutdb {

// A little language model in a directory of its own.
inline std::string WriteTinyLlama(const TestDirectory& directory, const TinyLlama& shape) {
  const std::string path = directory.At("model");
  std::filesystem::create_directory(path);
  directory.Write("model/config.json", shape.Config());
  directory.Write("model/model.safetensors", SafetensorsBytes(shape.Tensors()));
  return path;
}

// A feed-forward network of `layers` linear layers with biases and one activation between them;
// `inputs` inputs in [0, 1], `width` hidden neurons, 10 outputs. table: the "table" object of the
// first layer, or empty.
struct FeedForward {
  std::string activation = "relu";
  uint64_t inputs = 37;
  uint64_t width = 70;
  int layers = 2;
  std::string table;

  std::string Graph() const {
    std::string ops;
    for (int i = 0; i < layers; ++i) {
      if (i > 0) ops += fmt::format(R"(,{{"op":"{}"}},)", activation);
      const std::string coding = i == 0 && !table.empty() ? ",\"table\":" + table : "";
      ops += fmt::format(R"({{"op":"linear","weight":"l{0}.weight","bias":"l{0}.bias"{1}}})", i,
                         coding);
    }
    return fmt::format(
        R"({{"format":"lutdb-graph-1","input":{{"width":{},"range":[0,1]}},"ops":[{},)"
        R"({{"op":"softmax"}}]}})",
        inputs, ops);
  }

  std::vector<TestTensor> Tensors() const {
    std::vector<TestTensor> all;
    for (int i = 0; i < layers; ++i) {
      const uint64_t rows = i + 1 == layers ? 10 : width;
      all.push_back(MakeTensor(fmt::format("l{}.weight", i), {rows, i == 0 ? inputs : width}));
      all.push_back(MakeTensor(fmt::format("l{}.bias", i), {rows}));
    }
    return all;
  }
};

// Writes both files; returns the options' graph file and sets the model's path.
inline std::string WriteFeedForward(const TestDirectory& directory, const FeedForward& shape,
                                    std::string* model) {
  *model = directory.Write("ff.safetensors", SafetensorsBytes(shape.Tensors()));
  return directory.Write("ff.graph.json", shape.Graph());
}

// Builds, and verifies every byte and some cells exactly; the content hash.
inline Hash128 BuildAndVerify(const std::string& model, const std::string& store,
                              const BuildOptions& options) {
  const auto built = BuildStore(model, store, options);
  EXPECT_TRUE(built.ok()) << built.status();
  if (!built.ok()) return {};
  VerifyOptions verify;
  verify.deep = true;
  verify.exact_fraction = 0.3;
  verify.threads = 1;
  const auto report = VerifyStore(store, verify);
  EXPECT_TRUE(report.ok()) << report.status();
  if (report.ok()) {
    EXPECT_THAT(report->problems, testing::IsEmpty());
    EXPECT_EQ(report->records_checked, built->records);
    EXPECT_GT(report->cells_recomputed, 0u);
  }
  return built->content_hash;
}

}  // namespace lutdb
