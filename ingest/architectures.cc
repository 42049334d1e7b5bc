#include "ingest/architectures.h"

#include <cmath>
#include <utility>

#include "base/status.h"
#include "ingest/lowering.h"

namespace lutdb {
namespace {

constexpr DecoderArchitecture kLlama = {
    .architecture = "LlamaForCausalLM",
    .model_type = "llama",
    .gguf = "llama",
    .embedding = "model.embed_tokens",
    .layer_prefix = "model.layers.{}.",
    .attention_norm = "input_layernorm",
    .query = "self_attn.q_proj",
    .key = "self_attn.k_proj",
    .value = "self_attn.v_proj",
    .fused_qkv = nullptr,
    .query_norm = nullptr,
    .key_norm = nullptr,
    .attention_output = "self_attn.o_proj",
    .mlp_norm = "post_attention_layernorm",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .fused_gate_up = nullptr,
    .down = "mlp.down_proj",
    .final_norm = "model.norm",
    .head = "lm_head",
    .qkv_bias = false,
    .bias_from_config = true,
    .head_dim_default = 0,
    .window_default = 0,
    .window_by_flag = false,
    .gguf_interleaves = true,
};

// Llama with a sliding window. GGUF files of it call themselves llama.
constexpr DecoderArchitecture Mistral() {
  DecoderArchitecture mistral = kLlama;
  mistral.architecture = "MistralForCausalLM";
  mistral.model_type = "mistral";
  mistral.gguf = nullptr;
  mistral.bias_from_config = false;
  mistral.window_default = 4096;
  return mistral;
}

// Qwen2 and Qwen2.5: Llama with biases on query, key and value.
constexpr DecoderArchitecture Qwen2() {
  DecoderArchitecture qwen2 = kLlama;
  qwen2.architecture = "Qwen2ForCausalLM";
  qwen2.model_type = "qwen2";
  qwen2.gguf = "qwen2";
  qwen2.qkv_bias = true;
  qwen2.bias_from_config = false;
  qwen2.window_default = 4096;
  qwen2.window_by_flag = true;
  qwen2.gguf_interleaves = false;
  return qwen2;
}

// Norms of each head of queries and keys instead of biases.
constexpr DecoderArchitecture Qwen3() {
  DecoderArchitecture qwen3 = Qwen2();
  qwen3.architecture = "Qwen3ForCausalLM";
  qwen3.model_type = "qwen3";
  qwen3.gguf = "qwen3";
  qwen3.query_norm = "self_attn.q_norm";
  qwen3.key_norm = "self_attn.k_norm";
  qwen3.qkv_bias = false;
  qwen3.bias_from_config = true;
  qwen3.head_dim_default = 128;
  return qwen3;
}

// Llama with query, key and value in one tensor, and gate and up in another.
constexpr DecoderArchitecture Phi3() {
  DecoderArchitecture phi3 = kLlama;
  phi3.architecture = "Phi3ForCausalLM";
  phi3.model_type = "phi3";
  phi3.gguf = "phi3";
  phi3.query = phi3.key = phi3.value = nullptr;
  phi3.fused_qkv = "self_attn.qkv_proj";
  phi3.gate = phi3.up = nullptr;
  phi3.fused_gate_up = "mlp.gate_up_proj";
  phi3.bias_from_config = false;
  phi3.gguf_interleaves = false;
  return phi3;
}

constexpr DecoderArchitecture kArchitectures[] = {kLlama, Mistral(), Qwen2(), Qwen3(), Phi3()};

const DecoderArchitecture* Find(const char* DecoderArchitecture::*field, const std::string& name) {
  for (const DecoderArchitecture& known : kArchitectures) {
    if (known.*field != nullptr && name == known.*field) return &known;
  }
  return nullptr;
}

std::string List(const char* DecoderArchitecture::*field) {
  std::string list;
  for (const DecoderArchitecture& known : kArchitectures) {
    if (known.*field != nullptr) list += (list.empty() ? "" : ", ") + std::string(known.*field);
  }
  return list;
}

}  // namespace

const DecoderArchitecture* FindArchitecture(const std::string& architecture) {
  return Find(&DecoderArchitecture::architecture, architecture);
}
const DecoderArchitecture* FindArchitectureByModelType(const std::string& model_type) {
  return Find(&DecoderArchitecture::model_type, model_type);
}
const DecoderArchitecture* FindArchitectureByGguf(const std::string& gguf) {
  return Find(&DecoderArchitecture::gguf, gguf);
}
std::string KnownArchitectures() { return List(&DecoderArchitecture::architecture); }
std::string KnownGgufArchitectures() { return List(&DecoderArchitecture::gguf); }

bool ActivationByName(const std::string& name, Activation* activation) {
  static const std::pair<const char*, Activation> kActivations[] = {
      {"identity", Activation::kIdentity},
      {"relu", Activation::kRelu},
      {"leaky_relu", Activation::kLeakyRelu},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_tanh", Activation::kGeluTanh},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"sigmoid", Activation::kSigmoid},
      {"tanh", Activation::kTanh},
  };
  for (const auto& [known, value] : kActivations) {
    if (name != known) continue;
    *activation = value;
    return true;
  }
  return false;
}

absl::Status CheckDecoderConfig(const DecoderConfig& config) {
  const std::pair<const char*, uint32_t> widths[] = {
      {"width", config.hidden},          {"feed-forward width", config.intermediate},
      {"number of heads", config.heads}, {"number of key and value heads", config.kv_heads},
      {"head width", config.head_dim},   {"vocabulary", config.vocabulary},
      {"context", config.context},
  };
  for (const auto& [what, value] : widths) {
    if (value == 0 || value > kWidthMax) {
      return DataLoss("{}: {} {} is not within 1 to {}", config.where, what, value, kWidthMax);
    }
  }
  if (config.layers == 0 || config.layers > kLayersMax) {
    return DataLoss("{}: number of layers {} is not within 1 to {}", config.where, config.layers,
                    kLayersMax);
  }
  if (config.heads % config.kv_heads != 0) {
    return DataLoss("{}: {} attention heads cannot be shared by {} key and value heads",
                    config.where, config.heads, config.kv_heads);
  }
  if (config.head_dim % 2 != 0) {
    return DataLoss("{}: head width {} is odd; RoPE needs pairs", config.where, config.head_dim);
  }
  if (uint64_t{config.heads} * config.head_dim > kWidthMax) {
    return DataLoss("{}: {} heads of width {} are wider than {}", config.where, config.heads,
                    config.head_dim, kWidthMax);
  }
  if (!config.rope_divisors.empty() && config.rope_divisors.size() != config.head_dim / 2) {
    return DataLoss("{}: {} RoPE factors for {} pairs of a head", config.where,
                    config.rope_divisors.size(), config.head_dim / 2);
  }
  for (const float divisor : config.rope_divisors) {
    if (!std::isfinite(divisor) || divisor <= 0) {
      return DataLoss("{}: a RoPE factor is {}; they must be positive", config.where, divisor);
    }
  }
  return absl::OkStatus();
}

}  // namespace lutdb
