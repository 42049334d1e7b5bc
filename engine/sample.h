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
  float temperature = 0;         // 0: greedy
  uint32_t top_k = 0;            // only the k most probable tokens; 0: all
  float top_p = 1;               // of these the fewest whose shares reach this part of their sum
  float min_p = 0;               // of these the ones with at least this part of the largest share
  float repetition_penalty = 1;  // divides (below zero: multiplies) logits of tokens seen; 1: none
  uint64_t seed = 0;
};

// Not thread-safe. Allocates nothing after the first token.
class Sampler {
 public:
  // InvalidArgument for a negative temperature, a top_p or min_p outside 0..1, or a repetition
  // penalty that is not above 0.
  static absl::Status Check(const SamplerOptions& options);
  explicit Sampler(const SamplerOptions& options);

  // A token of the context, prompt or generated: repetition is punished from now on.
  void See(uint32_t token);
  uint32_t Next(absl::Span<const float> logits);

 private:
  absl::Span<const float> Penalized(absl::Span<const float> logits);
  float Coin();  // uniform in [0, 1), 24 bits

  SamplerOptions options_;
  uint64_t state_;
  std::vector<bool> seen_;  // by token; grows to the largest
  std::vector<float> penalized_;
  std::vector<float> scaled_;
  std::vector<float> shares_;
  std::vector<uint32_t> order_;
};

}  // namespace lutdb
