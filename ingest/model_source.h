// A model file, whatever its format, as the builder sees it: mapped tensors and one graph.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "ingest/gguf_blocks.h"
#include "schemas/graph.h"
#include "schemas/table_spec.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// A matrix (or vector: rows = 1) in a mapped file. Rows may be re-ordered on the way: llama2.c and
// the Llamas of GGUF keep query and key rows interleaved, Hugging Face in halves of each head.
// Packed rows are unpacked as they are asked for; to everyone else such a tensor is one of f32.
struct SourceTensor {
  std::string name;  // Hugging Face name, ".weight" dropped
  DType dtype = DType::kF32;
  uint64_t rows = 0;
  uint64_t cols = 0;
  // Row-major, may be unaligned, rows x source_row_bytes(). Null: all elements are zero.
  const uint8_t* data = nullptr;
  uint32_t rope_head_dim = 0;  // not 0: row r of a head reads source row 2 * (r % half) + r / half

  const GgufType* packed = nullptr;  // not null: rows are its blocks, and dtype is kF32

  uint64_t SourceRow(uint64_t row) const;
  // Elements [col_begin, col_begin + count) of a row as f32.
  void ReadRow(uint64_t row, uint64_t col_begin, uint64_t count, float* out) const;
  // Copies the row as it is kept: cols elements of dtype. to may be unaligned.
  void CopyRow(uint64_t row, void* to) const;
  uint64_t row_bytes() const { return cols * DTypeBytes(dtype); }
  // Bytes of a row in the file.
  uint64_t source_row_bytes() const {
    return packed == nullptr ? row_bytes() : cols / packed->elements * packed->bytes;
  }
  uint64_t bytes() const { return rows * cols * DTypeBytes(dtype); }
};

// A table the graph asks for. Fields of `coding` that the model does not decide are left to the
// build options; the flags say which ones the model's graph file decided.
struct SourceTable {
  TableSpec spec;  // id, name, inputs, neurons, tensors; coding where the graph file gives it
  bool coding_given = false;        // chunk / chunks / levels come from the graph file
  std::vector<float> input_scales;  // empty: all 1. Weight i is multiplied by it, input i divided
  float learned_range = 0;          // without weights: what entries are to cover, as output
};

struct ModelSource {
  std::string format;                              // "safetensors", "llama2.c", "gguf"
  std::string name;                                // base name
  std::vector<std::unique_ptr<MappedFile>> files;  // keep tensor data alive
  // Vectors made while lowering (a folded batch norm); their SourceTensors point here.
  std::vector<std::unique_ptr<std::vector<float>>> derived;
  std::vector<SourceTensor> tensors;  // index = TensorSpec::id
  std::vector<SourceTable> tables;    // index = TableSpec::id
  Graph graph;
  TokenizerSpec tokenizer;  // kind kAbsent when there is none
};

struct ModelSourceOptions {
  std::string graph_file;      // feed-forward networks
  std::string tokenizer_file;  // overrides what lies beside the model
};

// Detects the format from the content, not the name: a directory with config.json, a .safetensors
// file (with config.json beside it, or with a graph file), a GGUF file, a llama2.c checkpoint v0 or
// v1.
// NotFound, DataLoss (truncated, overlapping, out of range, absurd shape), Unimplemented
// (architecture, op, dtype; the message names what is supported).
absl::StatusOr<ModelSource> OpenModelSource(const std::string& path,
                                            const ModelSourceOptions& options);

}  // namespace lutdb
