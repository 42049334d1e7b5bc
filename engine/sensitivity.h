// How much the answer of a network suffers when one of its values is coded coarsely.
//
// Coding errors of a value are close to noise, spread evenly over its elements. So noise of a known
// size is added to one value at a time, and what that does to the answer is measured. To second
// order both the answer's loss and the coding error grow with the square of the noise, so that
// sensitivity times squared relative error says what a coding of that value costs, in units that
// can be added up and compared between values.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/forward.h"
#include "lutdb/options.h"

namespace lutdb {

// What a network is run on: feed(i) runs it on the i-th of `count` positions or rows, in order;
// feed(0) begins anew.
struct ProbeData {
  size_t count = 0;
  std::function<absl::Status(size_t i)> feed;
};

// Per value, the change of the answer per squared relative noise: of language models the mean
// Kullback-Leibler divergence of the next token's probabilities (nats), of others the squared
// change of the output over its square. The same on every run. values: of forward's plan, read by
// tables. forward: in reference mode, given back undisturbed. Errors are those of feed.
absl::StatusOr<std::vector<double>> MeasureSensitivity(
    const std::vector<const ValueBuffer*>& values, const ProbeData& data,
    const ProgressFn& progress, Forward* forward);

}  // namespace lutdb
