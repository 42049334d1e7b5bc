// Where the values of an integer-only network lie, estimated from its weights alone.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"

namespace lutdb {

struct IntegerStage;

// Where a value lies: its range, and how far from `origin` it typically is. The origin is zero, or
// the end of the range nearest to it: what an idle input or hidden unit has.
struct ValueRange {
  double low = 0;
  double high = 0;
  double origin = 0;
  double rms = 0;  // about the origin
};

ValueRange UniformRange(double low, double high);

// Fixes the scales of the network's inputs: one for all whose levels are alike.
absl::Status FixInputScales(const std::vector<ValueRange>& inputs, PlannedTable* table);

// Fixes the scales of hidden inputs, each with all levels spread over its own range. Returns what
// is subtracted from each value before it is coded, which the biases of `table` must make good: a
// level then stands for exactly zero where zero is inside the range.
std::vector<float> FixHiddenScales(const std::vector<ValueRange>& inputs, PlannedTable* table);

// Ranges of the values after a stage's folded ops. weights: neurons x inputs.
std::vector<ValueRange> OutputRanges(const SourceTensor& weights, const IntegerStage& stage,
                                     const std::vector<ValueRange>& inputs);

}  // namespace lutdb
