// The steps of integer-only networks: between input codes and the answer there are comparisons,
// additions and look-ups of integers, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "coding/levels.h"
#include "engine/input_coder.h"
#include "schemas/thresholds.h"

namespace lutdb {

// codes: one per chunk of the next table, overwritten. thresholds was checked when it was parsed.
void ThresholdCodes(const Thresholds& thresholds, const int32_t* sums, uint16_t* codes);

// sums[n] += bias[n], held within int32 (a sum alone cannot leave it, a bias could push it out).
void AddIntegerBias(absl::Span<const int32_t> bias, int32_t* sums);

// The lowest index wins among equals. count >= 1.
uint32_t IndexOfLargest(const int32_t* sums, size_t count);

// Codes of a row of pixels, looked up: what each of the 256 pixel values adds to its chunk's code
// is worked out once, from the value pixel / 255, so that nothing is left to compute per row.
class PixelCodes {
 public:
  // coder has a fixed scale and is that of the table `geometry` belongs to.
  PixelCodes(const TableGeometry& geometry, const InputCoder& coder);

  // pixels: one per input. codes: one per chunk.
  void Encode(const uint8_t* pixels, uint16_t* codes) const;

 private:
  struct Lane {
    uint32_t input;
    uint32_t chunk;
    uint32_t first;  // parts_[first + pixel]
  };
  std::vector<uint16_t> base_;   // per chunk: what padded positions contribute
  std::vector<Lane> lanes_;      // real positions, chunk after chunk
  std::vector<uint16_t> parts_;  // 256 per distinct position
};

}  // namespace lutdb
