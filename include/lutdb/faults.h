// What a model is worth in a memory with bad cells, such as a ROM that holds its tables.
//
//   lutdb::FaultStudyOptions options{.kind = lutdb::FaultKind::kDead, .shares = {0, 0.01, 0.1}};
//   auto points = lutdb::StudyFaults(**model, evaluate, options);
//
// A cell is one stored entry: of a mirrored table the one that two opposite codes share, otherwise
// one per neuron, chunk and code, the code of level zero included. Cells fail on their own, each
// with the probability `share`, decided by a hash of the seed and the cell's place: so a store is
// never written to, the same cells are bad for any number of threads, and a larger share of the
// same seed damages all that a smaller one does, and more. Rejected: commits of millions of edits,
// which would cost minutes and disk for each point of a curve.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lutdb/eval.h"
#include "lutdb/model.h"

namespace lutdb {

enum class FaultKind : uint8_t {
  kDead = 1,     // the entry reads as 0
  kFlipped = 2,  // one of its bits (8 or 16, two's complement), chosen at random, is inverted
};
const char* Name(FaultKind kind);  // "dead", "flipped"

struct FaultOptions {
  FaultKind kind = FaultKind::kDead;
  double share = 0;  // 0 .. 1
  uint64_t seed = 0;
  std::vector<std::string> tables{};  // by name; empty: all
};

struct FaultStudyOptions {
  FaultKind kind = FaultKind::kDead;
  std::vector<double> shares{};  // in any order; each is measured for seeds 0 .. seeds-1
  uint32_t seeds = 3;
  std::vector<std::string> tables{};
};

// One measurement. A share of 0 is measured once, since every seed damages nothing.
struct FaultPoint {
  double share = 0;
  uint64_t seed = 0;
  EvalReport report;
};

// How good the model is; called once per point, with the model damaged.
using EvaluateFn = std::function<absl::StatusOr<EvalReport>(Model&)>;

// In the order of the shares, then of the seeds. All points are of one commit. The model is whole
// again afterwards, also after an error. Errors of Model::SetFaults and of `evaluate`;
// InvalidArgument without shares or seeds.
absl::StatusOr<std::vector<FaultPoint>> StudyFaults(Model& model, const EvaluateFn& evaluate,
                                                    const FaultStudyOptions& options);

}  // namespace lutdb
