// Causal attention over a cache of keys and values, one query position at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/aligned_buffer.h"
#include "engine/thread_team.h"
#include "schemas/graph.h"

namespace lutdb {

// Bytes the caches of one model may take together; a context is an outside number, memory is not.
struct CacheBudget {
  uint64_t limit_bytes = 0;
  uint64_t used_bytes = 0;
};

// One attention op with its cache. Not thread-safe; uses the team inside.
//
// The cache grows by segments of kSegmentPositions as positions come, is kept when the context is
// emptied, and with a window holds only as many positions as the window sees.
class Attention {
 public:
  static constexpr uint32_t kSegmentPositions = 64;

  // op.kind == kAttention. budget and team outlive it.
  Attention(const Op& op, uint32_t context, CacheBudget* budget, ThreadTeam* team);

  // q: heads x head_dim, k and v: kv_heads x head_dim at `position` (the one after the last call's,
  // or 0 to begin anew); out: heads x head_dim. Positions are accumulated in ascending order, so
  // the result does not depend on the number of threads. ResourceExhausted when the cache cannot
  // grow.
  absl::Status Step(uint32_t position, const float* q, const float* k, const float* v, float* out);

 private:
  absl::Status Reserve(uint32_t position);
  uint32_t Slot(uint32_t position) const { return position % slots_; }
  // Of one head of keys and values; positions of a segment lie one after the other.
  float* KeyAt(uint32_t slot, size_t kv_head) const;
  float* ValueAt(uint32_t slot, size_t kv_head) const;
  template <typename Body>
  void ForEachRun(uint32_t position, const Body& body) const;
  void Head(uint32_t head, uint32_t position, const float* q, float* out);

  uint32_t heads_, kv_heads_, head_dim_;
  uint32_t kv_width_;
  uint32_t slots_;  // positions the cache can ever hold
  float scale_;
  CacheBudget* budget_;
  ThreadTeam* team_;
  // kv_heads x (keys, values) x kSegmentPositions x head_dim
  std::vector<AlignedArray<float>> segments_;
  AlignedArray<float> scores_;  // heads x 2 x score_capacity_: scores, then shares
  uint64_t score_capacity_ = 0;
};

}  // namespace lutdb
