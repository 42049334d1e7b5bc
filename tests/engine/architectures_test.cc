// Every architecture against a reference written here in double from its definition, on small
// random models; and the same model as a GGUF file is the same model.
#include <cmath>
#include <functional>
#include <map>

#include "tests/engine/built_models.h"
#include "tests/ingest/gguf_files.h"

namespace lutdb {
namespace {

constexpr uint32_t kHidden = 24, kIntermediate = 20, kHeads = 4, kKvHeads = 2, kLayers = 3;
constexpr uint32_t kVocabulary = 19, kContext = 40, kPositions = 23;
constexpr double kTheta = 10000, kEpsilon = 1e-5;

struct Family {
  std::string architecture;
  std::string gguf;    // empty: not tried as GGUF
  std::string config;  // fields more than those all have, each with a comma before it
  uint32_t head_dim = 6;
  bool qkv_bias = false;
  bool head_norms = false;
  bool fused = false;
  bool tied = false;
  std::vector<uint32_t> windows = {0, 0, 0};
  std::vector<double> divisors = {};  // empty: 1
  std::function<void(GgufWriter*)> pairs = [](GgufWriter*) {};
};

std::vector<TestTensor> TensorsOf(const Family& family) {
  const uint64_t q = kHeads * family.head_dim, kv = kKvHeads * family.head_dim;
  std::vector<TestTensor> all;
  const auto matrix = [&](const std::string& name, uint64_t rows, uint64_t cols, bool bias) {
    all.push_back(MakeTensor(name + ".weight", {rows, cols}));
    if (bias) all.push_back(MakeTensor(name + ".bias", {rows}));
  };
  const auto norm = [&](const std::string& name, uint64_t width) {
    all.push_back(MakeTensor(name + ".weight", {width}));
  };
  matrix("model.embed_tokens", kVocabulary, kHidden, false);
  for (uint32_t i = 0; i < kLayers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    norm(layer + "input_layernorm", kHidden);
    if (family.fused) {
      matrix(layer + "self_attn.qkv_proj", q + 2 * kv, kHidden, false);
      matrix(layer + "mlp.gate_up_proj", 2 * kIntermediate, kHidden, false);
    } else {
      matrix(layer + "self_attn.q_proj", q, kHidden, family.qkv_bias);
      matrix(layer + "self_attn.k_proj", kv, kHidden, family.qkv_bias);
      matrix(layer + "self_attn.v_proj", kv, kHidden, family.qkv_bias);
      matrix(layer + "mlp.gate_proj", kIntermediate, kHidden, false);
      matrix(layer + "mlp.up_proj", kIntermediate, kHidden, false);
    }
    if (family.head_norms) {
      norm(layer + "self_attn.q_norm", family.head_dim);
      norm(layer + "self_attn.k_norm", family.head_dim);
    }
    matrix(layer + "self_attn.o_proj", kHidden, q, false);
    norm(layer + "post_attention_layernorm", kHidden);
    matrix(layer + "mlp.down_proj", kHidden, kIntermediate, false);
  }
  norm("model.norm", kHidden);
  if (!family.tied) matrix("lm_head", kVocabulary, kHidden, false);
  return all;
}

std::string ConfigOf(const Family& family) {
  return fmt::format(R"({{"architectures":["{}"],"hidden_size":{},"intermediate_size":{},)"
                     R"("num_hidden_layers":{},"num_attention_heads":{},"num_key_value_heads":{},)"
                     R"("vocab_size":{},"max_position_embeddings":{},"rms_norm_eps":1e-5,)"
                     R"("tie_word_embeddings":{}{}}})",
                     family.architecture, kHidden, kIntermediate, kLayers, kHeads, kKvHeads,
                     kVocabulary, kContext, family.tied, family.config);
}

using Vector = std::vector<double>;

// One token after the other through the definition, in double.
class Reference {
 public:
  explicit Reference(const Family& family) : family_(family), keys_(kLayers), values_(kLayers) {
    for (const TestTensor& tensor : TensorsOf(family)) {
      std::vector<float> numbers(tensor.bytes.size() / sizeof(float));
      std::memcpy(numbers.data(), tensor.bytes.data(), tensor.bytes.size());
      tensors_[tensor.name] = Vector(numbers.begin(), numbers.end());
    }
  }

