// A thousand predictions of a public MNIST network, each the sum of its contributions, before and
// after edits. Skipped where the data is absent.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "engine/idx_file.h"
#include "lutdb/explain.h"
#include "lutdb/history.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

constexpr uint32_t kImages = 1000, kPixels = 784, kClasses = 10;

std::string DataPath(const std::string& name) {
  const char* folder = std::getenv("LUTDB_TEST_DATA");
  return JoinPath(folder != nullptr ? folder : RepositoryPath("../shared/data"), name);
}

class ExplainMnist : public testing::Test {
 protected:
  void SetUp() override {
    if (!PathExists(DataPath("vision/mnist"))) {
      GTEST_SKIP() << "no test data: set LUTDB_TEST_DATA to the folder that holds vision/";
    }
    BuildOptions options;
    options.graph_file = RepositoryPath("examples/mnist_mlp.graph.json");
    BuildOrFail(DataPath("vision/mnist/mnist_mlp.safetensors"), scratch_ / "s", options);
    const auto images = IdxFile::Open(DataPath("vision/mnist/t10k_public-images-idx3-ubyte.gz"));
    ASSERT_TRUE(images.ok()) << Message(images.status());
    ASSERT_TRUE((*images)->Read(absl::MakeSpan(pixels_)).ok());
  }
  // What the network answers to each image, checked against the sums of its contributions.
  std::vector<float> Explained() const {
    const auto model = OpenOrNull(scratch_ / "s");
    Explainer explainer(*model);
    std::vector<float> outputs(kImages * kClasses);
    EXPECT_TRUE(model->RunPixels(pixels_, kImages, absl::MakeSpan(outputs)).ok());
    ExplainOptions options;
    options.top = 0;
    for (uint32_t n = 0; n < kClasses; ++n) options.neurons.push_back(n);
    for (uint32_t i = 0; i < kImages; ++i) {
      const auto explanation =
          explainer.Pixels(absl::MakeConstSpan(pixels_).subspan(i * kPixels, kPixels), options);
      EXPECT_TRUE(explanation.ok()) << Message(explanation.status());
      if (!explanation.ok()) break;
      for (const NeuronExplanation& neuron : explanation->neurons) {
        int64_t sum = 0;
        for (const Contribution& part : neuron.contributions) sum += part.entry;
        const float product = explanation->scale * neuron.step * static_cast<float>(sum);
        const float y = neuron.has_bias ? product + neuron.bias : product;
        EXPECT_EQ(y, outputs[i * kClasses + neuron.neuron]) << "image " << i;
      }
    }
    return outputs;
  }
  std::vector<uint8_t> pixels_ = std::vector<uint8_t>(kImages * kPixels);
  ScratchDirectory scratch_;
};

TEST_F(ExplainMnist, EveryPredictionIsTheSumOfItsContributions) {
  const std::vector<float> before = Explained();
  std::vector<EntryEdit> edits;
  for (uint32_t i = 0; i < 3000; ++i) {
    edits.push_back({.table = i % 2,
                     .neuron = i % kClasses,
                     .chunk = i / 30,
                     .code = 100 + i % 30,
                     .value = static_cast<int32_t>(i * 7919 % 20001) - 10000});
  }
  {
    const auto history = History::Open(scratch_ / "s", {.write = true});
    ASSERT_TRUE(history.ok()) << Message(history.status());
    CommitOptions options;
    options.message = "many";
    const auto commit = (*history)->Commit("main", edits, options);
    ASSERT_TRUE(commit.ok()) << Message(commit.status());
  }
  EXPECT_FALSE(SameBits(Explained(), before));
}

}  // namespace
}  // namespace lutdb
