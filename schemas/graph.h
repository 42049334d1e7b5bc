// The model graph: an ordered list of ops over named values. Every model format is lowered to it;
// the engine knows ops, only ingest knows architectures.
//
// All values are f32 vectors of `width` per token position, except token ids and, in integer-only
// graphs, codes and sums (see ValueType). Ops run in order; each value is written once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "schemas/table_spec.h"

namespace lutdb {

enum class ValueType : uint8_t {
  kF32 = 1,    // activations
  kToken = 2,  // one token id
  kCodes = 3,  // u16 code per chunk of the table that reads it
  kSums = 4,   // int32 per neuron: table sums with the bias added as an integer
  kIndex = 5,  // one index, the answer of argmax
};

enum class OpKind : uint16_t {
  kEmbedding = 1,    // tokens -> row of `tensor`
  kTable = 2,        // x -> W x + b through table `table` (bias: the table's bias tensor)
  kRmsNorm = 3,      // x * rsqrt(mean(x^2) + epsilon) * tensor; with heads, each head by itself
  kLayerNorm = 4,    // (x - mean) * rsqrt(var + epsilon) * tensor + tensor_b
  kScaleShift = 5,   // x * tensor + tensor_b, per element (folded batch norm)
  kRope = 6,         // rotary position embedding, rotate-half order, per head of head_dim; pair i's
                     // frequency is divided by element i of `tensor`, where there is one
  kAttention = 7,    // inputs q, k, v; causal, with a KV cache; grouped when kv_heads < heads
  kAdd = 8,          // x + y
  kMultiply = 9,     // x * y
  kActivation = 10,  // activation(x)
  kSoftmax = 11,     // softmax(x)
  kInputCodes = 12,  // integer-only: f32 or u8 input -> codes, by the fixed scale of `table`
  kTableSums = 13,   // integer-only: codes -> sums
  kThresholds =
      14,        // integer-only: sums -> codes of `table`, by constants (blob "thresholds/<op>")
  kArgmax = 15,  // integer-only: sums -> index of the largest
  kSlice = 16,   // elements offset .. offset + width of the output - 1 of x
};

enum class Activation : uint8_t {
  kIdentity = 1,
  kRelu = 2,
  kLeakyRelu = 3,  // alpha
  kSilu = 4,
  kGelu = 5,      // exact, by erf
  kGeluTanh = 6,  // tanh approximation
  kSigmoid = 7,
  kTanh = 8,
};

struct Value {
  std::string name;
  ValueType type = ValueType::kF32;
  uint32_t width = 0;
  bool operator==(const Value&) const = default;
};

// Fields that an op kind does not use keep their defaults.
struct Op {
  OpKind kind = OpKind::kTable;
  std::string name;
  std::vector<uint32_t> inputs;  // indices into Graph::values
  uint32_t output = kNone;
  uint32_t table = kNone;     // TableSpec::id
  uint32_t tensor = kNone;    // TensorSpec::id
  uint32_t tensor_b = kNone;  // TensorSpec::id
  Activation activation = Activation::kIdentity;
  float epsilon = 0;
  float alpha = 0;
  float theta = 0;
  uint32_t heads = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t window = 0;  // attention sees at most this many positions; 0: all
  uint32_t offset = 0;
  bool operator==(const Op&) const = default;
};

struct Graph {
  std::string architecture;  // "LlamaForCausalLM", "feed-forward", ...
  std::vector<Value> values;
  std::vector<Op> ops;
  uint32_t input = kNone;   // value index
  uint32_t output = kNone;  // value index
  // Language models; 0 / kNone otherwise.
  uint32_t vocabulary = 0;
  uint32_t context = 0;  // positions the model was made for
  uint32_t bos = kNone;
  std::vector<uint32_t> eos;
  // Feed-forward networks: the range inputs are said to lie in (equal: not said).
  float input_low = 0;
  float input_high = 0;
  bool operator==(const Graph&) const = default;

  bool is_language_model() const { return vocabulary != 0; }
};

// FlatBuffers bytes (schemas/graph.fbs). Parsing verifies buffer, indices, widths and op arity
// against `tables` and `tensors`, so that the engine can trust the result; DataLoss otherwise,
// Unimplemented for an op or type of a newer version.
std::string SerializeGraph(const Graph& graph);
absl::StatusOr<Graph> ParseGraph(std::string_view bytes, const std::vector<TableSpec>& tables,
                                 const std::vector<TensorSpec>& tensors);
// The same checks on a graph built in memory.
absl::Status ValidateGraph(const Graph& graph, const std::vector<TableSpec>& tables,
                           const std::vector<TensorSpec>& tensors);

}  // namespace lutdb
