// What is known about architectures: which tensors they have, and the graph they compute. Adding
// one of the same family (a decoder of attention and gated feed-forward blocks) is one table of
// names; the engine knows nothing of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ingest/lowering.h"
#include "schemas/graph.h"

namespace lutdb {

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
  Activation activation = Activation::kSilu;
  bool tied_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  uint32_t bos = kNone;
  std::vector<uint32_t> eos;
};

// Reads a Hugging Face config.json. NotFound; DataLoss (a field missing, of the wrong type or out
// of range); Unimplemented (architecture, RoPE scaling, quantisation; the message names what is
// known).
absl::StatusOr<DecoderConfig> ReadHuggingFaceConfig(const std::string& path);

// The checks that config.json and checkpoint headers share: ranges and divisibility. DataLoss.
absl::Status CheckDecoderConfig(const DecoderConfig& config);

// Adds tensors, tables and the graph. The catalog must use the architecture's Hugging Face names.
// Errors as Lowering's.
absl::Status LowerDecoder(const DecoderConfig& config, Lowering* lowering);

// The activation function of a name used in model files ("silu", "gelu_tanh", ...); false if
// unknown.
bool ActivationByName(const std::string& name, Activation* activation);

}  // namespace lutdb
