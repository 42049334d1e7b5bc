// GGUF files made by tests.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "tests/ingest/model_files.h"

namespace lutdb {

struct GgufTestTensor {
  std::string name;
  std::vector<uint64_t> dimensions;  // as the file has them: the row's length first
  uint32_t type = 0;
  std::string bytes;
};

class GgufWriter {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the data; written only where `Unsigned` says so
  std::vector<GgufTestTensor> tensors;

  static std::string Text(const std::string& text) {
    std::string bytes;
    AppendLittle<uint64_t>(text.size(), &bytes);
    return bytes + text;
  }
  // One pair; value: its bytes.
  void Pair(const std::string& key, uint32_t type, const std::string& value) {
    pairs_ += Text(key);
    AppendLittle<uint32_t>(type, &pairs_);
    pairs_ += value;
    ++count_;
  }
  void String(const std::string& key, const std::string& value) { Pair(key, 8, Text(value)); }
  void Unsigned(const std::string& key, uint32_t value) {
    std::string bytes;
    AppendLittle<uint32_t>(value, &bytes);
    Pair(key, 4, bytes);
  }
  void Float(const std::string& key, float value) {
    std::string bytes;
    AppendLittle<float>(value, &bytes);
    Pair(key, 6, bytes);
  }
  void Array(const std::string& key, uint32_t type, uint64_t count, const std::string& elements) {
    std::string bytes;
    AppendLittle<uint32_t>(type, &bytes);
    AppendLittle<uint64_t>(count, &bytes);
    Pair(key, 9, bytes + elements);
  }

  std::string Bytes() const {
    std::string file = "GGUF", data;
    AppendLittle<uint32_t>(version, &file);
    AppendLittle<uint64_t>(tensors.size(), &file);
    AppendLittle<uint64_t>(count_, &file);
    file += pairs_;
    for (const GgufTestTensor& tensor : tensors) {
      file += Text(tensor.name);
      AppendLittle<uint32_t>(static_cast<uint32_t>(tensor.dimensions.size()), &file);
      for (const uint64_t size : tensor.dimensions) AppendLittle<uint64_t>(size, &file);
      AppendLittle<uint32_t>(tensor.type, &file);
      AppendLittle<uint64_t>(data.size(), &file);
      data += tensor.bytes;
      data.resize((data.size() + alignment - 1) / alignment * alignment);
    }
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }

 private:
  std::string pairs_;
  uint64_t count_ = 0;
};

// The names that GGUF files give a Hugging Face name's tensor.
inline std::string GgufName(std::string name) {
  const std::pair<const char*, const char*> parts[] = {
      {"model.layers.", "blk."},
      {"input_layernorm", "attn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"},
      {"self_attn.qkv_proj", "attn_qkv"},
      {"mlp.gate_up_proj", "ffn_up"},
  };
  for (const auto& [from, to] : parts) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, std::strlen(from), to);
  }
  return name;
}

// Rows of heads as Llama's GGUF files have them: pair i of a head at 2 i and 2 i + 1.
inline std::string Interleaved(const TestTensor& tensor, uint64_t head_dim) {
  const uint64_t row_bytes = tensor.shape[1] * sizeof(float);
  std::string bytes(tensor.bytes.size(), '\0');
  for (uint64_t row = 0; row < tensor.shape[0]; ++row) {
    const uint64_t within = row % head_dim, half = head_dim / 2;
    const uint64_t to = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
    bytes.replace(to * row_bytes, row_bytes, tensor.bytes, row * row_bytes, row_bytes);
  }
  return bytes;
}

}  // namespace lutdb
