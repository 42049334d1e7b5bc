// Least squares for the entries of one table: which corrections make its sums come closest to given
// outputs, over many rows of codes.
//
// Per neuron n, minimises over the corrections d (one per code of every chunk)
//   sum over rows r of (s_r sum_c d[c][code_rc] - target_rn)^2
//     + mean(s^2) (near sum d^2 + smooth sum (d[code] - d[next code])^2)
// by conjugate gradients, preconditioned by the diagonal, all neurons at once. The matrix is never
// made: it is applied by looking up and adding, and by its opposite. Rejected: normal equations,
// whose size is the square of the number of codes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/thread_team.h"
#include "engine/tune_network.h"

namespace lutdb {

struct FitRows {
  size_t rows = 0;
  const uint16_t* codes = nullptr;  // rows x chunks
  const float* scales = nullptr;    // rows
};

struct FitOptions {
  double near = 1;    // in rows
  double smooth = 0;  // in rows
  uint32_t iterations = 30;
  bool weights_only = false;  // corrections are a number per input times its level
};

// Corrections, chunk rows x neurons. The same for any number of threads.
class TuneFit {
 public:
  // table: shape and levels; entries are not used. All outlive it.
  TuneFit(const TuneTable& table, const FitRows& rows, ThreadTeam& team);

  // targets: rows x neurons. corrections: table rows x neurons; where the search begins, and its
  // result. Allocates a few times their size.
  absl::Status Solve(const std::vector<float>& targets, uint32_t neurons, const FitOptions& options,
                     std::vector<float>* corrections);

  // out[r][n] = s_r sum_c entries[c][code_rc][n], for rows x neurons.
  static absl::Status Apply(const TuneTable& table, const FitRows& rows,
                            const std::vector<float>& entries, uint32_t neurons, ThreadTeam& team,
                            std::vector<float>* out);

 private:
  // out = (A^T A + penalties) x, or A^T of per-row numbers in row_sums_.
  absl::Status Normal(const std::vector<float>& x, const FitOptions& options,
                      std::vector<float>* out);
  absl::Status Gather(const std::vector<float>& row_numbers, std::vector<float>* out);
  void AddPenalties(const std::vector<float>& x, const FitOptions& options,
                    std::vector<float>* out) const;
  // Replaces the numbers of a chunk's codes by their part along the levels of its inputs.
  void KeepSlopes(std::vector<float>* x) const;
  void SetDiagonal(const FitOptions& options);

  const TuneTable& table_;
  const FitRows rows_;
  ThreadTeam& team_;
  uint32_t neurons_ = 0;
  double square_scale_ = 1;         // mean of s^2
  std::vector<float> weight_;       // per table row: sum of s^2 over its look-ups
  std::vector<float> inverse_;      // of the diagonal
  std::vector<float> row_numbers_;  // rows x neurons
};

}  // namespace lutdb
