#include "engine/sample.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

uint32_t ArgMax(absl::Span<const float> logits) {
  return static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

absl::Status Sampler::Check(const SamplerOptions& options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature)) {
    return InvalidArgument("temperature {} is not a number from 0 up", options.temperature);
  }
  if (!(options.top_p >= 0 && options.top_p <= 1)) {
    return InvalidArgument("top-p {} is not between 0 and 1", options.top_p);
  }
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    return InvalidArgument("min-p {} is not between 0 and 1", options.min_p);
  }
  if (!(options.repetition_penalty > 0) || !std::isfinite(options.repetition_penalty)) {
    return InvalidArgument("repetition penalty {} is not a number above 0",
                           options.repetition_penalty);
  }
  return absl::OkStatus();
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), state_(options.seed) {}

// SplitMix64: one addition of an odd constant, then two rounds of multiply and shift.
float Sampler::Coin() {
  state_ += 0x9E3779B97F4A7C15u;
  uint64_t bits = state_;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  return static_cast<float>(bits >> 40) * 0x1p-24f;
}

void Sampler::See(uint32_t token) {
  if (token >= seen_.size()) seen_.resize(token + 1, false);
  seen_[token] = true;
}

// A logit above zero is divided and one below multiplied, so that both go down.
absl::Span<const float> Sampler::Penalized(absl::Span<const float> logits) {
  if (options_.repetition_penalty == 1) return logits;
  penalized_.assign(logits.begin(), logits.end());
  for (size_t i = 0; i < std::min(seen_.size(), penalized_.size()); ++i) {
    if (!seen_[i]) continue;
    float& logit = penalized_[i];
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
  return penalized_;
}

uint32_t Sampler::Next(absl::Span<const float> given) {
  const absl::Span<const float> logits = Penalized(given);
  const uint32_t largest = ArgMax(logits);
  if (options_.temperature == 0) return largest;
  const size_t count = logits.size();
  scaled_.resize(count);
  shares_.resize(count);
  // The largest is taken off first, so that no temperature, however small, makes an infinity of it.
  for (size_t i = 0; i < count; ++i) {
    scaled_[i] = (logits[i] - logits[largest]) / options_.temperature;
  }
  kernels::Softmax(scaled_.data(), count, shares_.data());
  order_.clear();
  order_.reserve(count);
  // What is too small to be among the most probable ones is not worth sorting.
  const float cutoff =
      options_.top_p < 1 && count > 1 ? (1 - options_.top_p) / static_cast<float>(count - 1) : 0;
  for (size_t i = 0; i < count; ++i) {
    if (shares_[i] >= cutoff) order_.push_back(static_cast<uint32_t>(i));
  }
  std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) {
    return shares_[a] != shares_[b] ? shares_[a] > shares_[b] : a < b;
  });
  if (options_.top_k > 0 && order_.size() > options_.top_k) order_.resize(options_.top_k);
  double reach = options_.top_p;
  if (options_.top_k > 0) {
    double sum = 0;
    for (const uint32_t token : order_) sum += shares_[token];
    reach *= sum;
  }
  double kept = 0;
  size_t keep = 0;
  while (keep < order_.size()) {
    // The first one always stays; the order is descending, so the rest is below min_p as well.
    if (keep > 0 && shares_[order_[keep]] < options_.min_p * shares_[order_[0]]) break;
    kept += shares_[order_[keep++]];
    if (options_.top_p < 1 && kept > reach) break;
  }
  const double point = Coin() * kept;
  double passed = 0;
  for (size_t i = 0; i < keep; ++i) {
    passed += shares_[order_[i]];
    if (point < passed) return order_[i];
  }
  return order_.empty() ? largest : order_[keep - 1];
}

}  // namespace lutdb
