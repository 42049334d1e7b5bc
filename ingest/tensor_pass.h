// The first pass over a model's weights: steps of every neuron of every table, and the hashes that
// tell models apart. Every tensor is read once, in parallel, and never loaded whole.
#pragma once

#include <atomic>
#include <vector>

#include "absl/status/statusor.h"
#include "ingest/model_source.h"
#include "ingest/progress_meter.h"
#include "ingest/store_layout.h"

namespace lutdb {

struct TensorPass {
  std::vector<std::vector<float>> steps;  // per table, per neuron
  std::vector<Hash128> contents;  // per tensor: its bytes, in the order of rows it is read in
  std::vector<Hash128> values;    // per tensor: its elements as f32
};

// DataLoss for a NaN or infinite weight, naming tensor, row and column. Every weight of a table is
// scaled by its input scale first. progress (may be null) counts bytes of weights.
absl::StatusOr<TensorPass> PassOverTensors(const ModelSource& source,
                                           const std::vector<PlannedTable>& tables,
                                           unsigned threads, const std::atomic<bool>* cancel,
                                           ProgressMeter* progress);

// Of the neurons [begin, end) of one table, as the pass finds them. With shared_step, those of the
// single neurons, 0 for a neuron of zeros: ShareSteps makes them one.
absl::Status StepsOfRows(const SourceTensor& tensor, const PlannedTable& table, uint64_t begin,
                         uint64_t end, float* steps);
// Makes the steps of a table with shared_step one: the largest.
void ShareSteps(const PlannedTable& table, std::vector<float>* steps);

}  // namespace lutdb
