// The oracle of shorten.cc: every code, one after the other, says how far a slope may move.
#include <algorithm>
#include <cstdlib>

#include "engine/kernels/reference.h"

namespace lutdb::kernels::reference {
namespace {

constexpr size_t kNeurons = 64;

// How far the slope of position `own` may go down and up before the entry of these levels changes.
struct Room {
  int64_t down, up;
};
Room RoomOfCode(const int64_t* slopes, const int32_t* level, uint32_t positions, uint32_t own,
                int shift) {
  int64_t sum = 0;
  int32_t first = 0;  // level that is not zero
  for (uint32_t p = 0; p < positions; ++p) {
    sum += slopes[p] * level[p];
    if (first == 0) first = level[p];
  }
  // The entry is that of the first positive levels' sum, or the negated one of the opposite code.
  const bool negated = first < 0;
  if (negated) sum = -sum;
  const int64_t unit = int64_t{1} << shift;
  const int64_t above_entry = (sum + unit / 2) & (unit - 1);  // beyond the least such sum
  const int64_t below_next = unit - 1 - above_entry;
  const bool rises = (level[own] > 0) != negated;  // the sum, with the slope
  const int spare = ShortenSpareBits(shift);
  const auto steps = [&](int64_t distance) {
    return ((distance >> spare) / std::abs(level[own])) << spare;
  };
  return {steps(rises ? above_entry : below_next), steps(rises ? below_next : above_entry)};
}

int64_t Roundest(int64_t low, int64_t high) {
  int64_t found = low;
  for (int64_t unit = 1; unit <= int64_t{1} << 32; unit *= 2) {
    const int64_t multiple = (high >= 0 ? high : high - (unit - 1)) / unit * unit;
    if (multiple >= low) found = multiple;
  }
  return found;
}

}  // namespace

void ShortenSlopes(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                   uint32_t*) {
  uint32_t codes = 1;
  for (uint32_t p = 0; p < positions; ++p) codes *= levels[p].count;
  for (size_t n = 0; n < kNeurons; ++n) {
    int64_t slope[kShortenPositionsMax];
    for (uint32_t p = 0; p < positions; ++p) slope[p] = slopes[p * kNeurons + n];
    for (uint32_t own = 0; own < positions; ++own) {
      Room room{int64_t{1} << 32, int64_t{1} << 32};
      for (uint32_t code = 0; code < codes; ++code) {
        int32_t level[kShortenPositionsMax];
        for (uint32_t p = positions, rest = code; p-- > 0; rest /= levels[p].count) {
          level[p] = levels[p].levels[rest % levels[p].count];
        }
        if (level[own] == 0) continue;
        const Room one = RoomOfCode(slope, level, positions, own, shift);
        room = {std::min(room.down, one.down), std::min(room.up, one.up)};
      }
      slope[own] = Roundest(slope[own] - room.down, slope[own] + room.up);
      slopes[own * kNeurons + n] = static_cast<int32_t>(slope[own]);
    }
  }
}

}  // namespace lutdb::kernels::reference
