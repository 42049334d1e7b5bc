// Known truths of public models: see README.md of the data folder. Skipped where it is absent.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "lutdb/eval.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

std::string DataPath(const std::string& name) {
  const char* folder = std::getenv("LUTDB_TEST_DATA");
  return JoinPath(folder != nullptr ? folder : RepositoryPath("../shared/data"), name);
}

class RealModel : public testing::Test {
 protected:
  void SetUp() override {
    if (!PathExists(DataPath("lm"))) {
      GTEST_SKIP() << "no test data: set LUTDB_TEST_DATA to the folder that holds lm/";
    }
  }
  std::string BuildStories(int bits) {
    BuildOptions options;
    options.input_bits = bits;
    options.tokenizer_file = DataPath("lm/stories260K/tok512.bin");
    const std::string store = scratch_ / fmt::format("stories{}", bits);
    BuildOrFail(DataPath("lm/stories260K/stories260K.bin"), store, options);
    return store;
  }
  static EvalReport Eval(const std::string& store, bool reference) {
    const auto model = OpenOrNull(store, {.store = {}, .reference = reference});
    const auto ids = ReadTokenFile(DataPath("lm/reference/stories260K_tinystories12000chars.i32"));
    EXPECT_TRUE(ids.ok()) << Message(ids.status());
    EvalOptions options;
    options.window = 256;
    const auto report = EvalTokens(*model, *ids, options);
    EXPECT_TRUE(report.ok()) << Message(report.status());
    return *report;
  }
  // The numbers of a .npy file, which follow its header: `count` elements from the end.
  template <typename T>
  static std::vector<T> NpyTail(const std::string& path, size_t count) {
    const std::string bytes = FileBytes(path);
    EXPECT_GT(bytes.size(), count * sizeof(T));
    std::vector<T> values(count);
    std::memcpy(values.data(), bytes.data() + bytes.size() - count * sizeof(T), count * sizeof(T));
    return values;
  }
  ScratchDirectory scratch_;
};

TEST_F(RealModel, StoriesPerplexity) {
  const std::string store = BuildStories(8);
  const EvalReport reference = Eval(store, true);
  EXPECT_EQ(reference.count, 5731u);
  EXPECT_NEAR(reference.perplexity, 4.395, 0.0006);
  EXPECT_NEAR(Eval(store, false).nll, reference.nll, 0.003);
  EXPECT_NEAR(Eval(BuildStories(6), false).nll, reference.nll, 0.03);
  EXPECT_NEAR(Eval(BuildStories(4), false).nll, reference.nll, 0.40);
}

TEST_F(RealModel, StoriesGreedyText) {
  const auto model = OpenOrNull(BuildStories(8));
  const std::string expected = FileBytes(DataPath("lm/stories260K/expected_greedy_200steps.txt"));
  ASSERT_EQ(expected.size(), 464u);
  const auto result = model->Generate("", {.max_tokens = 200, .temperature = 0}, nullptr);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->text.substr(0, expected.size()), expected);
}

// Every form of GGUF: tables cost as little as ever, the f32 form tells the known story, and packed
// weights lose what ggml's loss of them is known to be.
TEST_F(RealModel, StoriesFromGguf) {
  const auto expected = FileBytes(DataPath("lm/stories260K/expected_greedy_200steps.txt"));
  for (const std::string form : {"f32", "F16", "Q6_K", "Q4_K_M"}) {
    SCOPED_TRACE(form);
    const std::string store = scratch_ / form;
    BuildOrFail(DataPath("gguf/stories260K-" + form + ".gguf"), store, {});
    const EvalReport reference = Eval(store, true);
    EXPECT_NEAR(Eval(store, false).nll, reference.nll, 0.003);
    if (form != "f32") continue;
    EXPECT_NEAR(reference.perplexity, 4.395, 0.0006);
    const auto result =
        OpenOrNull(store)->Generate("", {.max_tokens = 200, .temperature = 0}, nullptr);
    ASSERT_TRUE(result.ok()) << Message(result.status());
    EXPECT_EQ(result->text.substr(0, expected.size()), expected);
  }
}

TEST_F(RealModel, StoriesReferenceLogits) {
  const std::string store = BuildStories(8);
  const auto model = OpenOrNull(store, {.store = {}, .reference = true});
  const std::string logits_path = DataPath("lm/reference/stories260K_logits_f32.npy");
  const size_t positions = FileBytes(logits_path).size() / (512 * sizeof(float));
  ASSERT_GT(positions, 10u);
  const auto expected = NpyTail<float>(logits_path, positions * 512);
  const auto tokens = NpyTail<int32_t>(DataPath("lm/reference/stories260K_tokens.npy"), positions);
  std::vector<float> logits(512);
  double largest_difference = 0;
  for (size_t i = 0; i < positions && i < model->context(); ++i) {
    ASSERT_TRUE(model->Feed(tokens[i], absl::MakeSpan(logits)).ok());
    for (size_t n = 0; n < 512; ++n) {
      largest_difference =
          std::max(largest_difference, std::fabs(double{logits[n]} - expected[i * 512 + n]));
    }
  }
  EXPECT_LT(largest_difference, 1e-3);
}

TEST_F(RealModel, MnistAccuracy) {
  BuildOptions options;
  options.graph_file = RepositoryPath("examples/mnist_mlp.graph.json");
  const std::string weights = DataPath("vision/mnist/mnist_mlp.safetensors");
  const auto accuracy = [&](const std::string& store, bool reference) {
    const auto model = OpenOrNull(store, {.store = {}, .reference = reference});
    const auto report =
        EvalImages(*model, DataPath("vision/mnist/t10k_public-images-idx3-ubyte.gz"),
                   DataPath("vision/mnist/t10k_public-labels-idx1-ubyte.gz"), {});
    EXPECT_TRUE(report.ok()) << Message(report.status());
    EXPECT_EQ(report->count, 5000u);
    return report->accuracy;
  };
  BuildOrFail(weights, scratch_ / "mnist", options);
  EXPECT_NEAR(accuracy(scratch_ / "mnist", true), 0.8836, 1e-9);
  EXPECT_NEAR(accuracy(scratch_ / "mnist", false), 0.8836, 0.002);
  options.integer_only = true;
  BuildOrFail(weights, scratch_ / "mnist_integer", options);
  EXPECT_NEAR(accuracy(scratch_ / "mnist_integer", false), 0.8836, 0.004);
}

}  // namespace
}  // namespace lutdb
