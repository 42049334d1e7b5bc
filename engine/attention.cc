#include "engine/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/kernels/kernels.h"

namespace lutdb {

Attention::Attention(const Op& op, uint32_t context, CacheBudget* budget, ThreadTeam* team)
    : heads_(op.heads),
      kv_heads_(op.kv_heads),
      head_dim_(op.head_dim),
      kv_width_(op.kv_heads * op.head_dim),
      slots_(op.window == 0 ? context : std::min(op.window, context)),
      scale_(1.0f / std::sqrt(static_cast<float>(op.head_dim))),
      budget_(budget),
      team_(team) {}

float* Attention::KeyAt(uint32_t slot, size_t kv_head) const {
  return segments_[slot / kSegmentPositions].get() +
         (2 * kv_head * kSegmentPositions + slot % kSegmentPositions) * head_dim_;
}

float* Attention::ValueAt(uint32_t slot, size_t kv_head) const {
  return KeyAt(slot, kv_head) + size_t{kSegmentPositions} * head_dim_;
}

// body(slot, count) for runs of positions whose keys lie one after the other, oldest first.
template <typename Body>
void Attention::ForEachRun(uint32_t position, const Body& body) const {
  uint32_t at = position + 1 > slots_ ? position + 1 - slots_ : 0;
  while (at <= position) {
    const uint32_t slot = Slot(at);
    const uint32_t whole = std::min(kSegmentPositions - slot % kSegmentPositions, slots_ - slot);
    const uint32_t count = std::min(whole, position + 1 - at);
    body(slot, count);
    at += count;
  }
}

absl::Status Attention::Reserve(uint32_t position) {
  const size_t segment = Slot(position) / kSegmentPositions;
  if (segment < segments_.size()) return absl::OkStatus();
  const uint64_t floats = uint64_t{kSegmentPositions} * 2 * kv_width_;
  const uint64_t capacity = (uint64_t{segment} + 1) * kSegmentPositions;
  // Doubling keeps the number of times that scores move small.
  const bool grow = capacity > score_capacity_;
  const uint64_t grown = grow ? std::max(capacity, 2 * score_capacity_) : score_capacity_;
  const uint64_t bytes =
      sizeof(float) * (floats + 2 * uint64_t{heads_} * (grown - score_capacity_));
  if (budget_->used_bytes + bytes > budget_->limit_bytes) {
    return ResourceExhausted(
        "the attention cache needs more than {} MiB at position {}: give a shorter prompt or fewer "
        "tokens",
        budget_->limit_bytes >> 20, position);
  }
  budget_->used_bytes += bytes;
  segments_.push_back(MakeAligned<float>(floats));
  if (grow) {
    scores_ = MakeAligned<float>(2 * uint64_t{heads_} * grown);
    score_capacity_ = grown;
  }
  return absl::OkStatus();
}

absl::Status Attention::Step(uint32_t position, const float* q, const float* k, const float* v,
                             float* out) {
  LUTDB_RETURN_IF_ERROR(Reserve(position));
  const uint32_t slot = Slot(position);
  for (size_t head = 0; head < kv_heads_; ++head) {
    std::memcpy(KeyAt(slot, head), k + head * head_dim_, head_dim_ * sizeof(float));
    std::memcpy(ValueAt(slot, head), v + head * head_dim_, head_dim_ * sizeof(float));
  }
  const uint64_t seen = std::min(position + 1, slots_);
  return team_->Split(heads_, 1, 4 * seen * heads_ * head_dim_,
                      [&](unsigned, size_t begin, size_t end) {
                        for (size_t head = begin; head < end; ++head) {
                          Head(static_cast<uint32_t>(head), position, q, out);
                        }
                      });
}

void Attention::Head(uint32_t head, uint32_t position, const float* q, float* out) {
  const size_t kv_head = head / (heads_ / kv_heads_);
  const float* query = q + size_t{head} * head_dim_;
  float* scores = scores_.get() + 2 * head * score_capacity_;
  float* shares = scores + score_capacity_;
  size_t count = 0;
  ForEachRun(position, [&](uint32_t slot, uint32_t run) {
    kernels::MatVec(KeyAt(slot, kv_head), query, nullptr, run, head_dim_, scores + count);
    count += run;
  });
  for (size_t t = 0; t < count; ++t) scores[t] *= scale_;
  kernels::Softmax(scores, count, shares);
  float* sum = out + size_t{head} * head_dim_;
  std::fill(sum, sum + head_dim_, 0.0f);
  count = 0;
  ForEachRun(position, [&](uint32_t slot, uint32_t run) {
    kernels::AddScaledRows(ValueAt(slot, kv_head), shares + count, run, head_dim_, sum);
    count += run;
  });
}

}  // namespace lutdb
