// Many positions (or rows) of one plan at a time: where the values of each are kept while all of
// them go through one step before the next, so that a table is walked once for all.
//
// A lane is one position. Values share memory as soon as no later step reads them, so that what the
// lanes take follows the widest layer, not the depth of the network.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/aligned_buffer.h"
#include "engine/plan.h"

namespace lutdb {

// Not thread-safe.
class Lanes {
 public:
  // More gain little: a row of a table is then used by every lane that can share it.
  static constexpr size_t kMax = 512;
  // Memory of all lanes; fewer are used when they are wide, one at the least.
  static constexpr uint64_t kBytesMax = 64 << 20;

  // plan outlives it.
  explicit Lanes(const Plan& plan);

  size_t count() const { return count_; }

  // A value's f32 numbers, codes, sums or index in one lane. Codes and sums of consecutive lanes
  // follow each other without a gap.
  uint8_t* Of(const ValueBuffer& value, size_t lane);
  // Codes of a set, lane after lane without a gap, and the scale each lane was coded with.
  uint16_t* CodesOf(const CodeSet& set, size_t lane);
  float& ScaleOf(const CodeSet& set, size_t lane);
  // Sums of the widest table, lane after lane without a gap for whatever table is summed.
  int32_t* acc() { return acc_.get(); }

  // Between the lanes and the buffers of the plan, which a step works on.
  void Load(const ValueBuffer& value, size_t lane, ValueBuffer* to);
  void Store(const ValueBuffer& value, size_t lane);

 private:
  struct Slot {
    uint64_t bytes = 0;  // of a lane
    bool free = true;
    AlignedArray<uint8_t> memory;
  };
  struct Place {
    size_t slot = 0;
    uint64_t stride = 0;
  };
  size_t Take(uint64_t bytes);
  void PlaceValues(const Plan& plan);

  std::vector<Slot> slots_;
  std::map<const ValueBuffer*, Place> values_;
  std::map<const CodeSet*, Place> codes_;
  std::map<const CodeSet*, std::vector<float>> scales_;
  AlignedArray<int32_t> acc_;
  size_t count_ = 1;
};

}  // namespace lutdb
