// Slopes made short on every instruction set: the oracle's, and the entries are what they were.
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/aligned_buffer.h"
#include "engine/kernels/reference.h"
#include "tests/kernels/isa_cases.h"

namespace lutdb::kernels {
namespace {

class Shorten : public PerIsa {};
LUTDB_FOR_EACH_ISA(Shorten);

constexpr size_t kNeurons = 64;
using Lists = std::vector<std::vector<int32_t>>;

std::vector<int32_t> Signed(int bits) {
  if (bits == 1) return {-1, 1};
  std::vector<int32_t> levels;
  const int32_t max = (1 << (bits - 1)) - 1;
  for (int32_t level = -max; level <= max; ++level) levels.push_back(level);
  return levels;
}
std::vector<int32_t> Unsigned(int bits) {
  std::vector<int32_t> levels;
  for (int32_t level = 0; level < 1 << bits; ++level) levels.push_back(level);
  return levels;
}

// The largest sum of a neuron is `limit` entries, as StepOf has it; some slopes are zero, some
// tiny.
std::vector<int32_t> RandomSlopes(const Lists& lists, int shift, double limit, uint32_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> slopes(lists.size() * kNeurons);
  for (size_t n = 0; n < kNeurons; ++n) {
    double reach = 0;
    std::vector<double> weights;
    for (const auto& levels : lists) {
      double weight = static_cast<double>(random() % 2001) / 1000.0 - 1.0;
      if (random() % 8 == 0) weight *= random() % 2 == 0 ? 0.0 : 1e-5;
      weights.push_back(weight);
      reach += std::abs(weight) * std::max(std::abs(levels.front()), std::abs(levels.back()));
    }
    const double size = n % 4 == 0 ? 1.0 : static_cast<double>(random() % 1000) / 1000.0;
    for (size_t p = 0; p < lists.size() && reach > 0; ++p) {
      slopes[p * kNeurons + n] =
          static_cast<int32_t>(weights[p] / reach * size * limit * (int64_t{1} << shift));
    }
  }
  return slopes;
}

// All entries of the chunk, by the definition (docs/format.md, "Entries").
std::vector<int64_t> EntriesOf(const std::vector<int32_t>& slopes, const Lists& lists, int shift) {
  size_t codes = 1;
  for (const auto& levels : lists) codes *= levels.size();
  std::vector<int64_t> entries;
  for (size_t code = 0; code < codes; ++code) {
    std::vector<int32_t> level(lists.size());
    for (size_t p = lists.size(), rest = code; p-- > 0; rest /= lists[p].size()) {
      level[p] = lists[p][rest % lists[p].size()];
    }
    const auto first = std::find_if(level.begin(), level.end(), [](int32_t l) { return l != 0; });
    for (size_t n = 0; n < kNeurons; ++n) {
      int64_t sum = 0;
      for (size_t p = 0; p < lists.size(); ++p) {
        sum += int64_t{level[p]} * slopes[p * kNeurons + n];
      }
      const int64_t half = int64_t{1} << (shift - 1);
      const bool negated = first != level.end() && *first < 0;
      entries.push_back(negated ? -((-sum + half) >> shift) : (sum + half) >> shift);
    }
  }
  return entries;
}

int TrailingZeros(int32_t slope) {
  return slope == 0 ? 32 : std::countr_zero(static_cast<uint32_t>(slope));
}

void Compare(const Lists& lists, int shift, double limit, uint32_t seed) {
  std::vector<LevelList> levels;
  for (const auto& list : lists) {
    levels.push_back({.levels = list.data(), .count = static_cast<uint32_t>(list.size())});
  }
  const auto positions = static_cast<uint32_t>(lists.size());
  const std::vector<int32_t> before = RandomSlopes(lists, shift, limit, seed);
  std::vector<int32_t> expected = before;
  Guarded<int32_t> found(before.size());
  std::copy(before.begin(), before.end(), found.data());
  const AlignedArray<uint32_t> scratch =
      MakeAligned<uint32_t>(ShortenScratch(levels.data(), positions));
  ShortenSlopes(found.data(), levels.data(), positions, shift, scratch.get());
  reference::ShortenSlopes(expected.data(), levels.data(), positions, shift, scratch.get());
  ASSERT_TRUE(SameBits(found.data(), expected.data(), expected.size())) << "seed " << seed;
  found.ExpectIntact();
  ASSERT_EQ(EntriesOf(expected, lists, shift), EntriesOf(before, lists, shift)) << "seed " << seed;
  for (size_t n = 0; n < kNeurons; ++n) {
    EXPECT_GE(TrailingZeros(expected[n]), TrailingZeros(before[n]));
  }
}

TEST_P(Shorten, SlopesOfOneInput) {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const auto& levels : {Signed(bits), Unsigned(bits)}) {
        Compare({levels}, 24, 127, seed);
        Compare({levels}, 16, 28671, seed);
      }
    }
    Compare({{-32767, -1200, -3, 40, 32767}}, 16, 32767, seed);
    Compare({{2, 7, 30000}}, 24, 127, seed);
  }
}

TEST_P(Shorten, SlopesOfSeveralInputs) {
  const std::vector<Lists> chunks = {
      {Signed(4), Signed(4)},
      {Unsigned(3), Unsigned(3)},
      {Signed(3), Signed(3), Signed(3)},
      {Signed(3), Unsigned(2), Signed(1)},
      {Signed(1), Signed(4), Unsigned(1)},
      {Unsigned(1), Signed(2), {-9, 0, 1, 30}, Signed(1)},
      {{-7, -2, 2, 7}, {-5, 0, 5}},
      Lists(8, Signed(1)),
      Lists(8, Unsigned(1)),
  };
  for (uint32_t seed = 0; seed < 3; ++seed) {
    for (const Lists& lists : chunks) {
      Compare(lists, 24, 127, seed);
      Compare(lists, 16, 28671, seed);
    }
  }
}

// One weight of four bits: what any slope between two bounds says equally well is kept in few bits.
TEST_P(Shorten, LeavesFewBits) {
  const auto levels = Signed(4);
  const LevelList list{.levels = levels.data(), .count = 15};
  std::vector<int32_t> slopes = RandomSlopes({levels}, 24, 127, 1);
  const AlignedArray<uint32_t> scratch = MakeAligned<uint32_t>(ShortenScratch(&list, 1));
  ShortenSlopes(slopes.data(), &list, 1, 24, scratch.get());
  // Slopes at which an entry changes are 2^24 / (2 * 7 * 6) or more apart: beyond 2^17.
  for (const int32_t slope : slopes) EXPECT_GE(TrailingZeros(slope), 17) << slope;
}

}  // namespace
}  // namespace lutdb::kernels
