// Model files made by the reader tests: small, deterministic, and wrong where a test wants them so.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/model_source.h"

namespace lutdb {

// A directory of its own, removed with everything in it.
class TestDirectory {
 public:
  TestDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "lutdb_reader_XXXXXX").string();
    path_ = ::mkdtemp(path.data());
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string At(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file and returns its path.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(At(name), std::ios::binary) << bytes;
    return At(name);
  }

 private:
  std::string path_;
};

inline std::string FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct TestTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};

inline std::string FloatBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// An F32 tensor whose elements depend on its name and their place alone.
inline TestTensor MakeTensor(const std::string& name, const std::vector<uint64_t>& shape) {
  uint64_t count = 1, state = std::hash<std::string>()(name) | 1;
  for (const uint64_t size : shape) count *= size;
  std::vector<float> values;
  for (uint64_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    values.push_back(static_cast<float>(static_cast<int32_t>(state >> 40)) / (1 << 23) - 1.0f);
  }
  return {name, "F32", shape, FloatBytes(values)};
}

inline std::string SafetensorsWithHeader(const std::string& header, const std::string& data) {
  std::string file;
  AppendLittle<uint64_t>(header.size(), &file);
  return file + header + data;
}

inline std::string SafetensorsBytes(const std::vector<TestTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})", data;
  for (const TestTensor& tensor : tensors) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          tensor.name, tensor.dtype, fmt::join(tensor.shape, ","), data.size(),
                          data.size() + tensor.bytes.size());
    data += tensor.bytes;
  }
  return SafetensorsWithHeader(header + "}  ", data);
}

// The shape of the little language model of these tests.
struct TinyLlama {
  uint64_t hidden = 8, intermediate = 12, layers = 2, heads = 2, kv_heads = 1, vocabulary = 16,
           context = 32;
  bool tied = true;

  uint64_t head_dim() const { return hidden / heads; }

  std::vector<TestTensor> Tensors() const {
    std::vector<TestTensor> all;
    const auto add = [&](const std::string& name, const std::vector<uint64_t>& shape) {
      all.push_back(MakeTensor(name + ".weight", shape));
    };
    add("model.embed_tokens", {vocabulary, hidden});
    for (uint64_t i = 0; i < layers; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i);
      add(layer + "input_layernorm", {hidden});
      add(layer + "self_attn.q_proj", {hidden, hidden});
      add(layer + "self_attn.k_proj", {kv_heads * head_dim(), hidden});
      add(layer + "self_attn.v_proj", {kv_heads * head_dim(), hidden});
      add(layer + "self_attn.o_proj", {hidden, hidden});
      add(layer + "post_attention_layernorm", {hidden});
      add(layer + "mlp.gate_proj", {intermediate, hidden});
      add(layer + "mlp.up_proj", {intermediate, hidden});
      add(layer + "mlp.down_proj", {hidden, intermediate});
    }
    add("model.norm", {hidden});
    if (!tied) add("lm_head", {vocabulary, hidden});
    return all;
  }

  // more: further fields, each with a comma before it.
  std::string Config(const std::string& more = "") const {
    return fmt::format(
        R"({{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":{},)"
        R"("intermediate_size":{},"num_hidden_layers":{},"num_attention_heads":{},)"
        R"("num_key_value_heads":{},"vocab_size":{},"max_position_embeddings":{},)"
        R"("rms_norm_eps":1e-5,"hidden_act":"silu","tie_word_embeddings":{},"bos_token_id":1,)"
        R"("eos_token_id":2{}}})",
        hidden, intermediate, layers, heads, kv_heads, vocabulary, context, tied, more);
  }
};

// A llama2.c tokenizer of `count` tokens.
inline std::string TokenizerBytes(uint32_t count) {
  std::string file;
  AppendLittle<uint32_t>(8, &file);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string token = fmt::format("t{}", i);
    AppendLittle<float>(-static_cast<float>(i), &file);
    AppendLittle<uint32_t>(static_cast<uint32_t>(token.size()), &file);
    file += token;
  }
  return file;
}

// An error as users see it: of this code, in one line, saying `text` and, unless empty, `where`.
inline void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& text,
                        const std::string& where) {
  EXPECT_EQ(status.code(), code) << status;
  const std::string message = Message(status);
  EXPECT_THAT(message, testing::HasSubstr(text));
  EXPECT_THAT(message, testing::HasSubstr(where));
  EXPECT_THAT(message, testing::Not(testing::HasSubstr("\n")));
}

inline absl::Status OpenError(const std::string& path, const ModelSourceOptions& options = {}) {
  return OpenModelSource(path, options).status();
}

inline ModelSourceOptions WithGraph(const std::string& path) {
  ModelSourceOptions options;
  options.graph_file = path;
  return options;
}
inline ModelSourceOptions WithTokenizer(const std::string& path) {
  ModelSourceOptions options;
  options.tokenizer_file = path;
  return options;
}

// All rows of a tensor as f32.
inline std::vector<float> Values(const SourceTensor& tensor) {
  std::vector<float> values(tensor.rows * tensor.cols);
  for (uint64_t row = 0; row < tensor.rows; ++row) {
    tensor.ReadRow(row, 0, tensor.cols, values.data() + row * tensor.cols);
  }
  return values;
}

// Two sources are one model: the same graph, tables and tensors, bit for bit.
inline void ExpectSameModel(const ModelSource& a, const ModelSource& b) {
  EXPECT_TRUE(a.graph == b.graph);
  ASSERT_EQ(a.tables.size(), b.tables.size());
  for (size_t i = 0; i < a.tables.size(); ++i) EXPECT_TRUE(a.tables[i].spec == b.tables[i].spec);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].name, b.tensors[i].name);
    EXPECT_EQ(a.tensors[i].rows, b.tensors[i].rows);
    EXPECT_EQ(a.tensors[i].cols, b.tensors[i].cols);
    EXPECT_EQ(FloatBytes(Values(a.tensors[i])), FloatBytes(Values(b.tensors[i])))
        << a.tensors[i].name;
  }
}

}  // namespace lutdb
