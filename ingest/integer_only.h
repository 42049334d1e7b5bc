// Integer-only networks: scales, biases, normalisations and activation functions folded into
// constants that sums are compared with, so that between input codes and the answer no float and no
// multiplication is left (docs/format.md, "Thresholds").
//
// Two steps, because steps of neurons are known only after a pass over the weights: PlanIntegerOnly
// rewrites the graph and fixes the input scales of every table; MakeThresholds makes the constants.
//
// Without calibration data, the range of a hidden value follows from its weights: a few times the
// root mean square that its sum would have if inputs were independent, within what its weights can
// reach at all. Values outside saturate. Levels are spread over each value's own range, which need
// not have zero in its middle: the offset goes into the next table's biases. Rejected: the
// reachable range alone, which wastes most levels on sums that never occur; the deviation about the
// mean of uniform inputs, which is too narrow from the second hidden layer on (0.65 instead of 0.92
// accuracy seen).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"
#include "schemas/graph.h"
#include "schemas/thresholds.h"

namespace lutdb {

// An f32 op between two tables, to be folded. scale and shift: per neuron, of a kScaleShift.
struct FoldedOp {
  OpKind kind = OpKind::kActivation;
  Activation activation = Activation::kIdentity;
  float alpha = 0;
  std::vector<float> scale;
  std::vector<float> shift;
};

// What becomes of the sums of one table.
struct IntegerStage {
  uint32_t table = 0;
  uint32_t next_table = kNone;   // kNone: the last one, whose largest sum is the answer
  std::vector<FoldedOp> folded;  // between this table and the next
  std::vector<float> bias;       // per neuron, with what offsets before it take; empty: none
  std::vector<float> offsets;    // subtracted from the folded values before they are coded
  uint32_t op = 0;               // index in the graph of the kThresholds, or the last kTableSums
};

struct IntegerPlan {
  Graph graph;
  std::vector<IntegerStage> stages;
};

// Rewrites a feed-forward chain of linear layers, scale-shifts and activation functions, with an
// optional softmax at its end; tables that start without weights keep the scales of the graph file,
// so that entries trained without --integer-only fit as they are. tables: changed (fixed scales,
// per-input scales, one step for the last table). Unimplemented names an op that cannot be folded;
// FailedPrecondition when the graph does not say the range of its input.
absl::StatusOr<IntegerPlan> PlanIntegerOnly(const ModelSource& model,
                                            std::vector<PlannedTable>* tables);

// Constants of one stage. steps: of the stage's table, per neuron. The last stage's are its integer
// biases, and has no constants (empty `bias`) when there are none.
absl::StatusOr<Thresholds> MakeThresholds(const IntegerStage& stage,
                                          const std::vector<PlannedTable>& tables,
                                          absl::Span<const float> steps);

}  // namespace lutdb
