// Choosing the next token from logits. The same seed gives the same tokens on every machine: own
// generator, own exp, sums in a fixed order.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace lutdb {

// Index of the largest; the lowest one among equals. logits is not empty and holds no NaN.
uint32_t ArgMax(absl::Span<const float> logits);

struct SamplerOptions {
  float temperature = 0;  // 0: greedy
  float top_p = 1;        // the smallest set of most probable tokens whose shares reach this
  uint64_t seed = 0;
};

// Not thread-safe. Allocates nothing after the first token.
class Sampler {
 public:
  // InvalidArgument for a negative temperature or a top_p outside 0..1.
  static absl::Status Check(const SamplerOptions& options);
  explicit Sampler(const SamplerOptions& options);

  uint32_t Next(absl::Span<const float> logits);

 private:
  float Coin();  // uniform in [0, 1), 24 bits

  SamplerOptions options_;
  uint64_t state_;
  std::vector<float> scaled_;
  std::vector<float> shares_;
  std::vector<uint32_t> order_;
};

}  // namespace lutdb
