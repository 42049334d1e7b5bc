// A graph made ready to run: every buffer allocated, every parameter loaded, every step bound to
// what it reads and writes. Goals: nothing is looked up, checked or allocated per position; one
// plan serves language models, feed-forward networks and integer-only ones, from tables or from
// source weights. Many positions go through it together beside it (engine/lanes.h). Non-goals:
// fusing or re-ordering ops, since lookups dominate.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/aligned_buffer.h"
#include "engine/attention.h"
#include "engine/input_coder.h"
#include "engine/source_weights.h"
#include "engine/thread_team.h"
#include "query/store_reader.h"
#include "schemas/graph.h"
#include "schemas/thresholds.h"

namespace lutdb {

// One value of the graph. Only the member of its type is allocated.
struct ValueBuffer {
  ValueType type = ValueType::kF32;
  uint32_t width = 0;
  AlignedArray<float> numbers;
  AlignedArray<int32_t> sums;
  AlignedArray<uint16_t> codes;
  uint32_t index = 0;  // a token id, or the answer of argmax
};

// What a table op needs beyond its rows.
struct TableState {
  const TableSpec* spec = nullptr;
  const TableGeometry* geometry = nullptr;
  std::vector<float> step;                // empty in integer-only graphs and in reference mode
  std::vector<float> bias;                // empty: none
  std::unique_ptr<SourceMatrix> weights;  // reference mode
};

// Codes of one value under one coding, made by the first table op that reads them and shared by the
// others (query, key and value; gate and up).
struct CodeSet {
  uint32_t value = 0;
  std::unique_ptr<InputCoder> coder;
  AlignedArray<uint16_t> codes;
  float scale = 0;
  // The tables that read it, in the order of their ops, and room for the sums of all of them, made
  // at once by the first one where the store can (LookUpAdd::SumsTogether). One alone: no room.
  std::vector<uint32_t> tables;
  AlignedArray<int32_t> sums;
  bool summed = false;  // sums are of these codes
};

// Which arithmetic a step does on values of the graph; what integer-only networks promise.
struct Arithmetic {
  bool uses_float = true;
  bool multiplies = true;
};
Arithmetic ArithmeticOf(OpKind kind);

struct Step {
  const Op* op = nullptr;
  Arithmetic arithmetic;
  std::vector<ValueBuffer*> inputs;
  ValueBuffer* output = nullptr;
  TableState* table = nullptr;  // kTable, kTableSums
  CodeSet* codes = nullptr;     // kTable; kInputCodes (the coder alone)
  bool makes_codes = false;     // the first reader of `codes`
  size_t sums_at = 0;           // its sums in codes->sums
  std::vector<float> weight;    // norms and scale-shift
  std::vector<float> shift;
  std::unique_ptr<EmbeddingRows> embedding;
  std::unique_ptr<Attention> attention;
  size_t rope = 0;  // kRope: which of Plan::rope
  Thresholds thresholds;  // kThresholds; kTableSums: the integer bias
};

// Angles of one position, shared by all rope steps with the same frequencies.
struct RopeAngles {
  float theta = 0;
  uint32_t head_dim = 0;
  uint32_t divisors = kNone;  // the tensor that scales the frequencies
  std::vector<double> frequencies;  // head_dim / 2
  std::vector<float> cosine;
  std::vector<float> sine;
};

struct Plan {
  // `store` and `team` outlive the plan. reference: tables are replaced by the kept f32 weights,
  // held in memory when they fit a quarter of it. DataLoss when the store is damaged or
  // inconsistent, FailedPrecondition for the reference of an integer-only network.
  static absl::StatusOr<std::unique_ptr<Plan>> Create(const StoreReader& store, bool reference,
                                                      ThreadTeam* team);

  Graph graph;
  bool reference = false;
  std::vector<ValueBuffer> values;  // one per value of the graph
  std::vector<Step> steps;          // one per op, in order
  // Steps that must run to keep the context when the answer is not wanted (up to the last
  // attention).
  size_t context_steps = 0;
  std::vector<std::unique_ptr<TableState>> tables;  // one per table, in order of id
  std::vector<std::unique_ptr<CodeSet>> code_sets;
  std::vector<RopeAngles> rope;
  AlignedArray<int32_t> acc;  // of the widest table
  CacheBudget cache_budget;
};

}  // namespace lutdb
