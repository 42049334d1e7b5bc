// llama2.c checkpoints and tokenizers: the same model as its Hugging Face form, and damage.
#include <map>
#include <random>

#include "ingest/llama2c.h"
#include "ingest/tokenizer_llama2c.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

using absl::StatusCode;

constexpr uint32_t kMagic = 0x616b3432;

// Rows as llama2.c keeps them: pair p of a head is rows p and p + half in Hugging Face order.
std::string Interleave(const TestTensor& tensor, uint64_t head_dim) {
  const uint64_t row_bytes = tensor.shape[1] * sizeof(float);
  std::string out;
  for (uint64_t head = 0; head < tensor.shape[0] / head_dim; ++head) {
    for (uint64_t pair = 0; pair < head_dim / 2; ++pair) {
      for (const uint64_t row : {pair, pair + head_dim / 2}) {
        out += tensor.bytes.substr((head * head_dim + row) * row_bytes, row_bytes);
      }
    }
  }
  return out;
}

std::string Llama2cBytes(const TinyLlama& llama, bool v0) {
  std::map<std::string, TestTensor> tensors;
  for (TestTensor& tensor : llama.Tensors()) tensors.emplace(tensor.name, tensor);
  std::string file;
  if (!v0) {
    AppendLittle<uint32_t>(kMagic, &file);
    AppendLittle<int32_t>(1, &file);
  }
  const int32_t vocabulary = static_cast<int32_t>(llama.vocabulary);
  for (const uint64_t size :
       {llama.hidden, llama.intermediate, llama.layers, llama.heads, llama.kv_heads}) {
    AppendLittle<int32_t>(static_cast<int32_t>(size), &file);
  }
  AppendLittle<int32_t>(v0 && !llama.tied ? -vocabulary : vocabulary, &file);
  AppendLittle<int32_t>(static_cast<int32_t>(llama.context), &file);
  if (!v0) {
    file.push_back(llama.tied ? 1 : 0);
    file.resize(256, '\0');
  }
  const auto layers = [&](const std::string& part) {
    for (uint64_t i = 0; i < llama.layers; ++i) {
      const TestTensor& tensor = tensors.at(fmt::format("model.layers.{}.{}.weight", i, part));
      const bool rope = part == "self_attn.q_proj" || part == "self_attn.k_proj";
      file += rope ? Interleave(tensor, llama.head_dim()) : tensor.bytes;
    }
  };
  const std::vector<std::string> attention = {"self_attn.q_proj", "self_attn.k_proj",
                                              "self_attn.v_proj", "self_attn.o_proj"};
  const std::vector<std::string> mlp = {"mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"};
  if (v0) {
    file += tensors.at("model.embed_tokens.weight").bytes;
    layers("input_layernorm");
    for (const std::string& part : attention) layers(part);
    layers("post_attention_layernorm");
    for (const std::string& part : mlp) layers(part);
    file += tensors.at("model.norm.weight").bytes;
    file.append(llama.context * llama.head_dim() * sizeof(float), 'r');
  } else {
    layers("input_layernorm");
    layers("post_attention_layernorm");
    file += tensors.at("model.norm.weight").bytes + tensors.at("model.embed_tokens.weight").bytes;
    for (const std::string& part : attention) layers(part);
    for (const std::string& part : mlp) layers(part);
  }
  if (!llama.tied) file += tensors.at("lm_head.weight").bytes;
  return file;
}

TEST(Llama2cReader, EqualsTheHuggingFaceForm) {
  const TestDirectory directory;
  for (const bool tied : {true, false}) {
    const TinyLlama llama{.tied = tied};
    directory.Write("model.safetensors", SafetensorsBytes(llama.Tensors()));
    directory.Write("config.json", llama.Config());
    const auto reference = OpenModelSource(directory.path(), {});
    ASSERT_TRUE(reference.ok()) << reference.status();
    for (const bool v0 : {true, false}) {
      SCOPED_TRACE(fmt::format("tied {}, version {}", tied, v0 ? 0 : 1));
      const auto source =
          OpenModelSource(directory.Write("model.bin", Llama2cBytes(llama, v0)), {});
      ASSERT_TRUE(source.ok()) << source.status();
      EXPECT_EQ(source->format, "llama2.c");
      EXPECT_EQ(source->name, "model");
      ExpectSameModel(*source, *reference);
    }
  }
}

