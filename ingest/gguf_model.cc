#include "ingest/gguf_model.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "coding/tensor_record.h"
#include "ingest/json_file.h"
#include "ingest/lowering.h"
#include "ingest/rope_scaling.h"

namespace lutdb {
namespace {

constexpr char kRopeFactors[] = "rope_freqs.weight";
constexpr char kLayerPrefix[] = "blk.{}.";

// GGUF's names of one layer's tensors, and which of the architecture's they are.
struct LayerRole {
  const char* gguf;
  const char* DecoderArchitecture::*name;
};
constexpr LayerRole kLayerRoles[] = {
    {"attn_norm", &DecoderArchitecture::attention_norm},
    {"attn_q", &DecoderArchitecture::query},
    {"attn_k", &DecoderArchitecture::key},
    {"attn_v", &DecoderArchitecture::value},
    {"attn_qkv", &DecoderArchitecture::fused_qkv},
    {"attn_q_norm", &DecoderArchitecture::query_norm},
    {"attn_k_norm", &DecoderArchitecture::key_norm},
    {"attn_output", &DecoderArchitecture::attention_output},
    {"ffn_norm", &DecoderArchitecture::mlp_norm},
    {"ffn_gate", &DecoderArchitecture::gate},
    {"ffn_up", &DecoderArchitecture::up},
    {"ffn_up", &DecoderArchitecture::fused_gate_up},
    {"ffn_down", &DecoderArchitecture::down},
};
constexpr LayerRole kModelRoles[] = {
    {"token_embd", &DecoderArchitecture::embedding},
    {"output_norm", &DecoderArchitecture::final_norm},
    {"output", &DecoderArchitecture::head},
};

using Tensors = std::map<std::string, CatalogTensor, std::less<>>;

// Moves a tensor and its bias to their new names.
absl::Status Rename(const std::string& where, const std::string& from, const std::string& to,
                    Tensors* tensors) {
  for (const char* suffix : {".weight", ".bias"}) {
    auto node = tensors->extract(from + suffix);
    if (node.empty()) continue;
    node.key() = to + suffix;
    if (!tensors->insert(std::move(node)).inserted) {
      return DataLoss("{}: holds both {} and {}", where, Quote(from + suffix), Quote(to + suffix));
    }
  }
  return absl::OkStatus();
}

absl::Status RenameAll(const DecoderArchitecture& known, const DecoderConfig& config,
                       Tensors* tensors) {
  for (const LayerRole& role : kModelRoles) {
    LUTDB_RETURN_IF_ERROR(Rename(config.where, role.gguf, known.*role.name, tensors));
  }
  for (uint32_t i = 0; i < config.layers; ++i) {
    const std::string from = fmt::format(kLayerPrefix, i);
    const std::string to = fmt::format(fmt::runtime(known.layer_prefix), i);
    for (const LayerRole& role : kLayerRoles) {
      if (known.*role.name == nullptr) continue;
      LUTDB_RETURN_IF_ERROR(Rename(config.where, from + role.gguf, to + known.*role.name, tensors));
    }
    if (!known.gguf_interleaves) continue;
    for (const char* turned : {known.query, known.key}) {
      const auto tensor = tensors->find(to + turned + ".weight");
      if (tensor != tensors->end()) tensor->second.rope_head_dim = config.head_dim;
    }
  }
  return absl::OkStatus();
}

// Metadata of one architecture: its keys have the architecture's name before them.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string prefix)
      : metadata_(metadata), prefix_(std::move(prefix)) {}

