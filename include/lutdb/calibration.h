// Levels from data: what the tables of a model see when it runs, to be handed to BuildOptions.
//
// The library observes and fits in two steps, so that building never has to run a model: first
// ObserveTables runs a store of the model (any build of it will do: its kept f32 weights are used)
// over representative inputs; then BuildStore or PlanBuild takes the samples.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lutdb/options.h"

namespace lutdb {

// Input vectors of tables that read the same value (query, key and value, for instance), in the
// order of the data.
struct TableSample {
  std::vector<std::string> tables;
  uint32_t inputs = 0;
  std::vector<float> rows;  // a whole number of vectors of `inputs` finite numbers
  // What the network's answer loses per squared relative error of these vectors: for language
  // models in nats of Kullback-Leibler divergence, else the squared relative change of the output.
  // 1: not measured. Decides which tables get more of a budget.
  double sensitivity = 1;
};

struct ObserveOptions {
  uint64_t bytes_max = 0;  // of all samples; every k-th vector is kept; 0: a quarter of memory
  unsigned threads = 0;    // 0: all cores
  // Measure TableSample::sensitivity, on the first tokens or rows: up to 1,024, but no more than
  // take about 2^41 multiplications in all, once per sample.
  bool sensitivity = false;
  ProgressFn progress;
  const std::atomic<bool>* cancel = nullptr;
};

// Runs the kept weights of `store` over the data in `path`. Language models: .i32 token ids, or any
// other file as text; in windows of 256 tokens or the context, the cache emptied between them.
// Other networks: .npy rows, .csv rows (numbers only, a first line of names is passed over, one
// number per input), or idx images (pixel / 255). InvalidArgument for data of the wrong kind or
// width, DataLoss for data that is empty, damaged or not finite, OutOfRange for tokens beyond the
// vocabulary.
absl::StatusOr<std::vector<TableSample>> ObserveTables(const std::string& store,
                                                       const std::string& path,
                                                       const ObserveOptions& options);

}  // namespace lutdb
