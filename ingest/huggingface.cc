#include "ingest/huggingface.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "ingest/json_file.h"
#include "ingest/lowering.h"
#include "ingest/rope_scaling.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr auto kRequired = JsonFields::kRequired;
constexpr auto kOptional = JsonFields::kOptional;
constexpr char kGenerationFile[] = "generation_config.json";
constexpr double kFactorMax = 1e6;

// The first architecture the config lists, or the one its model_type stands for.
absl::StatusOr<const DecoderArchitecture*> ReadArchitecture(JsonFields* fields) {
  std::string model_type;
  LUTDB_RETURN_IF_ERROR(fields->String("model_type", kOptional, &model_type));
  const Json* list = fields->Find("architectures");
  if (list != nullptr && (!list->is_array() || list->empty() || !list->front().is_string())) {
    return DataLoss("{}: architectures must be a list of names", fields->where());
  }
  if (list != nullptr) {
    const std::string name = list->front().get<std::string>();
    if (const DecoderArchitecture* known = FindArchitecture(name)) return known;
    return Unimplemented("{}: architecture {} is not known; lutdb knows {}", fields->where(),
                         Quote(name), KnownArchitectures());
  }
  if (const DecoderArchitecture* known = FindArchitectureByModelType(model_type)) return known;
  return Unimplemented("{}: names no known architecture (model_type {}); lutdb knows {}",
                       fields->where(), Quote(model_type), KnownArchitectures());
}

// The fields of one scaling type, as divisors.
absl::Status ReadScaling(const std::string& type, JsonFields* rope, DecoderConfig* config) {
  double factor = 1;
  if (type == "linear") {
    LUTDB_RETURN_IF_ERROR(rope->Number("factor", kRequired, 1e-3, kFactorMax, &factor));
    config->rope_divisors = LinearRopeDivisors(config->head_dim, factor);
    return absl::OkStatus();
  }
  if (type != "llama3") {
    return Unimplemented("{} of type {} is not implemented; lutdb knows default, linear and llama3",
                         rope->where(), Quote(type));
  }
  Llama3RopeScaling scaling;
  scaling.original_context = config->context;
  LUTDB_RETURN_IF_ERROR(rope->Number("factor", kRequired, 1e-3, kFactorMax, &scaling.factor));
  LUTDB_RETURN_IF_ERROR(
      rope->Number("low_freq_factor", kRequired, 0, kFactorMax, &scaling.low_frequency_factor));
  LUTDB_RETURN_IF_ERROR(
      rope->Number("high_freq_factor", kRequired, 0, kFactorMax, &scaling.high_frequency_factor));
  LUTDB_RETURN_IF_ERROR(rope->Number("original_max_position_embeddings", kOptional, 1, kWidthMax,
                                     &scaling.original_context));
  if (scaling.high_frequency_factor <= scaling.low_frequency_factor) {
    return DataLoss("{}: high_freq_factor {} is not above low_freq_factor {}", rope->where(),
                    scaling.high_frequency_factor, scaling.low_frequency_factor);
  }
  config->rope_divisors = Llama3RopeDivisors(config->rope_theta, config->head_dim, scaling);
  return absl::OkStatus();
}

// RoPE: rope_theta at the top, or all of it in rope_parameters as newer files have it.
absl::Status ReadRope(JsonFields* fields, DecoderConfig* config) {
  double theta = 10000.0;
  LUTDB_RETURN_IF_ERROR(fields->Number("rope_theta", kOptional, 1e-3, 1e12, &theta));
  config->rope_theta = static_cast<float>(theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json* object = fields->Find(key);
    if (object == nullptr) continue;
    if (!object->is_object()) return DataLoss("{}: {} must be an object", fields->where(), key);
    JsonFields rope(*object, fmt::format("{}: {}", fields->where(), key));
    std::string type = "default";
    LUTDB_RETURN_IF_ERROR(rope.String("type", kOptional, &type));
    LUTDB_RETURN_IF_ERROR(rope.String("rope_type", kOptional, &type));
    LUTDB_RETURN_IF_ERROR(rope.Number("rope_theta", kOptional, 1e-3, 1e12, &theta));
    config->rope_theta = static_cast<float>(theta);
    if (type != "default") LUTDB_RETURN_IF_ERROR(ReadScaling(type, &rope, config));
  }
  double partial = 1.0;
  LUTDB_RETURN_IF_ERROR(fields->Number("partial_rotary_factor", kOptional, 0, 1, &partial));
  if (partial != 1.0) {
    return Unimplemented("{}: partial_rotary_factor {} is not implemented; only 1 is",
                         fields->where(), partial);
  }
  return absl::OkStatus();
}

