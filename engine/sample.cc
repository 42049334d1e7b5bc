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

uint32_t Sampler::Next(absl::Span<const float> logits) {
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
  double kept = 0;
  size_t keep = 0;
  while (keep < order_.size()) {
    kept += shares_[order_[keep++]];
    if (options_.top_p < 1 && kept > options_.top_p) break;
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
