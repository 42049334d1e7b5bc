// Valid manifests, graphs and tokenizers, made at random from a seed.
#pragma once

#include <random>
#include <string>

#include "schemas/graph.h"
#include "schemas/manifest.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

class RandomSpecs {
 public:
  explicit RandomSpecs(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  Hash128 Hash() { return {.low = random_(), .high = random_()}; }
  std::string Name(const char* stem, size_t i) { return stem + std::to_string(i); }

  GridLevels Levels(uint32_t bits_max) {
    return {.grid = Below(2) == 0 ? Grid::kSigned : Grid::kUnsigned,
            .bits = static_cast<uint8_t>(1 + Below(bits_max))};
  }

  TableSpec Table(uint32_t id, uint32_t inputs, uint32_t neurons) {
    TableSpec table;
    table.id = id;
    table.name = Name("model.layers.", id);
    table.inputs = inputs;
    table.neurons = neurons;
    table.entry = Below(2) == 0 ? EntryType::kI8 : EntryType::kI16;
    table.layout = Below(2) == 0 ? Layout::kTile : Layout::kRow;
    table.codec = static_cast<Codec>(Below(4));
    table.mirror = Below(2) == 0;
    table.chunk = 1 + Below(3);
    table.levels = Levels(16 / table.chunk);
    if (Below(3) == 0) {
      for (uint32_t i = 0; i < inputs; ++i) {
        ChunkSpec chunk{.inputs = {i}, .levels = {Levels(8)}};
        if (Below(2) == 0) {  // overlapping
          chunk.inputs.push_back(Below(inputs));
          chunk.levels.push_back(Levels(8));
        }
        table.chunks.push_back(chunk);
      }
    }
    table.fixed_scale = Below(2) == 0 ? 0.0f : 0.25f;
    table.shared_step = Below(2) == 0;
    return table;
  }

  uint32_t AddTensor(Manifest* manifest, uint64_t rows, uint64_t cols) {
    TensorSpec tensor;
    tensor.id = static_cast<uint32_t>(manifest->tensors.size());
    tensor.name = Name("tensor.", tensor.id);
    tensor.dtype = static_cast<DType>(1 + Below(3));
    tensor.rows = rows;
    tensor.cols = cols;
    tensor.rows_per_record = 1 + Below(100);
    manifest->tensors.push_back(tensor);
    manifest->tensor_stored_bytes.push_back(random_());
    return tensor.id;
  }

  uint32_t AddTable(Manifest* manifest, uint32_t inputs, uint32_t neurons) {
    const auto id = static_cast<uint32_t>(manifest->tables.size());
    TableSpec table = Table(id, inputs, neurons);
    if (Below(4) != 0) table.weight_tensor = AddTensor(manifest, neurons, inputs);
    if (Below(2) == 0) table.bias_tensor = AddTensor(manifest, 1, neurons);
    manifest->tables.push_back(table);
    manifest->stats.push_back({random_(), random_(), random_(), random_()});
    return id;
  }

  Manifest EmptyManifest() {
    Manifest manifest;
    manifest.generation = 1 + Below(5);
    manifest.source_format = "safetensors";
    manifest.source_name = Name("model", Below(100));
    manifest.integer_only = Below(2) == 0;
    manifest.content_hash = Hash();
    manifest.graph_hash = Hash();
    manifest.plan_hash = Hash();
    manifest.ranges = random_();
    manifest.ranges_resumed = random_();
    return manifest;
  }

  // A language model of `layers` Llama-like blocks; its tables and tensors go to the manifest.
  Graph LanguageModel(Manifest* manifest, uint32_t layers) {
    Graph graph;
    graph.architecture = "LlamaForCausalLM";
    graph.vocabulary = 3 + Below(40);
    graph.context = 1 + Below(512);
    graph.bos = Below(2) == 0 ? kNone : Below(graph.vocabulary);
    for (uint32_t i = Below(3); i > 0; --i) graph.eos.push_back(Below(graph.vocabulary));
    const uint32_t kv_heads = 1 + Below(3), heads = kv_heads * (1 + Below(3));
    const uint32_t head_dim = 2 + 2 * Below(4), width = heads * head_dim;
    graph.input = AddValue(&graph, ValueType::kToken, 1);
    uint32_t x = AddOp(&graph,
                       {.kind = OpKind::kEmbedding,
                        .name = {},
                        .inputs = {graph.input},
                        .tensor = AddTensor(manifest, graph.vocabulary, width)},
                       width);
    for (uint32_t layer = 0; layer < layers; ++layer) {
      const uint32_t norm = Norm(&graph, manifest, x, width);
      const auto rope = [&](uint32_t value, uint32_t count) {
        return AddOp(&graph,
                     {.kind = OpKind::kRope,
                      .name = {},
                      .inputs = {value},
                      .theta = 10000,
                      .heads = count,
                      .head_dim = head_dim},
                     count * head_dim);
      };
      const uint32_t q = rope(Linear(&graph, manifest, norm, width), heads);
      const uint32_t k = rope(Linear(&graph, manifest, norm, kv_heads * head_dim), kv_heads);
      const uint32_t v = Linear(&graph, manifest, norm, kv_heads * head_dim);
      const uint32_t attended = AddOp(&graph,
                                      {.kind = OpKind::kAttention,
                                       .name = {},
                                       .inputs = {q, k, v},
                                       .heads = heads,
                                       .kv_heads = kv_heads,
                                       .head_dim = head_dim,
                                       .window = Below(2) * 8},
                                      width);
      x = AddOp(&graph, {.kind = OpKind::kAdd, .name = {}, .inputs = {x, attended}}, width);
      const uint32_t gate = Linear(&graph, manifest, x, 2 * width);
      const uint32_t silu = AddOp(&graph,
                                  {.kind = OpKind::kActivation,
                                   .name = {},
                                   .inputs = {gate},
                                   .activation = Activation::kSilu},
                                  2 * width);
      const uint32_t up =
          AddOp(&graph, {.kind = OpKind::kMultiply, .name = {}, .inputs = {silu, gate}}, 2 * width);
      x = Linear(&graph, manifest, up, width);
    }
    graph.output = Linear(&graph, manifest, x, graph.vocabulary);
    return graph;
  }

  TokenizerSpec Tokenizer() {
    TokenizerSpec spec;
    spec.kind = TokenizerKind::kScoreBpe;
    for (uint32_t i = 1 + Below(50); i > 0; --i) {
      std::string token(Below(6), '\0');
      for (char& byte : token) byte = static_cast<char>(random_());
      spec.tokens.push_back(token);
      spec.scores.push_back(static_cast<float>(Below(1000)) - 500.5f);
    }
    const auto size = static_cast<uint32_t>(spec.tokens.size());
    spec.bos = Below(size);
    spec.eos = Below(size);
    spec.unknown = Below(2) == 0 ? kNone : Below(size);
    spec.add_bos = Below(2) == 0;
    spec.add_space_prefix = Below(2) == 0;
    return spec;
  }

 private:
  uint32_t AddValue(Graph* graph, ValueType type, uint32_t width) {
    graph->values.push_back(
        {.name = Name("value.", graph->values.size()), .type = type, .width = width});
    return static_cast<uint32_t>(graph->values.size() - 1);
  }
  uint32_t AddOp(Graph* graph, Op op, uint32_t width) {
    op.name = Name("op.", graph->ops.size());
    op.output = AddValue(graph, ValueType::kF32, width);
    graph->ops.push_back(op);
    return op.output;
  }
  uint32_t Linear(Graph* graph, Manifest* manifest, uint32_t x, uint32_t neurons) {
    const uint32_t table = AddTable(manifest, graph->values[x].width, neurons);
    return AddOp(graph, {.kind = OpKind::kTable, .name = {}, .inputs = {x}, .table = table},
                 neurons);
  }
  uint32_t Norm(Graph* graph, Manifest* manifest, uint32_t x, uint32_t width) {
    Op op{.kind = Below(2) == 0 ? OpKind::kRmsNorm : OpKind::kLayerNorm, .name = {}, .inputs = {x}};
    op.epsilon = 1e-5f;
    op.tensor = AddTensor(manifest, 1, width);
    if (op.kind == OpKind::kLayerNorm) op.tensor_b = AddTensor(manifest, 1, width);
    return AddOp(graph, op, width);
  }

  std::mt19937_64 random_;
};

}  // namespace lutdb
