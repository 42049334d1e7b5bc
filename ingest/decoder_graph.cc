#include "ingest/decoder_graph.h"

#include <utility>

#include "base/status.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

constexpr char kRopeDivisors[] = "model.rotary_emb.divisors";

class DecoderTemplate {
 public:
  DecoderTemplate(const DecoderConfig& config, const DecoderArchitecture& names, Lowering* lowering)
      : config_(config), names_(names), lowering_(*lowering) {}

  absl::Status Lower();

 private:
  // Queries, keys and values of one layer.
  struct Projections {
    uint32_t q, k, v;
  };
  absl::StatusOr<uint32_t> Layer(uint32_t index, uint32_t x);
  absl::StatusOr<Projections> Project(const std::string& prefix, uint32_t x);
  absl::StatusOr<uint32_t> Attention(const std::string& prefix, uint32_t window, uint32_t x);
  absl::StatusOr<uint32_t> FeedForward(const std::string& prefix, uint32_t x);
  absl::StatusOr<uint32_t> Norm(const std::string& name, uint32_t x);
  // Norms and turns the heads of queries or keys; norm may be null.
  absl::StatusOr<uint32_t> Heads(const std::string& prefix, const char* norm,
                                 const std::string& name, uint32_t heads, uint32_t x);
  // x through the table of a weight tensor `weights` (by default that of the table's own name).
  absl::StatusOr<uint32_t> Linear(const std::string& name, uint32_t x, uint32_t neurons, bool bias,
                                  const std::string& weights = "");
  uint32_t Combine(OpKind kind, const std::string& name, uint32_t x, uint32_t y);
  uint32_t Slice(const std::string& name, uint32_t x, uint32_t offset, uint32_t width);

  const DecoderConfig& config_;
  const DecoderArchitecture& names_;
  Lowering& lowering_;
  uint32_t rope_divisors_ = kNone;
};

absl::StatusOr<uint32_t> DecoderTemplate::Norm(const std::string& name, uint32_t x) {
  Op op{.kind = OpKind::kRmsNorm, .name = name, .inputs = {x}, .epsilon = config_.norm_epsilon};
  LUTDB_ASSIGN_OR_RETURN(op.tensor, lowering_.Vector(name + ".weight", lowering_.width(x)));
  return lowering_.AddOp(std::move(op), lowering_.width(x));
}

absl::StatusOr<uint32_t> DecoderTemplate::Linear(const std::string& name, uint32_t x,
                                                 uint32_t neurons, bool bias,
                                                 const std::string& weights) {
  SourceTable table;
  table.spec.name = name;
  table.spec.inputs = lowering_.width(x);
  table.spec.neurons = neurons;
  LUTDB_ASSIGN_OR_RETURN(
      table.spec.weight_tensor,
      lowering_.Matrix((weights.empty() ? name : weights) + ".weight", neurons, table.spec.inputs));
  if (bias) {
    LUTDB_ASSIGN_OR_RETURN(table.spec.bias_tensor, lowering_.Vector(name + ".bias", neurons));
  }
  Op op{.kind = OpKind::kTable, .name = name, .inputs = {x}};
  LUTDB_ASSIGN_OR_RETURN(op.table, lowering_.Table(std::move(table)));
  return lowering_.AddOp(std::move(op), neurons);
}

absl::StatusOr<uint32_t> DecoderTemplate::Heads(const std::string& prefix, const char* norm,
                                                const std::string& name, uint32_t heads,
                                                uint32_t x) {
  const uint32_t head_dim = config_.head_dim;
  if (norm != nullptr) {
    Op op{.kind = OpKind::kRmsNorm,
          .name = prefix + norm,
          .inputs = {x},
          .epsilon = config_.norm_epsilon,
          .heads = heads,
          .head_dim = head_dim};
    LUTDB_ASSIGN_OR_RETURN(op.tensor, lowering_.Vector(op.name + ".weight", head_dim));
    x = lowering_.AddOp(std::move(op), lowering_.width(x));
  }
  return lowering_.AddOp({.kind = OpKind::kRope,
                          .name = prefix + name + ".rope",
                          .inputs = {x},
                          .tensor = rope_divisors_,
                          .theta = config_.rope_theta,
                          .heads = heads,
                          .head_dim = head_dim},
                         lowering_.width(x));
}

uint32_t DecoderTemplate::Combine(OpKind kind, const std::string& name, uint32_t x, uint32_t y) {
  return lowering_.AddOp({.kind = kind, .name = name, .inputs = {x, y}}, lowering_.width(x));
}

uint32_t DecoderTemplate::Slice(const std::string& name, uint32_t x, uint32_t offset,
                                uint32_t width) {
  return lowering_.AddOp({.kind = OpKind::kSlice, .name = name, .inputs = {x}, .offset = offset},
                         width);
}

absl::StatusOr<DecoderTemplate::Projections> DecoderTemplate::Project(const std::string& prefix,
                                                                      uint32_t x) {
  const uint32_t width = config_.heads * config_.head_dim;
  const uint32_t kv_width = config_.kv_heads * config_.head_dim;
  const bool bias = config_.qkv_bias;
  Projections made{};
  if (names_.fused_qkv != nullptr) {
    const std::string name = prefix + names_.fused_qkv;
    LUTDB_ASSIGN_OR_RETURN(const uint32_t all, Linear(name, x, width + 2 * kv_width, bias));
    made.q = Slice(name + ".query", all, 0, width);
    made.k = Slice(name + ".key", all, width, kv_width);
    made.v = Slice(name + ".value", all, width + kv_width, kv_width);
    return made;
  }
  LUTDB_ASSIGN_OR_RETURN(made.q, Linear(prefix + names_.query, x, width, bias));
  LUTDB_ASSIGN_OR_RETURN(made.k, Linear(prefix + names_.key, x, kv_width, bias));
  LUTDB_ASSIGN_OR_RETURN(made.v, Linear(prefix + names_.value, x, kv_width, bias));
  return made;
}

