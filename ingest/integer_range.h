// Where the values of an integer-only network lie, estimated from its weights alone.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"

namespace lutdb {

struct IntegerStage;

// Of one value: what it can reach, and the mean and variance it would have under the assumptions of
// integer_only.h.
struct ValueRange {
  double low = 0;
  double high = 0;
  double mean = 0;
  double variance = 0;
};

ValueRange UniformRange(double low, double high);

// Sets the table's fixed scale and per-input scales so that each input's levels cover its range.
// FailedPrecondition when the table's own scales in the graph file contradict.
absl::Status FixInputScales(const std::vector<ValueRange>& inputs, PlannedTable* table);

// Ranges of a stage's outputs: its linear layer, then what is folded.
std::vector<ValueRange> OutputRanges(const SourceTensor& weights, const IntegerStage& stage,
                                     const std::vector<ValueRange>& inputs);

}  // namespace lutdb