TEST(Llama2cReader, RefusesBadCheckpoints) {
  const TestDirectory directory;
  const TinyLlama llama;
  const std::string v0 = Llama2cBytes(llama, true), v1 = Llama2cBytes(llama, false);
  const auto with = [](std::string bytes, size_t at, int32_t value) {
    StoreLittle<int32_t>(value, bytes.data() + at);
    return bytes;
  };
  const auto flag = [](std::string bytes) {
    bytes[36] = 7;
    return bytes;
  };
  const struct {
    const char* what;
    std::string bytes;
    StatusCode code;
    const char* message;
  } cases[] = {
      {"v0 cut off", v0.substr(0, v0.size() - 1), StatusCode::kDataLoss, "it is truncated"},
      {"v0 with a byte more", v0 + "x", StatusCode::kDataLoss, "something else"},
      {"v0 header alone", v0.substr(0, 28), StatusCode::kDataLoss, "it is truncated"},
      {"v1 cut off", v1.substr(0, v1.size() - 4), StatusCode::kDataLoss, "it is truncated"},
      {"v1 header cut off", v1.substr(0, 100), StatusCode::kDataLoss, "header is cut off"},
      {"v1 with a byte more", v1 + "x", StatusCode::kDataLoss, "something else"},
      {"version 2", with(v1, 4, 2), StatusCode::kUnimplemented, "version 2"},
      {"no layers", with(v1, 16, 0), StatusCode::kDataLoss, "absurd sizes"},
      {"negative width", with(v1, 8, -8), StatusCode::kDataLoss, "absurd sizes"},
      {"huge width", with(v1, 8, 0x7fffffff), StatusCode::kDataLoss, "absurd sizes"},
      {"huge but possible", with(with(v1, 8, 1 << 24), 12, 1 << 24), StatusCode::kDataLoss,
       "it is truncated"},
      {"heads do not divide", with(v1, 20, 3), StatusCode::kDataLoss, "no multiple"},
      {"heads cannot be shared", with(with(v1, 20, 4), 24, 3), StatusCode::kDataLoss, "shared"},
      {"odd heads", with(v1, 20, 8), StatusCode::kDataLoss, "odd"},
      {"negative vocabulary", with(v1, 28, -16), StatusCode::kDataLoss, "positive in version 1"},
      {"flag", flag(v1), StatusCode::kDataLoss, "shared-classifier flag"},
      {"v0 of other sizes", with(v0, 4, 13), StatusCode::kDataLoss, "it is truncated"},
      {"zeros", std::string(1000, '\0'), StatusCode::kDataLoss, "no model file"},
      {"empty", "", StatusCode::kDataLoss, "no model file"},
      {"text", "once upon a time there was no model in this file", StatusCode::kDataLoss,
       "no model file"},
      {"GGUF of nothing", "GGUF\x03" + std::string(100, '\0'), StatusCode::kDataLoss,
       "general.architecture"},
      {"zip", "PK\x03\x04" + std::string(100, '\0'), StatusCode::kUnimplemented, "PyTorch"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.what);
    const std::string path = directory.Write("bad.bin", bad.bytes);
    ExpectError(OpenError(path), bad.code, bad.message, path);
  }
  const std::string path = directory.Write("good.bin", v1);
  ExpectError(OpenError(path, WithGraph(directory.Write("g.json", "{}"))),
              StatusCode::kInvalidArgument, "--graph goes with a safetensors file", path);
}

