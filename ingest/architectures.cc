#include "ingest/architectures.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/status.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kLayersMax = 1024;

// Names of one architecture's tensors, without ".weight". A layer's names follow its prefix.
struct DecoderNames {
  const char* architecture;
  const char* model_type;
  const char* embedding;
  const char* layer_prefix;  // with the layer's number at {}
  const char* attention_norm;
  const char* query;
  const char* key;
  const char* value;
  const char* attention_output;
  const char* mlp_norm;
  const char* gate;
  const char* up;
  const char* down;
  const char* final_norm;
  const char* head;
};

constexpr DecoderNames kDecoders[] = {
    {
        .architecture = "LlamaForCausalLM",
        .model_type = "llama",
        .embedding = "model.embed_tokens",
        .layer_prefix = "model.layers.{}.",
        .attention_norm = "input_layernorm",
        .query = "self_attn.q_proj",
        .key = "self_attn.k_proj",
        .value = "self_attn.v_proj",
        .attention_output = "self_attn.o_proj",
        .mlp_norm = "post_attention_layernorm",
        .gate = "mlp.gate_proj",
        .up = "mlp.up_proj",
        .down = "mlp.down_proj",
        .final_norm = "model.norm",
        .head = "lm_head",
    },
};

std::string KnownArchitectures() {
  std::string known;
  for (const DecoderNames& names : kDecoders) {
    known += (known.empty() ? "" : ", ") + std::string(names.architecture);
  }
  return known;
}

const DecoderNames* FindDecoder(const std::string& architecture) {
  for (const DecoderNames& names : kDecoders) {
    if (architecture == names.architecture) return &names;
  }
  return nullptr;
}

// The first architecture the config lists, or the one its model_type stands for.
absl::StatusOr<std::string> ReadArchitecture(JsonFields* fields) {
  std::string model_type;
  LUTDB_RETURN_IF_ERROR(fields->String("model_type", JsonFields::kOptional, &model_type));
  const Json* list = fields->Find("architectures");
  if (list != nullptr && (!list->is_array() || list->empty() || !list->front().is_string())) {
    return DataLoss("{}: architectures must be a list of names", fields->where());
  }
  if (list != nullptr) {
    const std::string name = list->front().get<std::string>();
    if (FindDecoder(name) != nullptr) return name;
    return Unimplemented("{}: architecture {} is not known; lutdb knows {}", fields->where(),
                         Quote(name), KnownArchitectures());
  }
  for (const DecoderNames& names : kDecoders) {
    if (model_type == names.model_type) return std::string(names.architecture);
  }
  return Unimplemented("{}: names no known architecture (model_type {}); lutdb knows {}",
                       fields->where(), Quote(model_type), KnownArchitectures());
}

// RoPE: rope_theta at the top, or all of it in rope_parameters as newer files have it.
absl::Status ReadRope(JsonFields* fields, float* theta) {
  double base = 10000.0;
  LUTDB_RETURN_IF_ERROR(fields->Number("rope_theta", JsonFields::kOptional, 1e-3, 1e12, &base));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json* object = fields->Find(key);
    if (object == nullptr) continue;
    if (!object->is_object()) return DataLoss("{}: {} must be an object", fields->where(), key);
    JsonFields rope(*object, fmt::format("{}: {}", fields->where(), key));
    std::string type = "default";
    LUTDB_RETURN_IF_ERROR(rope.String("type", JsonFields::kOptional, &type));
    LUTDB_RETURN_IF_ERROR(rope.String("rope_type", JsonFields::kOptional, &type));
    LUTDB_RETURN_IF_ERROR(rope.Number("rope_theta", JsonFields::kOptional, 1e-3, 1e12, &base));
    if (type != "default") {
      return Unimplemented("{}: {} of type {} is not implemented; only unscaled RoPE is",
                           fields->where(), key, Quote(type));
    }
  }
  double partial = 1.0;
  LUTDB_RETURN_IF_ERROR(
      fields->Number("partial_rotary_factor", JsonFields::kOptional, 0, 1, &partial));
  if (partial != 1.0) {
    return Unimplemented("{}: partial_rotary_factor {} is not implemented; only 1 is",
                         fields->where(), partial);
  }
  *theta = static_cast<float>(base);
  return absl::OkStatus();
}

