// Readers on real model files. Skipped where the data is absent.
#include <stdlib.h>

#include "ingest/gguf.h"
#include "ingest/gguf_blocks.h"
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
  // A published header, kept as hexadecimal text.
  std::string HeaderVector(const std::string& name) const {
    const std::string hex =
        FileBytes(data_ + "/conformance/header_vectors/fixtures/" + name + ".hex");
    EXPECT_FALSE(hex.empty());
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size() && hex[i] != '\n'; i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
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

// The same in GGUF: one model with the directory where nothing is packed.
TEST_F(RealModelReader, StoriesFromGguf) {
  const auto directory = OpenModelSource(data_ + "/safetensors/stories260K", {});
  ASSERT_TRUE(directory.ok()) << directory.status();
  for (const char* form : {"f32", "F16", "Q6_K", "Q4_K_M"}) {
    SCOPED_TRACE(form);
    const auto gguf = OpenModelSource(fmt::format("{}/gguf/stories260K-{}.gguf", data_, form), {});
    ASSERT_TRUE(gguf.ok()) << gguf.status();
    EXPECT_EQ(gguf->tokenizer.tokens.size(), 512u);
    EXPECT_EQ(gguf->graph.context, 512u);
    ASSERT_EQ(gguf->tables.size(), directory->tables.size());
    for (size_t i = 0; i < gguf->tables.size(); ++i) {
      const SourceTable& table = gguf->tables[i];
      EXPECT_EQ(table.spec.name, directory->tables[i].spec.name);
      if (form != std::string("f32")) continue;
      EXPECT_EQ(FloatBytes(Values(gguf->tensors[table.spec.weight_tensor])),
                FloatBytes(Values(directory->tensors[directory->tables[i].spec.weight_tensor])))
          << table.spec.name;
    }
  }
}

// ggml's own blocks and what it makes of them.
TEST_F(RealModelReader, UnpacksAsGgmlDoes) {
  for (const auto& [name, id] : std::vector<std::pair<const char*, uint32_t>>{
           {"Q4_0", 2}, {"Q8_0", 8}, {"Q4_K", 12}, {"Q6_K", 14}}) {
    SCOPED_TRACE(name);
    const std::string path = data_ + "/conformance/ggml_quant_vectors/" + name;
    const std::string blocks = FileBytes(path + ".blocks.bin");
    const std::string expected = FileBytes(path + ".dequant.f32");
    std::vector<float> values(expected.size() / sizeof(float));
    const GgufType& type = *FindGgufType(id);
    ASSERT_EQ(blocks.size() / type.bytes * type.elements, values.size());
    UnpackElements(type, reinterpret_cast<const uint8_t*>(blocks.data()), 0, values.size(),
                   values.data());
    EXPECT_TRUE(FloatBytes(values) == expected);
  }
  for (const auto& [name, dtype] :
       std::vector<std::pair<const char*, DType>>{{"F16", DType::kF16}, {"BF16", DType::kBF16}}) {
    SCOPED_TRACE(name);
    const std::string path = data_ + "/conformance/ggml_quant_vectors/" + name;
    const std::string blocks = FileBytes(path + ".blocks.bin");
    SourceTensor tensor;
    tensor.dtype = dtype;
    tensor.rows = 1;
    tensor.cols = blocks.size() / 2;
    tensor.data = reinterpret_cast<const uint8_t*>(blocks.data());
    EXPECT_TRUE(FloatBytes(Values(tensor)) == FileBytes(path + ".dequant.f32"));
  }
}

TEST_F(RealModelReader, AgreesWithPublishedGgufHeaders) {
  const TestDirectory directory;
  const struct {
    const char* name;
    absl::StatusCode code;
    size_t tensors;
  } cases[] = {
      {"gguf-v2-f32", absl::StatusCode::kOk, 1},
      {"gguf-v3-q4-0", absl::StatusCode::kOk, 1},
      {"gguf-unknown-type", absl::StatusCode::kUnimplemented, 0},
      {"gguf-unsupported-version", absl::StatusCode::kUnimplemented, 0},
      {"raw-small", absl::StatusCode::kDataLoss, 0},
      {"safetensors-two-tensors", absl::StatusCode::kDataLoss, 0},
  };
  for (const auto& vector : cases) {
    SCOPED_TRACE(vector.name);
    auto file = MappedFile::Open(directory.Write("vector", HeaderVector(vector.name)));
    ASSERT_TRUE(file.ok());
    const auto gguf = OpenGguf(*std::move(file));
    EXPECT_EQ(gguf.status().code(), vector.code) << gguf.status();
    EXPECT_EQ(gguf.ok() ? gguf->catalog.tensors.size() : 0, vector.tensors);
  }
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
    std::string bytes = HeaderVector(vector.name);
    bytes.append(vector.zeros, '\0');
    const auto catalog = OpenSafetensorsFile(directory.Write("vector", bytes));
    EXPECT_EQ(catalog.status().code(), vector.code) << catalog.status();
    EXPECT_EQ(catalog.ok() ? catalog->tensors.size() : 0, vector.tensors);
  }
}

}  // namespace
}  // namespace lutdb