absl::StatusOr<uint32_t> DecoderTemplate::Attention(const std::string& prefix, uint32_t window,
                                                    uint32_t x) {
  LUTDB_ASSIGN_OR_RETURN(Projections made, Project(prefix, x));
  const bool fused = names_.fused_qkv != nullptr;
  const std::string query = fused ? std::string(names_.fused_qkv) + ".query" : names_.query;
  const std::string key = fused ? std::string(names_.fused_qkv) + ".key" : names_.key;
  LUTDB_ASSIGN_OR_RETURN(made.q, Heads(prefix, names_.query_norm, query, config_.heads, made.q));
  LUTDB_ASSIGN_OR_RETURN(made.k, Heads(prefix, names_.key_norm, key, config_.kv_heads, made.k));
  const uint32_t seen = lowering_.AddOp({.kind = OpKind::kAttention,
                                         .name = prefix + "attention",
                                         .inputs = {made.q, made.k, made.v},
                                         .heads = config_.heads,
                                         .kv_heads = config_.kv_heads,
                                         .head_dim = config_.head_dim,
                                         .window = window},
                                        config_.heads * config_.head_dim);
  return Linear(prefix + names_.attention_output, seen, config_.hidden,
                config_.attention_output_bias);
}

absl::StatusOr<uint32_t> DecoderTemplate::FeedForward(const std::string& prefix, uint32_t x) {
  const bool bias = config_.mlp_bias;
  const uint32_t width = config_.intermediate;
  uint32_t gate = 0, up = 0;
  if (names_.fused_gate_up != nullptr) {
    const std::string name = prefix + names_.fused_gate_up;
    LUTDB_ASSIGN_OR_RETURN(const uint32_t both, Linear(name, x, 2 * width, bias));
    gate = Slice(name + ".gate", both, 0, width);
    up = Slice(name + ".up", both, width, width);
  } else {
    LUTDB_ASSIGN_OR_RETURN(gate, Linear(prefix + names_.gate, x, width, bias));
    LUTDB_ASSIGN_OR_RETURN(up, Linear(prefix + names_.up, x, width, bias));
  }
  gate = lowering_.AddOp({.kind = OpKind::kActivation,
                          .name = prefix + "mlp.activation",
                          .inputs = {gate},
                          .activation = config_.activation},
                         width);
  const uint32_t gated = Combine(OpKind::kMultiply, prefix + "mlp.gated", gate, up);
  return Linear(prefix + names_.down, gated, config_.hidden, bias);
}

absl::StatusOr<uint32_t> DecoderTemplate::Layer(uint32_t index, uint32_t x) {
  const std::string prefix = fmt::format(fmt::runtime(names_.layer_prefix), index);
  const uint32_t window = config_.windows.empty() ? 0 : config_.windows[index];
  LUTDB_ASSIGN_OR_RETURN(const uint32_t before, Norm(prefix + names_.attention_norm, x));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t attended, Attention(prefix, window, before));
  x = Combine(OpKind::kAdd, prefix + "attention.residual", x, attended);
  LUTDB_ASSIGN_OR_RETURN(const uint32_t between, Norm(prefix + names_.mlp_norm, x));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t fed, FeedForward(prefix, between));
  return Combine(OpKind::kAdd, prefix + "mlp.residual", x, fed);
}

absl::Status DecoderTemplate::Lower() {
  Graph& graph = lowering_.graph();
  graph.architecture = config_.architecture;
  graph.vocabulary = config_.vocabulary;
  graph.context = config_.context;
  graph.bos = config_.bos;
  graph.eos = config_.eos;
  graph.input = lowering_.AddValue("tokens", ValueType::kToken, 1);

  Op embed{.kind = OpKind::kEmbedding, .name = names_.embedding, .inputs = {graph.input}};
  const std::string embedding = std::string(names_.embedding) + ".weight";
  LUTDB_ASSIGN_OR_RETURN(embed.tensor,
                         lowering_.Matrix(embedding, config_.vocabulary, config_.hidden));
  uint32_t x = lowering_.AddOp(std::move(embed), config_.hidden);
  if (!config_.rope_divisors.empty()) {
    LUTDB_ASSIGN_OR_RETURN(rope_divisors_, lowering_.Derived(kRopeDivisors, config_.rope_divisors));
  }
  for (uint32_t i = 0; i < config_.layers; ++i) {
    LUTDB_ASSIGN_OR_RETURN(x, Layer(i, x));
  }
  LUTDB_ASSIGN_OR_RETURN(x, Norm(names_.final_norm, x));
  const std::string weights = config_.tied_embeddings ? names_.embedding : names_.head;
  LUTDB_ASSIGN_OR_RETURN(x, Linear(names_.head, x, config_.vocabulary, false, weights));
  graph.output = x;
  return absl::OkStatus();
}

}  // namespace

absl::Status LowerDecoder(const DecoderConfig& config, Lowering* lowering) {
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  const DecoderArchitecture* names = FindArchitecture(config.architecture);
  if (names == nullptr) {
    return Unimplemented("{}: architecture {} is not known; lutdb knows {}", config.where,
                         Quote(config.architecture), KnownArchitectures());
  }
  return DecoderTemplate(config, *names, lowering).Lower();
}

}  // namespace lutdb
