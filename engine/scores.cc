#include "engine/scores.h"

#include <algorithm>
#include <cmath>

namespace lutdb {

double LogSumExp(absl::Span<const float> numbers) {
  const double largest = *std::max_element(numbers.begin(), numbers.end());
  double sum = 0;
  for (const float x : numbers) sum += std::exp(double{x} - largest);
  return largest + std::log(sum);
}

double NegativeLogShare(absl::Span<const float> logits, size_t target) {
  return LogSumExp(logits) - double{logits[target]};
}

void SquaredErrors::Add(absl::Span<const float> answer, absl::Span<const float> target) {
  ++rows_;
  for (size_t i = 0; i < mean_.size(); ++i) {
    const double error = double{answer[i]} - double{target[i]};
    errors_ += error * error;
    const double off = double{target[i]} - mean_[i];
    mean_[i] += off / static_cast<double>(rows_);
    spread_[i] += off * (double{target[i]} - mean_[i]);
  }
}

double SquaredErrors::mean() const {
  return rows_ == 0 ? 0
                    : errors_ / (static_cast<double>(rows_) * static_cast<double>(mean_.size()));
}

double SquaredErrors::Deviations() const {
  double sum = 0;
  for (const double spread : spread_) sum += spread;
  return sum;
}

bool SquaredErrors::HasR2() const { return Deviations() > 0; }
double SquaredErrors::r2() const { return 1 - errors_ / Deviations(); }

}  // namespace lutdb
