// Readers on real model files. Skipped where the data is absent.
#include <stdlib.h>

#include "ingest/safetensors.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

class RealModelReader : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = ::getenv("LUTDB_TEST_DATA");
    data_ = given != nullptr ? given : LUTDB_SOURCE_DIR "/../shared/data";
    if (!std::filesystem::is_directory(data_)) {
      GTEST_SKIP() << "no test data at " << data_ << "; set LUTDB_TEST_DATA";
    }
  }
  std::string data_;
};

// One model in three files of two formats: every tensor, table and op is the same.
TEST_F(RealModelReader, StoriesIsOneModelInEveryFormat) {
  const std::string tokenizer = data_ + "/lm/stories260K/tok512.bin";
  const auto open = [&](const std::string& path) {
    return OpenModelSource(data_ + path, WithTokenizer(tokenizer));
  };
  const auto v0 = open("/lm/stories260K/stories260K.bin");
  const auto v1 = open("/lm/stories260K/stories260K_v1.bin");
  const auto directory = open("/safetensors/stories260K");
  ASSERT_TRUE(v0.ok()) << v0.status();
  ASSERT_TRUE(v1.ok()) << v1.status();
  ASSERT_TRUE(directory.ok()) << directory.status();
  ExpectSameModel(*v0, *directory);
  ExpectSameModel(*v1, *directory);
  EXPECT_EQ(SerializeGraph(v0->graph), SerializeGraph(directory->graph));
  EXPECT_TRUE(v0->tokenizer == directory->tokenizer);
  EXPECT_EQ(v0->tokenizer.tokens.size(), 512u);
  EXPECT_EQ(directory->tables.size(), 36u);
  EXPECT_EQ(directory->name, "stories260K");

  const auto half = open("/safetensors/stories260K/model_bf16.safetensors");
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_TRUE(half->graph == directory->graph);
  for (const SourceTensor& tensor : half->tensors) EXPECT_EQ(tensor.dtype, DType::kBF16);
}

TEST_F(RealModelReader, RefusesTheTokenizerOfAnotherModel) {
  const std::string tokenizer = data_ + "/lm/llama2_tokenizer/tokenizer.bin";
  ExpectError(OpenError(data_ + "/lm/stories260K/stories260K.bin", WithTokenizer(tokenizer)),
              absl::StatusCode::kDataLoss, "holds 32000 tokens, but the model's vocabulary has 512",
              tokenizer);
}

TEST_F(RealModelReader, ReadsTheMnistNetwork) {
  const auto source = OpenModelSource(data_ + "/vision/mnist/mnist_mlp.safetensors",
                                      WithGraph(LUTDB_SOURCE_DIR "/examples/mnist_mlp.graph.json"));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->tables[0].spec.neurons, 128u);
}

// Published good and bad headers, kept as hexadecimal text; the large ones without their zeros.
TEST_F(RealModelReader, AgreesWithPublishedHeaderVectors) {
  const TestDirectory directory;
  const struct {
    const char* name;
    uint64_t zeros;
    absl::StatusCode code;
    size_t tensors;
  } cases[] = {
      {"safetensors-header-only", 0, absl::StatusCode::kOk, 0},
      {"safetensors-two-tensors", 0, absl::StatusCode::kOk, 2},
      {"safetensors-fp8-te137-canonical-member-units", 589824, absl::StatusCode::kOk, 1},
      {"safetensors-fp8-flux2-worker-output", 23592960, absl::StatusCode::kOk, 1},
      {"safetensors-gap", 0, absl::StatusCode::kDataLoss, 0},
      {"safetensors-unknown-dtype", 0, absl::StatusCode::kUnimplemented, 0},
      {"gguf-v2-f32", 0, absl::StatusCode::kDataLoss, 0},
      {"raw-small", 0, absl::StatusCode::kDataLoss, 0},
  };
  for (const auto& vector : cases) {
    SCOPED_TRACE(vector.name);
    const std::string hex =
        FileBytes(data_ + "/conformance/header_vectors/fixtures/" + vector.name + ".hex");
    ASSERT_FALSE(hex.empty());
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size() && hex[i] != '\n'; i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    bytes.append(vector.zeros, '\0');
    const auto catalog = OpenSafetensorsFile(directory.Write("vector", bytes));
    EXPECT_EQ(catalog.status().code(), vector.code) << catalog.status();
    EXPECT_EQ(catalog.ok() ? catalog->tensors.size() : 0, vector.tensors);
  }
}

}  // namespace
}  // namespace lutdb