  Vector Feed(uint32_t token) {
    const Vector& table = tensors_.at("model.embed_tokens.weight");
    Vector x(table.begin() + token * kHidden, table.begin() + (token + 1) * kHidden);
    for (uint32_t i = 0; i < kLayers; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i);
      Add(Attention(layer, i, Norm(layer + "input_layernorm", x)), &x);
      Add(FeedForward(layer, Norm(layer + "post_attention_layernorm", x)), &x);
    }
    ++position_;
    return Multiply(family_.tied ? "model.embed_tokens" : "lm_head", Norm("model.norm", x));
  }

 private:
  static void Add(const Vector& from, Vector* to) {
    for (size_t i = 0; i < to->size(); ++i) (*to)[i] += from[i];
  }
  static Vector Part(const Vector& x, size_t begin, size_t count) {
    return {x.begin() + begin, x.begin() + begin + count};
  }
  Vector Norm(const std::string& name, const Vector& x) const {
    const Vector& weight = tensors_.at(name + ".weight");
    Vector y(x.size());
    for (size_t begin = 0; begin < x.size(); begin += weight.size()) {
      double squares = 0;
      for (size_t i = 0; i < weight.size(); ++i) squares += x[begin + i] * x[begin + i];
      const double scale = 1 / std::sqrt(squares / weight.size() + kEpsilon);
      for (size_t i = 0; i < weight.size(); ++i) y[begin + i] = x[begin + i] * scale * weight[i];
    }
    return y;
  }
  Vector Multiply(const std::string& name, const Vector& x) const {
    const Vector& weight = tensors_.at(name + ".weight");
    Vector y(weight.size() / x.size());
    for (size_t n = 0; n < y.size(); ++n) {
      for (size_t i = 0; i < x.size(); ++i) y[n] += weight[n * x.size() + i] * x[i];
    }
    if (tensors_.contains(name + ".bias")) Add(tensors_.at(name + ".bias"), &y);
    return y;
  }
  // Pairs (i, i + half) of each head turn by position / theta^(2 i / head_dim) / divisor.
  Vector Turn(Vector x) const {
    const uint32_t half = family_.head_dim / 2;
    for (size_t head = 0; head < x.size(); head += family_.head_dim) {
      for (uint32_t i = 0; i < half; ++i) {
        double angle = position_ / std::pow(kTheta, 2.0 * i / family_.head_dim);
        if (!family_.divisors.empty()) angle /= family_.divisors[i];
        const double a = x[head + i], b = x[head + half + i];
        x[head + i] = a * std::cos(angle) - b * std::sin(angle);
        x[head + half + i] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
    return x;
  }
  Vector Attention(const std::string& layer, uint32_t index, const Vector& x) {
    const uint32_t dim = family_.head_dim, q_width = kHeads * dim, kv_width = kKvHeads * dim;
    Vector q, k, v;
    if (family_.fused) {
      const Vector all = Multiply(layer + "self_attn.qkv_proj", x);
      q = Part(all, 0, q_width);
      k = Part(all, q_width, kv_width);
      v = Part(all, q_width + kv_width, kv_width);
    } else {
      q = Multiply(layer + "self_attn.q_proj", x);
      k = Multiply(layer + "self_attn.k_proj", x);
      v = Multiply(layer + "self_attn.v_proj", x);
    }
    if (family_.head_norms) {
      q = Norm(layer + "self_attn.q_norm", q);
      k = Norm(layer + "self_attn.k_norm", k);
    }
    q = Turn(q);
    keys_[index].push_back(Turn(k));
    values_[index].push_back(v);
    const uint32_t window = family_.windows[index];
    const uint32_t first = window != 0 && position_ + 1 > window ? position_ + 1 - window : 0;
    Vector out(q_width);
    for (uint32_t head = 0; head < kHeads; ++head) {
      const uint32_t kv = head / (kHeads / kKvHeads) * dim;
      Vector share;
      double total = 0;
      for (uint32_t t = first; t <= position_; ++t) {
        double score = 0;
        for (uint32_t d = 0; d < dim; ++d) score += q[head * dim + d] * keys_[index][t][kv + d];
        share.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
        total += share.back();
      }
      for (uint32_t t = first; t <= position_; ++t) {
        for (uint32_t d = 0; d < dim; ++d) {
          out[head * dim + d] += share[t - first] / total * values_[index][t][kv + d];
        }
      }
    }
    return Multiply(layer + "self_attn.o_proj", out);
  }
  Vector FeedForward(const std::string& layer, const Vector& x) const {
    Vector gate, up;
    if (family_.fused) {
      const Vector both = Multiply(layer + "mlp.gate_up_proj", x);
      gate = Part(both, 0, kIntermediate);
      up = Part(both, kIntermediate, kIntermediate);
    } else {
      gate = Multiply(layer + "mlp.gate_proj", x);
      up = Multiply(layer + "mlp.up_proj", x);
    }
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    return Multiply(layer + "mlp.down_proj", gate);
  }

  Family family_;
  std::map<std::string, Vector> tensors_;
  std::vector<std::vector<Vector>> keys_, values_;  // per layer, per position
  uint32_t position_ = 0;
};

// rope_factors: the bytes of rope_freqs.weight, or empty.
std::string GgufBytes(const Family& family, const std::string& rope_factors = "") {
  GgufWriter writer;
  const std::string prefix = family.gguf + ".";
  writer.String("general.architecture", family.gguf);
  writer.Unsigned(prefix + "embedding_length", kHidden);
  writer.Unsigned(prefix + "feed_forward_length", kIntermediate);
  writer.Unsigned(prefix + "block_count", kLayers);
  writer.Unsigned(prefix + "attention.head_count", kHeads);
  writer.Unsigned(prefix + "attention.head_count_kv", kKvHeads);
  writer.Unsigned(prefix + "attention.key_length", family.head_dim);
  writer.Unsigned(prefix + "attention.value_length", family.head_dim);
  writer.Unsigned(prefix + "context_length", kContext);
  writer.Float(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  family.pairs(&writer);
  for (const TestTensor& tensor : TensorsOf(family)) {
    const bool turned = family.gguf == "llama" && tensor.shape.size() == 2 &&
                        (tensor.name.find("q_proj") != std::string::npos ||
                         tensor.name.find("k_proj") != std::string::npos);
    writer.tensors.push_back({GgufName(tensor.name),
                              {tensor.shape.rbegin(), tensor.shape.rend()},
                              0,
                              turned ? Interleaved(tensor, family.head_dim) : tensor.bytes});
  }
  if (!rope_factors.empty()) {
    writer.tensors.push_back({"rope_freqs.weight", {rope_factors.size() / 4}, 0, rope_factors});
  }
  return writer.Bytes();
}

void Check(const Family& family) {
  SCOPED_TRACE(family.architecture + family.config);
  ScratchDirectory scratch;
  const std::string directory = scratch / "model";
  std::filesystem::create_directory(directory);
  std::ofstream(directory + "/config.json") << ConfigOf(family);
  std::ofstream(directory + "/model.safetensors", std::ios::binary)
      << SafetensorsBytes(TensorsOf(family));
  BuildOrFail(directory, scratch / "store", {});
  const auto model = OpenOrNull(scratch / "store", {.store = {}, .reference = true});
  ASSERT_NE(model, nullptr);
  const std::vector<float> logits = LogitsOf(*model, kPositions, kVocabulary);
  Reference reference(family);
  double largest = 0;
  for (uint32_t i = 0; i < kPositions; ++i) {
    const Vector expected = reference.Feed((i * 7 + 1) % kVocabulary);
    for (uint32_t n = 0; n < kVocabulary; ++n) {
      largest = std::max(largest, std::fabs(logits[i * kVocabulary + n] - expected[n]));
    }
  }
  EXPECT_LT(largest, 2e-4);
  if (family.gguf.empty()) return;
  const std::string gguf = scratch / "model.gguf";
  std::ofstream(gguf, std::ios::binary) << GgufBytes(family);
  const auto from_directory = OpenModelSource(directory, {});
  const auto from_gguf = OpenModelSource(gguf, {});
  ASSERT_TRUE(from_directory.ok()) << Message(from_directory.status());
  ASSERT_TRUE(from_gguf.ok()) << Message(from_gguf.status());
  ExpectSameModel(*from_gguf, *from_directory);
}

TEST(Architectures, Llama) {
  Check({.architecture = "LlamaForCausalLM", .gguf = "llama", .config = "", .tied = true});
}

TEST(Architectures, LlamaWithLinearScaling) {
  Check({.architecture = "LlamaForCausalLM",
         .gguf = "llama",
         .config = R"(,"rope_scaling":{"type":"linear","factor":2.5})",
         .divisors = {2.5, 2.5, 2.5},
         .pairs = [](GgufWriter* writer) {
           writer->String("llama.rope.scaling.type", "linear");
           writer->Float("llama.rope.scaling.factor", 2.5f);
         }});
}

// Of the four pairs of a head, with wavelengths 6.28, 62.8, 628 and 6283: within 16 / 0.5 = 32 and
// 16 / 4 = 4, so the first goes over smoothly (2.546 turns in 16 positions) and the others are
// slow.
TEST(Architectures, Llama3Scaling) {
  const double turns = 16 / (2 * std::acos(-1.0));
  const double smooth = (turns - 0.5) / (4 - 0.5);
  Check({.architecture = "LlamaForCausalLM",
         .gguf = "",
         .config = R"(,"head_dim":8,"rope_scaling":{"rope_type":"llama3","factor":8.0,)"
                   R"("low_freq_factor":0.5,"high_freq_factor":4.0,)"
                   R"("original_max_position_embeddings":16})",
         .head_dim = 8,
         .divisors = {1 / ((1 - smooth) / 8 + smooth), 8, 8, 8}});
}

// What converters make of it: the divisors as a tensor of the file.
TEST(Architectures, Llama3ScalingInGguf) {
  const TestDirectory directory;
  const Family family{.architecture = "LlamaForCausalLM",
                      .gguf = "llama",
                      .config = R"(,"rope_scaling":{"rope_type":"llama3","factor":4,)"
                                R"("low_freq_factor":1,"high_freq_factor":2,)"
                                R"("original_max_position_embeddings":40})"};
  std::filesystem::create_directory(directory.At("hf"));
  directory.Write("hf/config.json", ConfigOf(family));
  directory.Write("hf/model.safetensors", SafetensorsBytes(TensorsOf(family)));
  // 40 positions are 6.4 turns of the first pair, 0.3 and 0.01 of the others.
  const auto from_directory = OpenModelSource(directory.At("hf"), {});
  const auto from_gguf =
      OpenModelSource(directory.Write("m.gguf", GgufBytes(family, FloatBytes({1, 4, 4}))), {});
  ASSERT_TRUE(from_directory.ok()) << Message(from_directory.status());
  ASSERT_TRUE(from_gguf.ok()) << Message(from_gguf.status());
  ExpectSameModel(*from_gguf, *from_directory);
}

TEST(Architectures, Mistral) {
  Check({.architecture = "MistralForCausalLM",
         .gguf = "",
         .config = R"(,"sliding_window":5)",
         .windows = {5, 5, 5}});
  Check({.architecture = "MistralForCausalLM", .gguf = "", .config = R"(,"sliding_window":null)"});
}

TEST(Architectures, Qwen2) {
  Check({.architecture = "Qwen2ForCausalLM",
         .gguf = "qwen2",
         .config = R"(,"sliding_window":5,"use_sliding_window":false,"max_window_layers":1)",
         .qkv_bias = true,
         .tied = true});
  Check({.architecture = "Qwen2ForCausalLM",
         .gguf = "",
         .config = R"(,"sliding_window":5,"use_sliding_window":true,"max_window_layers":1)",
         .qkv_bias = true,
         .windows = {0, 5, 5}});
}

TEST(Architectures, Qwen3) {
  Check({.architecture = "Qwen3ForCausalLM",
         .gguf = "qwen3",
         .config = R"(,"head_dim":10)",
         .head_dim = 10,
         .head_norms = true});
  Check({.architecture = "Qwen3ForCausalLM",
         .gguf = "",
         .config = R"(,"head_dim":4,"sliding_window":3,)"
                   R"("layer_types":["full_attention","sliding_attention","full_attention"])",
         .head_dim = 4,
         .head_norms = true,
         .windows = {0, 3, 0}});
}

TEST(Architectures, Phi3) {
  Check(
      {.architecture = "Phi3ForCausalLM",
       .gguf = "phi3",
       .config = R"(,"sliding_window":7)",
       .fused = true,
       .windows = {7, 7, 7},
       .pairs = [](GgufWriter* writer) { writer->Unsigned("phi3.attention.sliding_window", 7); }});
}

}  // namespace
}  // namespace lutdb
