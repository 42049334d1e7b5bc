// What is known about architectures: how their tensors are called and where they depart from Llama.
//
// Goals: one of the same family (a decoder of attention and gated feed-forward blocks) is one entry
// of a table; the same entry serves Hugging Face directories and GGUF files; the engine knows
// nothing of it. Non-goals: describing graphs in a file, since what differs between families is
// seldom a name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "schemas/graph.h"

namespace lutdb {

// Names are the Hugging Face names without ".weight"; a layer's follow its prefix. nullptr: the
// architecture has no such tensor.
struct DecoderArchitecture {
  const char* architecture;  // "LlamaForCausalLM", as config.json has it
  const char* model_type;    // where config.json names no architecture
  const char* gguf;          // general.architecture of a GGUF file, or nullptr
  const char* embedding;
  const char* layer_prefix;  // with the layer's number at {}
  const char* attention_norm;
  const char* query;
  const char* key;
  const char* value;
  const char* fused_qkv;   // instead of the three: their rows, query first
  const char* query_norm;  // RMS norm of each head before RoPE
  const char* key_norm;
  const char* attention_output;
  const char* mlp_norm;
  const char* gate;
  const char* up;
  const char* fused_gate_up;  // instead of the two: their rows, gate first
  const char* down;
  const char* final_norm;
  const char* head;

  bool qkv_bias;              // always; otherwise attention_bias decides, for the output too
  bool bias_from_config;      // attention_bias and mlp_bias of config.json count
  uint32_t head_dim_default;  // 0: hidden / heads
  uint32_t window_default;    // sliding_window where config.json has none
  bool window_by_flag;        // a window needs use_sliding_window, and begins at max_window_layers
  // GGUF has query and key rows interleaved (pairs side by side), not in halves of each head.
  bool gguf_interleaves;
};

// nullptr when not known.
const DecoderArchitecture* FindArchitecture(const std::string& architecture);
const DecoderArchitecture* FindArchitectureByModelType(const std::string& model_type);
const DecoderArchitecture* FindArchitectureByGguf(const std::string& gguf);
// "LlamaForCausalLM, ..." and "llama, ...", for error messages.
std::string KnownArchitectures();
std::string KnownGgufArchitectures();

// The numbers of a decoder-only language model, checked: nothing is zero, heads divide, widths are
// at most kWidthMax.
struct DecoderConfig {
  std::string where;         // file that said so, for error messages
  std::string architecture;  // "LlamaForCausalLM"
  uint32_t hidden = 0;       // width of the residual stream
  uint32_t intermediate = 0;
  uint32_t layers = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t vocabulary = 0;
  uint32_t context = 0;
  float norm_epsilon = 0;
  float rope_theta = 0;
  std::vector<float> rope_divisors;  // of each pair's frequency; empty: all 1
  std::vector<uint32_t> windows;     // per layer, 0: all positions; empty: all layers 0
  Activation activation = Activation::kSilu;
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool attention_output_bias = false;
  bool mlp_bias = false;
  uint32_t bos = kNone;
  std::vector<uint32_t> eos;
};

inline constexpr uint32_t kLayersMax = 1024;

// The checks that all formats share: ranges and divisibility. DataLoss.
absl::Status CheckDecoderConfig(const DecoderConfig& config);

// The activation function of a name used in model files ("silu", "gelu_tanh", ...); false if
// unknown.
bool ActivationByName(const std::string& name, Activation* activation);

}  // namespace lutdb
