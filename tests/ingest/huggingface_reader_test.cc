// Hugging Face directories: config.json, the graph it leads to, and every way it can be wrong.
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

using absl::StatusCode;

class HuggingFaceReader : public testing::Test {
 protected:
  void WriteModel(const TinyLlama& llama, const std::string& more = "") {
    directory_.Write("model.safetensors", SafetensorsBytes(llama.Tensors()));
    directory_.Write("config.json", llama.Config(more));
  }
  // A good config with one place changed, and what is said of it.
  struct BadConfig {
    const char* from;
    const char* to;
    StatusCode code;
    const char* message;
  };
  void ExpectRefused(const TinyLlama& llama, const BadConfig& bad) {
    SCOPED_TRACE(bad.to);
    std::string config = llama.Config();
    ASSERT_NE(config.find(bad.from), std::string::npos);
    config.replace(config.find(bad.from), std::strlen(bad.from), bad.to);
    directory_.Write("config.json", config);
    ExpectError(OpenError(directory_.path()), bad.code, bad.message, directory_.path());
  }
  std::string SafetensorsPath() const { return directory_.At("model.safetensors"); }

  const TestDirectory directory_;
};

TEST_F(HuggingFaceReader, LowersADecoder) {
  const TinyLlama llama;
  WriteModel(llama);
  const auto source = OpenModelSource(directory_.path() + "/", {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->format, "safetensors");
  EXPECT_EQ(source->tokenizer.kind, TokenizerKind{});
  const Graph& graph = source->graph;
  EXPECT_EQ(graph.architecture, "LlamaForCausalLM");
  EXPECT_EQ(graph.vocabulary, 16u);
  EXPECT_EQ(graph.context, 32u);
  EXPECT_EQ(graph.bos, 1u);
  EXPECT_EQ(graph.eos, std::vector<uint32_t>{2});

  using K = OpKind;
  std::vector<OpKind> kinds = {K::kEmbedding};
  for (uint64_t i = 0; i < llama.layers; ++i) {
    for (const OpKind kind : {K::kRmsNorm, K::kTable, K::kTable, K::kTable, K::kRope, K::kRope,
                              K::kAttention, K::kTable, K::kAdd, K::kRmsNorm, K::kTable, K::kTable,
                              K::kActivation, K::kMultiply, K::kTable, K::kAdd}) {
      kinds.push_back(kind);
    }
  }
  kinds.insert(kinds.end(), {K::kRmsNorm, K::kTable});
  std::vector<OpKind> found;
  for (const Op& op : graph.ops) found.push_back(op.kind);
  EXPECT_EQ(found, kinds);

  const Op& attention = graph.ops[7];
  EXPECT_EQ(attention.heads, 2u);
  EXPECT_EQ(attention.kv_heads, 1u);
  EXPECT_EQ(attention.head_dim, 4u);
  EXPECT_EQ(graph.ops[5].theta, 10000.0f);
  EXPECT_EQ(graph.ops[1].epsilon, 1e-5f);
  EXPECT_EQ(graph.ops[13].activation, Activation::kSilu);

  std::vector<std::string> tables;
  for (const SourceTable& table : source->tables) tables.push_back(table.spec.name);
  ASSERT_EQ(tables.size(), 7 * llama.layers + 1);
  EXPECT_EQ(tables[0], "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(tables[6], "model.layers.0.mlp.down_proj");
  EXPECT_EQ(tables.back(), "lm_head");
  // Tied: the head reads the embedding's tensor.
  EXPECT_EQ(source->tables.back().spec.weight_tensor, graph.ops[0].tensor);
  EXPECT_EQ(source->tensors[graph.ops[0].tensor].name, "model.embed_tokens");
  for (const SourceTensor& tensor : source->tensors) {
    for (const TestTensor& written : llama.Tensors()) {
      if (written.name == tensor.name + ".weight") {
        EXPECT_EQ(FloatBytes(Values(tensor)), written.bytes);
      }
    }
  }
}

TEST_F(HuggingFaceReader, ReadsAFileWithItsConfigBeside) {
  WriteModel(TinyLlama{.tied = false});
  const auto file = OpenModelSource(SafetensorsPath(), {});
  const auto whole = OpenModelSource(directory_.path(), {});
  ASSERT_TRUE(file.ok() && whole.ok()) << file.status();
  ExpectSameModel(*file, *whole);
  const TableSpec& head = file->tables.back().spec;
  EXPECT_EQ(file->tensors[head.weight_tensor].name, "lm_head");
}

TEST_F(HuggingFaceReader, ReadsBiasesHeadWidthAndManyEndTokens) {
  TinyLlama llama;
  std::vector<TestTensor> tensors;
  for (TestTensor& tensor : llama.Tensors()) {
    if (tensor.name.find("_proj") != std::string::npos) {
      const std::string base = tensor.name.substr(0, tensor.name.size() - 7);
      tensors.push_back(MakeTensor(base + ".bias", {tensor.shape[0]}));
    }
    tensors.push_back(std::move(tensor));
  }
  directory_.Write("model.safetensors", SafetensorsBytes(tensors));
  std::string config =
      llama.Config(R"(,"attention_bias":true,"mlp_bias":true,"head_dim":4,"rope_scaling":null,)"
                   R"("rope_parameters":{"rope_type":"default","rope_theta":500000.0})");
  const std::string eos = R"("eos_token_id":2)";
  config.replace(config.find(eos), eos.size(), R"("eos_token_id":[2,3])");
  directory_.Write("config.json", config);
  const auto source = OpenModelSource(directory_.path(), {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->graph.eos, (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(source->graph.ops[5].theta, 500000.0f);
  for (const SourceTable& table : source->tables) {
    const bool head = table.spec.name == "lm_head";
    EXPECT_EQ(table.spec.bias_tensor == kNone, head) << table.spec.name;
    if (head) continue;
    EXPECT_EQ(source->tensors[table.spec.bias_tensor].name, table.spec.name + ".bias");
  }
}

TEST_F(HuggingFaceReader, ReadsHalfPrecision) {
  const TinyLlama llama;
  std::vector<TestTensor> tensors = llama.Tensors();
  for (TestTensor& tensor : tensors) {
    std::string halves;
    for (size_t i = 0; i < tensor.bytes.size(); i += 4) halves += tensor.bytes.substr(i + 2, 2);
    tensor.dtype = "BF16";
    tensor.bytes = halves;
  }
  directory_.Write("model.safetensors", SafetensorsBytes(tensors));
  directory_.Write("config.json", llama.Config());
  const auto source = OpenModelSource(directory_.path(), {});
  ASSERT_TRUE(source.ok()) << source.status();
  for (const SourceTensor& tensor : source->tensors) {
    EXPECT_EQ(tensor.dtype, DType::kBF16);
    const std::string bytes = FloatBytes(Values(tensor));
    for (const TestTensor& written : tensors) {
      if (written.name != tensor.name + ".weight") continue;
      for (size_t i = 0; i < written.bytes.size(); i += 2) {
        ASSERT_EQ(bytes.substr(2 * i, 4), std::string(2, '\0') + written.bytes.substr(i, 2));
      }
    }
  }
}

TEST_F(HuggingFaceReader, RefusesBadConfigs) {
  const TinyLlama llama;
  WriteModel(llama);
  const std::vector<BadConfig> cases = {
      {R"("LlamaForCausalLM")", R"("GPT2LMHeadModel")", StatusCode::kUnimplemented,
       "lutdb knows LlamaForCausalLM"},
      {R"(["LlamaForCausalLM"])", R"("LlamaForCausalLM")", StatusCode::kDataLoss, "architectures"},
      {R"("architectures":["LlamaForCausalLM"],"model_type":"llama")", R"("model_type":"mamba")",
       StatusCode::kUnimplemented, "lutdb knows LlamaForCausalLM"},
      {R"("hidden_size":8)", R"("hidden_size":-8)", StatusCode::kDataLoss, "hidden_size"},
      {R"("hidden_size":8)", R"("hidden_size":8.5)", StatusCode::kDataLoss, "hidden_size"},
      {R"("hidden_size":8)", R"("hidden_size":"8")", StatusCode::kDataLoss, "hidden_size"},
      {R"("hidden_size":8,)", "", StatusCode::kDataLoss, "hidden_size is missing"},
      {R"("hidden_size":8)", R"("hidden_size":99999999)", StatusCode::kDataLoss, "hidden_size"},
      {R"("hidden_size":8)", R"("hidden_size":16)", StatusCode::kDataLoss, "the model needs"},
      {R"("hidden_size":8)", R"("hidden_size":9)", StatusCode::kDataLoss, "no multiple"},
      {R"("hidden_size":8)", R"("hidden_size":8,"hidden_size":8)", StatusCode::kDataLoss, "twice"},
      {R"("intermediate_size":12)", R"("intermediate_size":13)", StatusCode::kDataLoss,
       "shape [12, 8], the model needs [13, 8]"},
      {R"("num_hidden_layers":2)", R"("num_hidden_layers":3)", StatusCode::kNotFound,
       "model.layers.2.input_layernorm.weight"},
      {R"("num_hidden_layers":2)", R"("num_hidden_layers":1000000)", StatusCode::kDataLoss,
       "num_hidden_layers"},
      {R"("num_key_value_heads":1)", R"("num_key_value_heads":0)", StatusCode::kDataLoss,
       "num_key_value_heads"},
      {R"("num_key_value_heads":1)", R"("num_key_value_heads":3)", StatusCode::kDataLoss,
       "cannot be shared"},
      {R"("num_attention_heads":2)", R"("num_attention_heads":8)", StatusCode::kDataLoss, "odd"},
      {R"("vocab_size":16)", R"("vocab_size":17)", StatusCode::kDataLoss, "model.embed_tokens"},
      {R"("hidden_act":"silu")", R"("hidden_act":"snake")", StatusCode::kUnimplemented, "snake"},
      {R"("rms_norm_eps":1e-5)", R"("rms_norm_eps":-1)", StatusCode::kDataLoss, "rms_norm_eps"},
      {R"("rms_norm_eps":1e-5)", R"("rms_norm_eps":1e999)", StatusCode::kDataLoss, "JSON"},
      {R"("eos_token_id":2)", R"("eos_token_id":16)", StatusCode::kDataLoss, "eos_token_id"},
      {R"("eos_token_id":2)", R"("eos_token_id":[2,"x"])", StatusCode::kDataLoss, "eos_token_id"},
      {R"("bos_token_id":1)", R"("bos_token_id":16)", StatusCode::kDataLoss, "bos_token_id"},
      {R"("tie_word_embeddings":true)", R"("tie_word_embeddings":false)", StatusCode::kNotFound,
       "lm_head.weight"},
      {R"("tie_word_embeddings":true)", R"("tie_word_embeddings":1)", StatusCode::kDataLoss,
       "tie_word_embeddings"},
      {R"("bos_token_id":1)", R"("quantization_config":{"bits":4})", StatusCode::kUnimplemented,
       "quantised"},
      {R"("bos_token_id":1)", R"("attention_bias":true)", StatusCode::kNotFound, "q_proj.bias"},
      {R"("bos_token_id":1)", R"("head_dim":8)", StatusCode::kDataLoss, "q_proj"},
      {"{", "[", StatusCode::kDataLoss, "config.json"},
  };
  for (const BadConfig& bad : cases) ExpectRefused(llama, bad);
}

TEST_F(HuggingFaceReader, RefusesScalingsAndWindowsItCannotRun) {
  const TinyLlama llama;
  WriteModel(llama);
  const std::vector<BadConfig> cases = {
      {R"("bos_token_id":1)", R"("rope_scaling":{"rope_type":"llama3","factor":8})",
       StatusCode::kDataLoss, "low_freq_factor is missing"},
      {R"("bos_token_id":1)",
       R"("rope_scaling":{"rope_type":"llama3","factor":8,)"
       R"("low_freq_factor":4,"high_freq_factor":4})",
       StatusCode::kDataLoss, "high_freq_factor 4 is not above low_freq_factor 4"},
      {R"("bos_token_id":1)", R"("rope_scaling":{"type":"linear","factor":-2})",
       StatusCode::kDataLoss, "factor"},
      {R"("bos_token_id":1)", R"("rope_scaling":{"type":"yarn","factor":8})",
       StatusCode::kUnimplemented, "\"yarn\" is not implemented; lutdb knows default, linear"},
      {R"("bos_token_id":1)", R"("layer_types":["full_attention"])", StatusCode::kDataLoss,
       "each of 2 layers"},
      {R"("bos_token_id":1)", R"("layer_types":["full_attention","chunked_attention"])",
       StatusCode::kUnimplemented, "chunked_attention"},
      {R"("bos_token_id":1)", R"("sliding_window":0)", StatusCode::kDataLoss, "sliding_window"},
      {R"("bos_token_id":1)", R"("rope_scaling":"yarn")", StatusCode::kDataLoss, "rope_scaling"},
      {R"("bos_token_id":1)", R"("rope_theta":0)", StatusCode::kDataLoss, "rope_theta"},
      {R"("bos_token_id":1)", R"("partial_rotary_factor":0.5)", StatusCode::kUnimplemented,
       "partial_rotary_factor"},
  };
  for (const BadConfig& bad : cases) ExpectRefused(llama, bad);
}

// What generation_config.json says of start and end tokens counts; what is wrong with it is said.
TEST_F(HuggingFaceReader, ReadsTheGenerationConfig) {
  WriteModel(TinyLlama{});
  directory_.Write("generation_config.json",
                   R"({"bos_token_id":3,"eos_token_id":[4,5],"temperature":0.6})");
  const auto source = OpenModelSource(directory_.path(), {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->graph.bos, 3u);
  EXPECT_EQ(source->graph.eos, (std::vector<uint32_t>{4, 5}));
  directory_.Write("generation_config.json", R"({"eos_token_id":[4,16]})");
  ExpectError(OpenError(directory_.path()), StatusCode::kDataLoss, "eos_token_id",
              "generation_config.json");
  directory_.Write("generation_config.json", "{");
  ExpectError(OpenError(directory_.path()), StatusCode::kDataLoss, "JSON",
              "generation_config.json");
}

TEST_F(HuggingFaceReader, NamesAnElementTypeItCannotUse) {
  const TinyLlama llama;
  std::vector<TestTensor> tensors = llama.Tensors();
  tensors.push_back({"unused.positions", "I64", {1}, "12345678"});
  directory_.Write("config.json", llama.Config());
  directory_.Write("model.safetensors", SafetensorsBytes(tensors));
  EXPECT_TRUE(OpenModelSource(directory_.path(), {}).ok());
  tensors[0].dtype = "I32";
  directory_.Write("model.safetensors", SafetensorsBytes(tensors));
  ExpectError(OpenError(directory_.path()), StatusCode::kUnimplemented,
              "model.embed_tokens.weight\" has elements of type \"I32\"", directory_.path());
}

TEST_F(HuggingFaceReader, SaysWhatIsMissing) {
  ExpectError(OpenError(directory_.path()), StatusCode::kNotFound, "config.json",
              directory_.path());
  directory_.Write("config.json", TinyLlama().Config());
  ExpectError(OpenError(directory_.path()), StatusCode::kNotFound, "model.safetensors",
              directory_.path());
  ExpectError(OpenError(directory_.At("absent")), StatusCode::kNotFound, "no such file", "absent");
  const TestDirectory other;
  const std::string path =
      other.Write("model.safetensors", SafetensorsBytes(TinyLlama().Tensors()));
  ExpectError(OpenError(path), StatusCode::kNotFound, "--graph", path);
}

// The language model of this repository, with the tokenizer that lies beside it.
TEST_F(HuggingFaceReader, ReadsTheShippedModel) {
  const auto source = OpenModelSource(LUTDB_SOURCE_DIR "/models/sums", {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->name, "sums");
  EXPECT_EQ(source->tokenizer.kind, TokenizerKind::kScoreBpe);
  EXPECT_EQ(source->tokenizer.tokens.size(), source->graph.vocabulary);
}

}  // namespace
}  // namespace lutdb
