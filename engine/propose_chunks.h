// Which pairs of inputs are worth a joint table: how much of a target the two explain together that
// the sum of a function of each does not.
//
// For each pair, the inputs are cut at their quantiles into a few bins, an additive model (one
// value per bin of either, fitted by least squares through backfitting) is subtracted from the
// target, and the variance of what is left is compared with the variance within the cells of the
// grid (two-way analysis of variance). With few rows per cell, chance alone explains something: of
// (R-1)(C-1) free cell means of pure noise that share is expected, and it is taken off. Rejected:
// training every pair. Screening costs a pass over the rows per pair, and only the order matters;
// `tune` decides on validation data.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/dataset.h"

namespace lutdb {

struct ProposedPair {
  uint32_t first = 0, second = 0;  // inputs, first < second
  // Share of the target's variance (of the class indicators' summed variance) that the pair
  // explains beyond both inputs by themselves, less what chance explains; may be below zero.
  double gain = 0;
};

struct ProposeOptions {
  uint32_t bins = 12;              // per input, 2 .. 64; fewer where rows or values are few
  uint32_t pairs_max = 16;         // how many to return
  std::vector<uint32_t> inputs{};  // only pairs of these; empty: all
};

// The pairs of greatest gain among `rows` of the data, best first (ties: by number). Targets are
// real values, or classes by the indicators of each. `targets` replaces them where it is not empty
// (what a network leaves unexplained): one number per row of `rows`. InvalidArgument for bins out
// of bounds, an input that is not there, targets of another length, or fewer than 16 rows;
// ResourceExhausted for more than 8,388,608 pairs.
absl::StatusOr<std::vector<ProposedPair>> ProposePairs(const Dataset& data,
                                                       absl::Span<const uint32_t> rows,
                                                       absl::Span<const float> targets,
                                                       const ProposeOptions& options);

}  // namespace lutdb