  absl::Status Width(const char* key, bool required, uint32_t* out) const {
    if (required && !Has(key)) {
      return DataLoss("{}: the metadata has no {}{}", metadata_.where(), prefix_, key);
    }
    return metadata_.Unsigned(prefix_ + key, 1, kWidthMax, out);
  }
  // One number, or one per layer that are all the same.
  absl::Status EqualWidths(const char* key, uint32_t layers, uint32_t* out) const {
    const GgufValue* value = metadata_.Find(prefix_ + key);
    if (value == nullptr || !value->is_array) return Width(key, false, out);
    std::vector<int64_t> widths;
    LUTDB_RETURN_IF_ERROR(metadata_.Integers(prefix_ + key, kLayersMax, &widths));
    for (const int64_t width : widths) {
      if (width < 1 || width > kWidthMax || widths.size() != layers) {
        return DataLoss("{}: {}{} must hold {} numbers within 1 to {}", metadata_.where(), prefix_,
                        key, layers, kWidthMax);
      }
      if (width != widths[0]) {
        return Unimplemented("{}: {}{} differs between layers, which is not implemented",
                             metadata_.where(), prefix_, key);
      }
      *out = static_cast<uint32_t>(width);
    }
    return absl::OkStatus();
  }
  absl::Status Number(const char* key, double min, double max, double* out) const {
    return metadata_.Number(prefix_ + key, min, max, out);
  }
  absl::Status String(const char* key, std::string* out) const {
    return metadata_.String(prefix_ + key, out);
  }
  bool Has(const char* key) const { return metadata_.Has(prefix_ + key); }
  const std::string& prefix() const { return prefix_; }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

absl::Status ReadShape(const Keys& keys, const GgufFile& file, DecoderConfig* config) {
  LUTDB_RETURN_IF_ERROR(keys.Width("embedding_length", true, &config->hidden));
  LUTDB_RETURN_IF_ERROR(keys.Width("block_count", true, &config->layers));
  if (config->layers > kLayersMax) {
    return DataLoss("{}: {} layers are more than {}", config->where, config->layers, kLayersMax);
  }
  LUTDB_RETURN_IF_ERROR(
      keys.EqualWidths("feed_forward_length", config->layers, &config->intermediate));
  LUTDB_RETURN_IF_ERROR(keys.EqualWidths("attention.head_count", config->layers, &config->heads));
  if (config->heads == 0) {
    return DataLoss("{}: the metadata has no {}attention.head_count", config->where, keys.prefix());
  }
  config->kv_heads = config->heads;
  LUTDB_RETURN_IF_ERROR(
      keys.EqualWidths("attention.head_count_kv", config->layers, &config->kv_heads));
  config->head_dim = config->hidden / config->heads;
  if (!keys.Has("attention.key_length") && config->hidden % config->heads != 0) {
    return DataLoss("{}: width {} is no multiple of {} heads, and their width is not given",
                    config->where, config->hidden, config->heads);
  }
  LUTDB_RETURN_IF_ERROR(keys.Width("attention.key_length", false, &config->head_dim));
  uint32_t value_width = config->head_dim;
  LUTDB_RETURN_IF_ERROR(keys.Width("attention.value_length", false, &value_width));
  if (value_width != config->head_dim) {
    return Unimplemented("{}: values of width {} with keys of width {} are not implemented",
                         config->where, value_width, config->head_dim);
  }
  const auto embedding = file.catalog.tensors.find("token_embd.weight");
  if (embedding == file.catalog.tensors.end()) {
    return NotFound("{}: tensor token_embd.weight is missing; the model needs it", config->where);
  }
  const std::vector<uint64_t>& shape = embedding->second.shape;
  if (shape.size() != 2 || shape[0] > kWidthMax) {
    return DataLoss("{}: token_embd.weight has shape [{}], which is no vocabulary by width",
                    config->where, fmt::join(shape, ", "));
  }
  config->vocabulary = static_cast<uint32_t>(shape[0]);
  return keys.Width("context_length", true, &config->context);
}

// llama.cpp's converter of llama2.c checkpoints writes 128 for the context unless told otherwise,
// and llama.cpp takes the number for advice. Files that bear its mark get the 512 positions that
// llama.cpp used to give them, since windows and texts of 256 are what people ask of such models.
void CorrectContext(const GgufMetadata& metadata, DecoderConfig* config) {
  constexpr uint32_t kConverterDefault = 128, kMeant = 512;
  constexpr char kMark[] = "tokenizer.ggml.seperator_token_id";  // so misspelt by it alone
  if (metadata.Has(kMark) && config->context == kConverterDefault) config->context = kMeant;
}

absl::Status RefuseExperts(const Keys& keys, const std::string& where) {
  uint32_t experts = 0;
  if (!keys.Has("expert_count")) return absl::OkStatus();
  double count = 0;
  LUTDB_RETURN_IF_ERROR(keys.Number("expert_count", 0, kWidthMax, &count));
  experts = static_cast<uint32_t>(count);
  if (experts == 0) return absl::OkStatus();
  return Unimplemented("{}: mixtures of experts ({} here) are not implemented", where, experts);
}

// The factors that a converter worked out from Llama 3's scaling, or one factor for all pairs.
absl::Status ReadRope(const Keys& keys, const GgufFile& file, DecoderConfig* config) {
  double theta = 10000.0, factor = 0;
  LUTDB_RETURN_IF_ERROR(keys.Number("rope.freq_base", 1e-3, 1e12, &theta));
  config->rope_theta = static_cast<float>(theta);
  uint32_t turned = config->head_dim;
  LUTDB_RETURN_IF_ERROR(keys.Width("rope.dimension_count", false, &turned));
  if (turned != config->head_dim) {
    return Unimplemented("{}: RoPE on {} of {} elements of a head is not implemented; only on all",
                         config->where, turned, config->head_dim);
  }
  std::string type = "none";
  LUTDB_RETURN_IF_ERROR(keys.String("rope.scaling.type", &type));
  LUTDB_RETURN_IF_ERROR(keys.Number("rope.scale_linear", 1e-3, 1e6, &factor));
  if (factor != 0 && type == "none") type = "linear";
  LUTDB_RETURN_IF_ERROR(keys.Number("rope.scaling.factor", 1e-3, 1e6, &factor));
  for (const char* name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
    if (file.catalog.tensors.contains(name)) type = "longrope";
  }
  if (type != "none" && type != "linear") {
    return Unimplemented(
        "{}: RoPE scaling of type {} is not implemented; lutdb knows none, linear "
        "and the factors of {}",
        config->where, Quote(type), kRopeFactors);
  }
  if (type == "linear" && factor != 0) {
    config->rope_divisors = LinearRopeDivisors(config->head_dim, factor);
  }
  const auto factors = file.catalog.tensors.find(kRopeFactors);
  if (factors == file.catalog.tensors.end()) return absl::OkStatus();
  const CatalogTensor& tensor = factors->second;
  const uint64_t pairs = config->head_dim / 2;
  if (tensor.dtype != "F32" || tensor.shape != std::vector<uint64_t>{pairs}) {
    return DataLoss("{}: {} must be {} numbers of type F32", config->where, kRopeFactors, pairs);
  }
  if (!config->rope_divisors.empty()) {
    return Unimplemented("{}: both linear RoPE scaling and {} is not implemented", config->where,
                         kRopeFactors);
  }
  config->rope_divisors.resize(pairs);
  ToFloat(DType::kF32, tensor.data, pairs, config->rope_divisors.data());
  return absl::OkStatus();
}

// Start and end tokens. Numbers beyond the vocabulary, 0xffffffff above all, are how writers say
// that there is none.
absl::Status ReadSpecialTokens(const GgufMetadata& metadata, DecoderConfig* config) {
  const auto read = [&](const char* key, uint32_t* id) -> absl::Status {
    uint32_t found = kNone;
    LUTDB_RETURN_IF_ERROR(metadata.Unsigned(key, 0, UINT32_MAX, &found));
    if (found < config->vocabulary) *id = found;
    return absl::OkStatus();
  };
  LUTDB_RETURN_IF_ERROR(read("tokenizer.ggml.bos_token_id", &config->bos));
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    uint32_t id = kNone;
    LUTDB_RETURN_IF_ERROR(read(key, &id));
    const bool known = !config->eos.empty() && config->eos[0] == id;
    if (id != kNone && !known) config->eos.push_back(id);
  }
  return absl::OkStatus();
}

absl::Status ReadBiases(const DecoderArchitecture& known, const Tensors& tensors,
                        DecoderConfig* config) {
  const std::string layer = fmt::format(fmt::runtime(known.layer_prefix), 0);
  const auto has_bias = [&](const char* name) {
    return name != nullptr && tensors.contains(layer + name + ".bias");
  };
  const bool query = has_bias(known.query);
  config->qkv_bias = known.qkv_bias || query || has_bias(known.fused_qkv);
  config->attention_output_bias = has_bias(known.attention_output);
  config->mlp_bias = has_bias(known.down);
  if (query && known.gguf_interleaves) {
    return Unimplemented("{}: biases of interleaved queries are not implemented", config->where);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DecoderConfig> ReadGgufDecoder(GgufFile* file) {
  const GgufMetadata& metadata = file->metadata;
  DecoderConfig config;
  config.where = metadata.where();
  std::string name;
  LUTDB_RETURN_IF_ERROR(metadata.String("general.architecture", &name));
  if (name.empty()) {
    return DataLoss("{}: the metadata has no general.architecture; is it a model?", config.where);
  }
  const DecoderArchitecture* known = FindArchitectureByGguf(name);
  if (known == nullptr) {
    return Unimplemented("{}: architecture {} is not known; of GGUF files lutdb knows {}",
                         config.where, Quote(name), KnownGgufArchitectures());
  }
  config.architecture = known->architecture;
  const Keys keys(metadata, name + ".");
  LUTDB_RETURN_IF_ERROR(RefuseExperts(keys, config.where));
  LUTDB_RETURN_IF_ERROR(ReadShape(keys, *file, &config));
  CorrectContext(metadata, &config);
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));  // before numbers are made per head or layer
  double epsilon = 1e-5;
  LUTDB_RETURN_IF_ERROR(keys.Number("attention.layer_norm_rms_epsilon", 0, 1, &epsilon));
  config.norm_epsilon = static_cast<float>(epsilon);
  LUTDB_RETURN_IF_ERROR(ReadRope(keys, *file, &config));
  double window = 0;
  LUTDB_RETURN_IF_ERROR(keys.Number("attention.sliding_window", 0, UINT32_MAX, &window));
  if (window >= 1 && window < config.context) {
    config.windows.assign(config.layers, static_cast<uint32_t>(window));
  }
  LUTDB_RETURN_IF_ERROR(ReadSpecialTokens(metadata, &config));
  LUTDB_RETURN_IF_ERROR(RenameAll(*known, config, &file->catalog.tensors));
  LUTDB_RETURN_IF_ERROR(ReadBiases(*known, file->catalog.tensors, &config));
  config.tied_embeddings = !file->catalog.tensors.contains(std::string(known->head) + ".weight");
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  return config;
}

}  // namespace lutdb
