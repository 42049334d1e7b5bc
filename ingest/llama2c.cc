#include "ingest/llama2c.h"

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/lowering.h"

namespace lutdb {
namespace {

constexpr uint32_t kMagic = 0x616b3432;  // "ak42"
constexpr uint64_t kV0HeaderBytes = 7 * 4;
constexpr uint64_t kV1HeaderBytes = 256;  // padded with zeros
constexpr uint64_t kV1FieldBytes = 4 + 4 + 7 * 4 + 1;

// The seven sizes every version has, in file order.
struct Sizes {
  int32_t hidden, intermediate, layers, heads, kv_heads, vocabulary, context;
};

Sizes LoadSizes(const uint8_t* from) {
  const auto at = [&](int index) { return LoadLittle<int32_t>(from + 4 * index); };
  return {at(0), at(1), at(2), at(3), at(4), at(5), at(6)};
}

bool Plausible(const Sizes& sizes) {
  const auto within = [](int32_t value, int32_t max) { return value >= 1 && value <= max; };
  const int32_t width_max = kWidthMax;
  return within(sizes.hidden, width_max) && within(sizes.intermediate, width_max) &&
         within(sizes.layers, int32_t{kLayersMax}) && within(sizes.heads, sizes.hidden) &&
         within(sizes.kv_heads, sizes.heads) &&
         (within(sizes.vocabulary, width_max) || within(-(sizes.vocabulary + 1), width_max - 1)) &&
         within(sizes.context, width_max);
}

// A run of tensors of one kind, for all layers or once.
struct Part {
  std::string name;  // with {} where the layer's number goes
  uint32_t count;    // layers, or 1
  std::vector<uint64_t> shape;
  uint32_t rope_head_dim = 0;
};

std::vector<Part> Parts(const DecoderConfig& config, bool v0) {
  const uint64_t dim = config.hidden, hidden = config.intermediate;
  const uint64_t kv = uint64_t{config.kv_heads} * config.head_dim;
  const uint32_t layers = config.layers;
  const std::string prefix = "model.layers.{}.";
  const Part embedding{"model.embed_tokens.weight", 1, {config.vocabulary, dim}};
  const Part attention_norm{prefix + "input_layernorm.weight", layers, {dim}};
  const Part mlp_norm{prefix + "post_attention_layernorm.weight", layers, {dim}};
  const Part final_norm{"model.norm.weight", 1, {dim}};
  const std::vector<Part> attention = {
      {prefix + "self_attn.q_proj.weight", layers, {dim, dim}, config.head_dim},
      {prefix + "self_attn.k_proj.weight", layers, {kv, dim}, config.head_dim},
      {prefix + "self_attn.v_proj.weight", layers, {kv, dim}},
      {prefix + "self_attn.o_proj.weight", layers, {dim, dim}},
  };
  const std::vector<Part> mlp = {
      {prefix + "mlp.gate_proj.weight", layers, {hidden, dim}},
      {prefix + "mlp.down_proj.weight", layers, {dim, hidden}},
      {prefix + "mlp.up_proj.weight", layers, {hidden, dim}},
  };
  std::vector<Part> parts;
  const auto add = [&](const std::vector<Part>& more) {
    parts.insert(parts.end(), more.begin(), more.end());
  };
  if (v0) {
    add({embedding, attention_norm});
    add(attention);
    add({mlp_norm});
    add(mlp);
    add({final_norm});
    // Tables of cosines and sines that lutdb computes itself: cos, then sin, seq_len x half a head.
    add({{"", 2, {config.context, config.head_dim / 2}}});
  } else {
    add({attention_norm, mlp_norm, final_norm, embedding});
    add(attention);
    add(mlp);
  }
  if (!config.tied_embeddings) add({{"lm_head.weight", 1, {config.vocabulary, dim}}});
  return parts;
}

uint64_t Elements(const Part& part) {
  uint64_t elements = 1;
  for (const uint64_t size : part.shape) elements *= size;
  return elements;
}

absl::StatusOr<DecoderConfig> ToConfig(const Sizes& sizes, const std::string& path) {
  if (!Plausible(sizes)) {
    return DataLoss(
        "{}: absurd sizes (width {}, feed-forward {}, layers {}, heads {}, key and value "
        "heads {}, vocabulary {}, context {}); the file is damaged or no llama2.c "
        "checkpoint",
        path, sizes.hidden, sizes.intermediate, sizes.layers, sizes.heads, sizes.kv_heads,
        sizes.vocabulary, sizes.context);
  }
  if (sizes.hidden % sizes.heads != 0) {
    return DataLoss("{}: width {} is no multiple of {} heads", path, sizes.hidden, sizes.heads);
  }
  DecoderConfig config;
  config.where = path;
  config.architecture = "LlamaForCausalLM";
  config.hidden = sizes.hidden;
  config.intermediate = sizes.intermediate;
  config.layers = sizes.layers;
  config.heads = sizes.heads;
  config.kv_heads = sizes.kv_heads;
  config.head_dim = sizes.hidden / sizes.heads;
  config.vocabulary = sizes.vocabulary < 0 ? -sizes.vocabulary : sizes.vocabulary;
  config.context = sizes.context;
  // What llama2.c has as constants.
  config.norm_epsilon = 1e-5f;
  config.rope_theta = 10000.0f;
  config.bos = config.vocabulary > 1 ? 1 : kNone;
  if (config.vocabulary > 2) config.eos = {2};
  LUTDB_RETURN_IF_ERROR(CheckDecoderConfig(config));
  return config;
}

// Cuts the tensors out of the data. No product here overflows: the bounds of CheckDecoderConfig
// keep the sum of all sizes below 2^62 bytes.
absl::Status ReadParts(const DecoderConfig& config, bool v0, const MappedFile& file,
                       uint64_t header_bytes, TensorCatalog* catalog) {
  const std::vector<Part> parts = Parts(config, v0);
  uint64_t needed = header_bytes;
  for (const Part& part : parts) needed += part.count * Elements(part) * sizeof(float);
  if (needed != file.size()) {
    return DataLoss(
        "{}: as a llama2.c checkpoint (version {}) of {} layers of width {} it should "
        "have {} bytes, but has {}; it is {}",
        file.path(), v0 ? 0 : 1, config.layers, config.hidden, needed, file.size(),
        file.size() < needed ? "truncated" : "damaged or something else");
  }
  const uint8_t* data = file.data() + header_bytes;
  for (const Part& part : parts) {
    for (uint32_t i = 0; i < part.count; ++i) {
      if (!part.name.empty()) {
        catalog->tensors.emplace(fmt::format(fmt::runtime(part.name), i),
                                 CatalogTensor{.dtype = "F32",
                                               .shape = part.shape,
                                               .data = data,
                                               .rope_head_dim = part.rope_head_dim});
      }
      data += Elements(part) * sizeof(float);
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool LooksLikeLlama2c(const MappedFile& file) {
  if (file.size() < kV0HeaderBytes) return false;
  return LoadLittle<uint32_t>(file.data()) == kMagic || Plausible(LoadSizes(file.data()));
}

absl::StatusOr<Llama2cModel> OpenLlama2c(MappedFile file) {
  const std::string path = file.path();
  if (file.size() < kV0HeaderBytes) {
    return DataLoss("{}: {} bytes are too few for a llama2.c checkpoint; it is truncated", path,
                    file.size());
  }
  const bool v0 = LoadLittle<uint32_t>(file.data()) != kMagic;
  const uint64_t header_bytes = v0 ? kV0HeaderBytes : kV1HeaderBytes;
  if (!v0) {
    const int32_t version = LoadLittle<int32_t>(file.data() + 4);
    if (version != 1) {
      return Unimplemented(
          "{}: llama2.c checkpoint version {} is not implemented; lutdb reads 0 "
          "and 1 (f32)",
          path, version);
    }
    if (file.size() < kV1HeaderBytes) {
      return DataLoss("{}: the header is cut off after {} of {} bytes", path, file.size(),
                      kV1HeaderBytes);
    }
  }
  const Sizes sizes = LoadSizes(file.data() + (v0 ? 0 : 8));
  if (!v0 && sizes.vocabulary < 0) {
    return DataLoss("{}: vocabulary {} must be positive in version 1", path, sizes.vocabulary);
  }
  Llama2cModel model;
  LUTDB_ASSIGN_OR_RETURN(model.config, ToConfig(sizes, path));
  if (v0) {
    model.config.tied_embeddings = sizes.vocabulary > 0;
  } else {
    const uint8_t shared = file.data()[kV1FieldBytes - 1];
    if (shared > 1) {
      return DataLoss("{}: the shared-classifier flag is {}, not 0 or 1", path, shared);
    }
    model.config.tied_embeddings = shared == 1;
  }
  model.catalog.path = path;
  LUTDB_RETURN_IF_ERROR(ReadParts(model.config, v0, file, header_bytes, &model.catalog));
  model.catalog.files.push_back(std::make_unique<MappedFile>(std::move(file)));
  return model;
}

}  // namespace lutdb