TEST(Llama2cReader, ReadsTokenizers) {
  const TestDirectory directory;
  const std::string path = directory.Write("model.bin", Llama2cBytes({}, false));
  const auto none = OpenModelSource(path, {});
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->tokenizer.kind, TokenizerKind{});

  directory.Write("tokenizer.bin", TokenizerBytes(16));
  const auto beside = OpenModelSource(path, {});
  ASSERT_TRUE(beside.ok()) << beside.status();
  EXPECT_EQ(beside->tokenizer.kind, TokenizerKind::kScoreBpe);
  ASSERT_EQ(beside->tokenizer.tokens.size(), 16u);
  EXPECT_EQ(beside->tokenizer.tokens[15], "t15");
  EXPECT_EQ(beside->tokenizer.scores[15], -15.0f);
  EXPECT_EQ(beside->tokenizer.bos, 1u);
  EXPECT_EQ(beside->tokenizer.eos, 2u);
  EXPECT_EQ(beside->tokenizer.unknown, 0u);

  // The one beside the model does not fit; one that is named overrides it.
  directory.Write("tokenizer.bin", TokenizerBytes(15));
  ExpectError(OpenError(path), StatusCode::kDataLoss,
              "holds 15 tokens, but the model's vocabulary has 16", "tokenizer.bin");
  const std::string other = directory.Write("other.bin", TokenizerBytes(16));
  EXPECT_TRUE(OpenModelSource(path, WithTokenizer(other)).ok());
  ExpectError(OpenError(path, WithTokenizer(directory.At("absent"))), StatusCode::kNotFound, "",
              "absent");
}

TEST(Llama2cReader, RefusesBadTokenizers) {
  const TestDirectory directory;
  const std::string good = TokenizerBytes(4);
  const auto with = [&](size_t at, uint32_t value) {
    std::string bytes = good;
    StoreLittle<uint32_t>(value, bytes.data() + at);
    return bytes;
  };
  const struct {
    const char* what;
    std::string bytes;
    const char* message;
  } cases[] = {
      {"empty", "", "too few"},
      {"no tokens", good.substr(0, 4), "holds 0 tokens"},
      {"cut off in a token", good.substr(0, good.size() - 1), "cut off in token 3"},
      {"cut off in a header", good.substr(0, good.size() - 5), "cut off in token 3"},
      {"a token too many", TokenizerBytes(5), "holds 5 tokens"},
      {"longest is zero", with(0, 0), "absurd"},
      {"longest is huge", with(0, 0xffffffff), "absurd"},
      {"token beyond the longest", with(8, 9), "token 0"},
      {"negative length", with(8, 0x80000000), "token 0"},
      {"score is no number", with(4, 0x7fc00000), "token 0"},
      {"score is infinite", with(4, 0xff800000), "token 0"},
  };
  for (const auto& bad : cases) {
    SCOPED_TRACE(bad.what);
    const std::string path = directory.Write("tokenizer.bin", bad.bytes);
    ExpectError(ReadLlama2cTokenizer(path, 4).status(), StatusCode::kDataLoss, bad.message, path);
  }
}

TEST(Llama2cReader, SurvivesDamage) {
  const TestDirectory directory;
  std::mt19937_64 random(2);
  const std::string checkpoint = Llama2cBytes({}, true), tokenizer = TokenizerBytes(16);
  const auto damage = [&](std::string bytes, size_t reach) {
    if (random() % 3 == 0) bytes.resize(random() % bytes.size());
    for (uint64_t flips = random() % 4; flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % std::min(bytes.size(), reach)] ^= static_cast<char>(1 << random() % 8);
    }
    return bytes;
  };
  for (int round = 0; round < 1000; ++round) {
    const std::string path = directory.Write("model.bin", damage(checkpoint, 28));
    const auto source = OpenModelSource(path, {});
    EXPECT_EQ(Message(source.status()).find('\n'), std::string::npos);
    const std::string words = directory.Write("words.bin", damage(tokenizer, tokenizer.size()));
    const auto spec = ReadLlama2cTokenizer(words, 16);
    EXPECT_TRUE(!spec.ok() || spec->tokens.size() == 16u);
  }
}

}  // namespace
}  // namespace lutdb
