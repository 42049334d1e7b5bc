// Public models and data, where they are: LUTDB_TEST_DATA or ../shared/data beside the sources.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

std::string DataPath(const std::string& path) {
  const char* given = std::getenv("LUTDB_TEST_DATA");
  const std::string root = given != nullptr ? given : SourcePath("../shared/data");
  return root + "/" + path;
}

class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(DataPath("lm"))) {
      GTEST_SKIP() << "no test data at " << DataPath("") << "; set LUTDB_TEST_DATA";
    }
  }
  void Build(const std::string& model, const std::string& name, const Words& options) {
    Words words = {"build", model, scratch_ / name};
    words.insert(words.end(), options.begin(), options.end());
    const ProcessResult built = Lutdb(words);
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  void BuildStories(const std::string& name, const Words& options = {}) {
    Words words = {"--tokenizer", DataPath("lm/stories260K/tok512.bin")};
    words.insert(words.end(), options.begin(), options.end());
    Build(DataPath("lm/stories260K/stories260K.bin"), name, words);
  }
  Json RunJson(Words words) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  Json Perplexity(const std::string& name, const Words& options = {}) {
    Words words = {"eval",     scratch_ / name,
                   "--window", "256",
                   "--tokens", DataPath("lm/reference/stories260K_tinystories12000chars.i32")};
    words.insert(words.end(), options.begin(), options.end());
    return RunJson(words);
  }

  ScratchDirectory scratch_;
};

// Few bits, calibrated on the first 2,048 tokens of the stream, measured on full windows after it.
TEST_F(RealData, StoriesWithFewBits) {
  constexpr size_t kCalibrated = 2048, kWindow = 256, kTokenBytes = 4;
  const std::string stream =
      ReadWholeFile(DataPath("lm/reference/stories260K_tinystories12000chars.i32"));
  const size_t windows = (stream.size() / kTokenBytes - kCalibrated - 1) / kWindow;
  WriteWholeFile(scratch_ / "first.i32", stream.substr(0, kCalibrated * kTokenBytes));
  WriteWholeFile(scratch_ / "rest.i32",
                 stream.substr(kCalibrated * kTokenBytes, (windows * kWindow + 1) * kTokenBytes));
  const struct {
    const char* name;
    Words options;
    double perplexity_max;
  } cases[] = {{"6.lut", {"--input-bits", "6"}, 4.46},
               {"5.lut", {"--input-bits", "5"}, 4.56},
               {"4.lut", {"--input-bits", "4"}, 4.95},
               {"pairs.lut", {"--input-bits", "4", "--chunk", "2"}, 4.95}};
  for (const auto& one : cases) {
    Words options = {"--levels", "learned", "--rotate", "--calibrate", scratch_ / "first.i32"};
    options.insert(options.end(), one.options.begin(), one.options.end());
    Build(DataPath("safetensors/stories260K"), one.name, options);
    const Json result = RunJson(
        {"eval", scratch_ / one.name, "--window", "256", "--tokens", scratch_ / "rest.i32"});
    EXPECT_EQ(result.at("count"), 3584);
    EXPECT_LE(result.at("perplexity").get<double>(), one.perplexity_max) << one.name;
  }
}

TEST_F(RealData, StoriesFromEveryFormat) {
  BuildStories("bin.lut", {"--input-bits", "8", "--entry", "i16"});
  const std::string expected =
      ReadWholeFile(DataPath("lm/stories260K/expected_greedy_200steps.txt"));
  ASSERT_EQ(expected.size(), 464u);
  const auto text = [&](const std::string& name) {
    return Lutdb({"run", scratch_ / name, "--max-tokens", "200", "--temperature", "0", "--prompt",
                  ""})
        .out.substr(0, 464);
  };
  EXPECT_EQ(text("bin.lut"), expected);
  Build(DataPath("safetensors/stories260K"), "hf.lut",
        {"--tokenizer", DataPath("lm/stories260K/tok512.bin")});
  EXPECT_EQ(text("hf.lut"), expected);
  Build(DataPath("gguf/stories260K-f32.gguf"), "gguf.lut", {});  // its vocabulary is inside
  EXPECT_EQ(text("gguf.lut"), expected);
  EXPECT_EQ(RunJson({"info", scratch_ / "gguf.lut"}).at("content_hash"),
            RunJson({"info", scratch_ / "hf.lut"}).at("content_hash"));
  EXPECT_EQ(RunJson({"info", scratch_ / "bin.lut"}).at("content_hash"),
            RunJson({"info", scratch_ / "hf.lut"}).at("content_hash"));
}

TEST_F(RealData, PerplexityOfTablesAndWeights) {
  BuildStories("8.lut");
  const Json reference = Perplexity("8.lut", {"--reference"});
  EXPECT_EQ(reference.at("count"), 5731);
  EXPECT_NEAR(reference.at("perplexity"), 4.395, 0.001);
  const double nll = reference.at("nll");
  EXPECT_NEAR(Perplexity("8.lut").at("nll"), nll, 0.003);
  BuildStories("6.lut", {"--input-bits", "6"});
  EXPECT_NEAR(Perplexity("6.lut").at("nll"), nll, 0.03);
  BuildStories("4.lut", {"--input-bits", "4"});
  EXPECT_NEAR(Perplexity("4.lut").at("nll"), nll, 0.40);
}

TEST_F(RealData, MnistAccuracy) {
  const auto accuracy = [this](const std::string& name) {
    return RunJson({"eval", scratch_ / name, "--images",
                    DataPath("vision/mnist/t10k_public-images-idx3-ubyte.gz"), "--labels",
                    DataPath("vision/mnist/t10k_public-labels-idx1-ubyte.gz")})
        .at("accuracy")
        .get<double>();
  };
  const Words graph = {"--graph", SourcePath("examples/mnist_mlp.graph.json")};
  Build(DataPath("vision/mnist/mnist_mlp.safetensors"), "m.lut", graph);
  EXPECT_NEAR(accuracy("m.lut"), 0.8836, 0.002);
  Build(DataPath("vision/mnist/mnist_mlp.safetensors"), "i.lut",
        {graph[0], graph[1], "--integer-only"});
  EXPECT_NEAR(accuracy("i.lut"), 0.8836, 0.004);
}

}  // namespace
}  // namespace lutdb