// Which layers see a window of positions: as layer_types says, or, where use_sliding_window has to
// be set, those from max_window_layers on, or all.
absl::Status ReadWindows(const DecoderArchitecture& known, bool says_window, JsonFields* fields,
                         DecoderConfig* config) {
  uint32_t window = says_window ? 0 : known.window_default;  // said to be null: none
  LUTDB_RETURN_IF_ERROR(fields->Unsigned("sliding_window", kOptional, 1, UINT32_MAX, &window));
  bool used = !known.window_by_flag;
  LUTDB_RETURN_IF_ERROR(fields->Boolean("use_sliding_window", kOptional, &used));
  uint32_t first = 0;
  if (known.window_by_flag) {
    first = config->layers;
    LUTDB_RETURN_IF_ERROR(fields->Unsigned("max_window_layers", kOptional, 0, UINT32_MAX, &first));
  }
  const Json* types = fields->Find("layer_types");
  if (types != nullptr && (!types->is_array() || types->size() < config->layers)) {
    return DataLoss("{}: layer_types must name the type of each of {} layers", fields->where(),
                    config->layers);
  }
  std::vector<uint32_t> windows;
  for (uint32_t layer = 0; layer < config->layers; ++layer) {
    bool slides = used && layer >= first;
    if (types != nullptr) {
      const Json& type = (*types)[layer];
      slides = type == "sliding_attention";
      if (!slides && type != "full_attention") {
        return Unimplemented(
            "{}: layer_types names {}; lutdb knows full_attention and sliding_attention",
            fields->where(), Quote(type.dump(-1, ' ', true)));
      }
    }
    windows.push_back(slides && window < config->context ? window : 0);
  }
  config->windows = std::move(windows);
  return absl::OkStatus();
}

// bos_token_id: an id or null. eos_token_id: an id, a list of ids or null.
absl::Status ReadSpecialTokens(JsonFields* fields, DecoderConfig* config) {
  const uint32_t last = config->vocabulary - 1;
  LUTDB_RETURN_IF_ERROR(fields->Unsigned("bos_token_id", kOptional, 0, last, &config->bos));
  const Json* eos = fields->Find("eos_token_id");
  if (eos == nullptr) return absl::OkStatus();
  const Json list = eos->is_array() ? *eos : Json::array({*eos});
  config->eos.clear();
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > last) {
      return DataLoss("{}: eos_token_id must be ids from 0 to {}", fields->where(), last);
    }
    config->eos.push_back(id.get<uint32_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadGenerationConfig(const std::string& path, DecoderConfig* config) {
  if (!PathExists(path)) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const Json object, ReadJsonObject(path));
  JsonFields fields(object, path);
  return ReadSpecialTokens(&fields, config);
}

absl::Status ReadShape(const DecoderArchitecture& known, JsonFields* fields,
                       DecoderConfig* config) {
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
  const bool given = fields->Find("head_dim") != nullptr || known.head_dim_default != 0;
  config->head_dim =
      known.head_dim_default != 0 ? known.head_dim_default : config->hidden / config->heads;
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

absl::Status ReadBiases(const DecoderArchitecture& known, JsonFields* fields,
                        DecoderConfig* config) {
  config->qkv_bias = known.qkv_bias;
  if (!known.bias_from_config) return absl::OkStatus();
  bool attention = false;
  LUTDB_RETURN_IF_ERROR(fields->Boolean("attention_bias", kOptional, &attention));
  config->qkv_bias = config->qkv_bias || attention;
  config->attention_output_bias = attention;
  return fields->Boolean("mlp_bias", kOptional, &config->mlp_bias);
}

}  // namespace

absl::StatusOr<DecoderConfig> ReadHuggingFaceConfig(const std::string& path) {
  LUTDB_ASSIGN_OR_RETURN(const Json object, ReadJsonObject(path));
  JsonFields fields(object, path);
  DecoderConfig config;
  config.where = path;
  LUTDB_ASSIGN_OR_RETURN(const DecoderArchitecture* known, ReadArchitecture(&fields));
  config.architecture = known->architecture;
  if (fields.Find("quantization_config") != nullptr) {
    return Unimplemented(
        "{}: quantised checkpoints are not implemented; use the F32, F16 or BF16 one", path);
  }
  LUTDB_RETURN_IF_ERROR(ReadShape(*known, &fields, &config));
  double epsilon = 1e-6;
  LUTDB_RETURN_IF_ERROR(fields.Number("rms_norm_eps", kOptional, 0, 1, &epsilon));
  config.norm_epsilon = static_cast<float>(epsilon);
  std::string activation = "silu";
  LUTDB_RETURN_IF_ERROR(fields.String("hidden_act", kOptional, &activation));
  if (!ActivationByName(activation, &config.activation)) {
    return Unimplemented(
        "{}: hidden_act {} is not known; lutdb knows silu, gelu, gelu_tanh, relu, "
        "sigmoid and tanh",
        path, Quote(activation));
  }
  LUTDB_RETURN_IF_ERROR(fields.Boolean("tie_word_embeddings", kOptional, &config.tied_embeddings));
  LUTDB_RETURN_IF_ERROR(ReadBiases(*known, &fields, &config));
  LUTDB_RETURN_IF_ERROR(ReadSpecialTokens(&fields, &config));
  LUTDB_RETURN_IF_ERROR(
      ReadGenerationConfig(JoinPath(DirectoryOf(path), kGenerationFile), &config));
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));  // before numbers are made per head
  LUTDB_RETURN_IF_ERROR(ReadRope(&fields, &config));
  LUTDB_RETURN_IF_ERROR(ReadWindows(*known, object.contains("sliding_window"), &fields, &config));
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  return config;
}

}  // namespace lutdb