// bos_token_id: an id or null. eos_token_id: an id, a list of ids or null.
absl::Status ReadSpecialTokens(JsonFields* fields, DecoderConfig* config) {
  const uint32_t last = config->vocabulary - 1;
  LUTDB_RETURN_IF_ERROR(
      fields->Unsigned("bos_token_id", JsonFields::kOptional, 0, last, &config->bos));
  const Json* eos = fields->Find("eos_token_id");
  if (eos == nullptr) return absl::OkStatus();
  const Json list = eos->is_array() ? *eos : Json::array({*eos});
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > last) {
      return DataLoss("{}: eos_token_id must be ids from 0 to {}", fields->where(), last);
    }
    config->eos.push_back(id.get<uint32_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadShape(JsonFields* fields, DecoderConfig* config) {
  constexpr auto kRequired = JsonFields::kRequired;
  constexpr auto kOptional = JsonFields::kOptional;
  const auto width = [&](const char* key, JsonFields::Need need, uint32_t* out) {
    return fields->Unsigned(key, need, 1, kWidthMax, out);
  };
  LUTDB_RETURN_IF_ERROR(width("hidden_size", kRequired, &config->hidden));
  LUTDB_RETURN_IF_ERROR(width("intermediate_size", kRequired, &config->intermediate));
  LUTDB_RETURN_IF_ERROR(
      fields->Unsigned("num_hidden_layers", kRequired, 1, kLayersMax, &config->layers));
  LUTDB_RETURN_IF_ERROR(width("num_attention_heads", kRequired, &config->heads));
  config->kv_heads = config->heads;
  LUTDB_RETURN_IF_ERROR(width("num_key_value_heads", kOptional, &config->kv_heads));
  config->head_dim = config->hidden / config->heads;
  const bool given = fields->Find("head_dim") != nullptr;
  LUTDB_RETURN_IF_ERROR(width("head_dim", kOptional, &config->head_dim));
  if (!given && config->hidden % config->heads != 0) {
    return DataLoss(
        "{}: hidden_size {} is no multiple of num_attention_heads {}, and head_dim is "
        "not given",
        fields->where(), config->hidden, config->heads);
  }
  LUTDB_RETURN_IF_ERROR(width("vocab_size", kRequired, &config->vocabulary));
  config->context = 2048;
  return width("max_position_embeddings", kOptional, &config->context);
}

// The graph of one decoder. Ops are named after the tensors they use.
class DecoderTemplate {
 public:
  DecoderTemplate(const DecoderConfig& config, const DecoderNames& names, Lowering* lowering)
      : config_(config), names_(names), lowering_(*lowering) {}

  absl::Status Lower();

 private:
  absl::StatusOr<uint32_t> Layer(uint32_t index, uint32_t x);
  absl::StatusOr<uint32_t> Attention(const std::string& prefix, uint32_t x);
  absl::StatusOr<uint32_t> FeedForward(const std::string& prefix, uint32_t x);
  absl::StatusOr<uint32_t> Norm(const std::string& name, uint32_t x);
  // x through the table of a weight tensor `weights` (by default that of the table's own name).
  absl::StatusOr<uint32_t> Linear(const std::string& name, uint32_t x, uint32_t neurons, bool bias,
                                  const std::string& weights = "");
  uint32_t Rope(const std::string& name, uint32_t x, uint32_t heads);
  uint32_t Combine(OpKind kind, const std::string& name, uint32_t x, uint32_t y);

  const DecoderConfig& config_;
  const DecoderNames& names_;
  Lowering& lowering_;
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

uint32_t DecoderTemplate::Rope(const std::string& name, uint32_t x, uint32_t heads) {
  return lowering_.AddOp({.kind = OpKind::kRope,
                          .name = name,
                          .inputs = {x},
                          .theta = config_.rope_theta,
                          .heads = heads,
                          .head_dim = config_.head_dim},
                         lowering_.width(x));
}

uint32_t DecoderTemplate::Combine(OpKind kind, const std::string& name, uint32_t x, uint32_t y) {
  return lowering_.AddOp({.kind = kind, .name = name, .inputs = {x, y}}, lowering_.width(x));
}

absl::StatusOr<uint32_t> DecoderTemplate::Attention(const std::string& prefix, uint32_t x) {
  const uint32_t width = config_.heads * config_.head_dim;
  const uint32_t kv_width = config_.kv_heads * config_.head_dim;
  const bool bias = config_.attention_bias;
  LUTDB_ASSIGN_OR_RETURN(uint32_t q, Linear(prefix + names_.query, x, width, bias));
  LUTDB_ASSIGN_OR_RETURN(uint32_t k, Linear(prefix + names_.key, x, kv_width, bias));
  LUTDB_ASSIGN_OR_RETURN(uint32_t v, Linear(prefix + names_.value, x, kv_width, bias));
  q = Rope(prefix + names_.query + ".rope", q, config_.heads);
  k = Rope(prefix + names_.key + ".rope", k, config_.kv_heads);
  const uint32_t seen = lowering_.AddOp({.kind = OpKind::kAttention,
                                         .name = prefix + "attention",
                                         .inputs = {q, k, v},
                                         .heads = config_.heads,
                                         .kv_heads = config_.kv_heads,
                                         .head_dim = config_.head_dim},
                                        width);
  return Linear(prefix + names_.attention_output, seen, config_.hidden, bias);
}

absl::StatusOr<uint32_t> DecoderTemplate::FeedForward(const std::string& prefix, uint32_t x) {
  const bool bias = config_.mlp_bias;
  LUTDB_ASSIGN_OR_RETURN(uint32_t gate,
                         Linear(prefix + names_.gate, x, config_.intermediate, bias));
  LUTDB_ASSIGN_OR_RETURN(uint32_t up, Linear(prefix + names_.up, x, config_.intermediate, bias));
  gate = lowering_.AddOp({.kind = OpKind::kActivation,
                          .name = prefix + "mlp.activation",
                          .inputs = {gate},
                          .activation = config_.activation},
                         config_.intermediate);
  const uint32_t gated = Combine(OpKind::kMultiply, prefix + "mlp.gated", gate, up);
  return Linear(prefix + names_.down, gated, config_.hidden, bias);
}

absl::StatusOr<uint32_t> DecoderTemplate::Layer(uint32_t index, uint32_t x) {
  const std::string prefix = fmt::format(fmt::runtime(names_.layer_prefix), index);
  LUTDB_ASSIGN_OR_RETURN(const uint32_t before, Norm(prefix + names_.attention_norm, x));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t attended, Attention(prefix, before));
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

absl::StatusOr<DecoderConfig> ReadHuggingFaceConfig(const std::string& path) {
  LUTDB_ASSIGN_OR_RETURN(const Json object, ReadJsonObject(path));
  JsonFields fields(object, path);
  DecoderConfig config;
  config.where = path;
  LUTDB_ASSIGN_OR_RETURN(config.architecture, ReadArchitecture(&fields));
  if (fields.Find("quantization_config") != nullptr) {
    return Unimplemented(
        "{}: quantised checkpoints are not implemented; use the F32, F16 or BF16 one", path);
  }
  LUTDB_RETURN_IF_ERROR(ReadShape(&fields, &config));
  LUTDB_RETURN_IF_ERROR(ReadRope(&fields, &config.rope_theta));
  double epsilon = 1e-6;
  LUTDB_RETURN_IF_ERROR(fields.Number("rms_norm_eps", JsonFields::kOptional, 0, 1, &epsilon));
  config.norm_epsilon = static_cast<float>(epsilon);
  std::string activation = "silu";
  LUTDB_RETURN_IF_ERROR(fields.String("hidden_act", JsonFields::kOptional, &activation));
  if (!ActivationByName(activation, &config.activation)) {
    return Unimplemented(
        "{}: hidden_act {} is not known; lutdb knows silu, gelu, gelu_tanh, relu, "
        "sigmoid and tanh",
        path, Quote(activation));
  }
  constexpr auto kOptional = JsonFields::kOptional;
  LUTDB_RETURN_IF_ERROR(fields.Boolean("tie_word_embeddings", kOptional, &config.tied_embeddings));
  LUTDB_RETURN_IF_ERROR(fields.Boolean("attention_bias", kOptional, &config.attention_bias));
  LUTDB_RETURN_IF_ERROR(fields.Boolean("mlp_bias", kOptional, &config.mlp_bias));
  LUTDB_RETURN_IF_ERROR(ReadSpecialTokens(&fields, &config));
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  return config;
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
  return absl::OkStatus();
}

absl::Status LowerDecoder(const DecoderConfig& config, Lowering* lowering) {
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  const DecoderNames* names = FindDecoder(config.architecture);
  if (names == nullptr) {
    return Unimplemented("{}: architecture {} is not known; lutdb knows {}", config.where,
                         Quote(config.architecture), KnownArchitectures());
  }
  return DecoderTemplate(config, *names, lowering).Lower();
}

}  // namespace lutdb
