// How far answers are from targets, summed in double and in the order given.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace lutdb {

// ln of the sum of e^x; numbers is not empty.
double LogSumExp(absl::Span<const float> numbers);

// -ln of the share that softmax gives to `target`. logits is not empty.
double NegativeLogShare(absl::Span<const float> logits, size_t target);

// Squared errors of real values, and how much of their variance the answers explain.
class SquaredErrors {
 public:
  explicit SquaredErrors(uint32_t width) : mean_(width), spread_(width) {}

  // One row: an answer and its target, `width` numbers each.
  void Add(absl::Span<const float> answer, absl::Span<const float> target);

  uint64_t rows() const { return rows_; }
  double mean() const;  // over rows and values; 0 without rows
  // 1 - sum of squared errors / sum of squared deviations of the targets from their means (one
  // per output). Undefined, and then false, when the targets are all alike.
  bool HasR2() const;
  double r2() const;

 private:
  double Deviations() const;

  uint64_t rows_ = 0;
  double errors_ = 0;
  std::vector<double> mean_, spread_;  // of the targets so far (Welford 1962)
};

}  // namespace lutdb
