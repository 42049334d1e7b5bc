#include "engine/integer_steps.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>

namespace lutdb {

void ThresholdCodes(const Thresholds& thresholds, const int32_t* sums, uint16_t* codes) {
  std::copy(thresholds.base.begin(), thresholds.base.end(), codes);
  for (const ThresholdLane& lane : thresholds.lanes) {
    const int32_t* at = thresholds.at.data() + lane.first;
    const auto passed = std::upper_bound(at, at + lane.count, sums[lane.neuron]) - at;
    codes[lane.chunk] =
        static_cast<uint16_t>(codes[lane.chunk] + thresholds.code[lane.code + passed]);
  }
}

void AddIntegerBias(absl::Span<const int32_t> bias, int32_t* sums) {
  constexpr int64_t kLow = std::numeric_limits<int32_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int32_t>::max();
  for (size_t n = 0; n < bias.size(); ++n) {
    sums[n] = static_cast<int32_t>(std::clamp(int64_t{sums[n]} + bias[n], kLow, kHigh));
  }
}

uint32_t IndexOfLargest(const int32_t* sums, size_t count) {
  return static_cast<uint32_t>(std::max_element(sums, sums + count) - sums);
}

PixelCodes::PixelCodes(const TableGeometry& geometry, const InputCoder& coder)
    : base_(geometry.chunks(), 0) {
  std::map<std::array<uint16_t, 256>, uint32_t> known;
  std::array<uint16_t, 256> parts;
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const auto positions = geometry.positions(chunk);
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const uint32_t input = geometry.InputAt(chunk, p);
      const uint32_t place = positions[p].place;
      if (input == kPadding) {
        base_[chunk] =
            static_cast<uint16_t>(base_[chunk] + coder.LevelIndexOf(chunk, p, 0) * place);
        continue;
      }
      for (uint32_t pixel = 0; pixel < 256; ++pixel) {
        const float x = static_cast<float>(pixel) / 255.0f;
        parts[pixel] = static_cast<uint16_t>(coder.LevelIndexOf(chunk, p, x) * place);
      }
      const auto [at, added] = known.try_emplace(parts, static_cast<uint32_t>(parts_.size()));
      if (added) parts_.insert(parts_.end(), parts.begin(), parts.end());
      lanes_.push_back({.input = input, .chunk = chunk, .first = at->second});
    }
  }
}

void PixelCodes::Encode(const uint8_t* pixels, uint16_t* codes) const {
  std::copy(base_.begin(), base_.end(), codes);
  for (const Lane& lane : lanes_) {
    codes[lane.chunk] =
        static_cast<uint16_t>(codes[lane.chunk] + parts_[lane.first + pixels[lane.input]]);
  }
}

}  // namespace lutdb
