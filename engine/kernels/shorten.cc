// Slopes that end in zeros: of all slopes that make the same entries, the roundest.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/shorten.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void ShortenSlopesAny(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                      uint32_t* scratch) {
  reference::ShortenSlopes(slopes, levels, positions, shift, scratch);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kNeurons = 64;
constexpr size_t kLevelsMax = 256;
using Words = hn::ScalableTag<uint32_t>;
using Word = hn::Vec<Words>;

// Sums stand in the upper F bits of 32, so that what an entry rounds off is all that is left: the
// distance to the entry below is the number itself, to the one above its complement.
struct Rests {
  uint32_t* sums;         // one vector for each combination of the other positions' levels
  size_t count = 1;       // of them
  size_t open_begin = 0;  // those whose sign the position's own level decides
  size_t open_end = 0;
};

// Puts one position more under the sums, as its fastest digit.
HWY_INLINE void Extend(Words d, Word slope, LevelList levels, Rests* rests) {
  const size_t lanes = hn::Lanes(d);
  for (size_t j = rests->count; j-- > 0;) {
    const Word sum = hn::Load(d, rests->sums + j * lanes);
    for (size_t k = levels.count; k-- > 0;) {
      const Word level = hn::Set(d, static_cast<uint32_t>(levels.levels[k]));
      hn::Store(hn::Add(sum, hn::Mul(level, slope)), d,
                rests->sums + (j * levels.count + k) * lanes);
    }
  }
  rests->count *= levels.count;
}

// The sums of all positions but `own`, rounding included. slopes: a vector of each position, 64
// apart, in the upper bits.
HWY_INLINE Rests SumRests(Words d, const uint32_t* slopes, const LevelList* levels,
                          uint32_t positions, uint32_t own, Word half, Word unit, uint32_t* sums) {
  const size_t lanes = hn::Lanes(d);
  Rests rests{.sums = sums};
  hn::Store(half, d, sums);
  // Combinations are in lexicographic order: those before all zeros begin with a negative level.
  size_t negative = 0;
  bool zero = true;
  for (uint32_t p = 0; p < own; ++p) {
    Extend(d, hn::Load(d, slopes + p * kNeurons), levels[p], &rests);
    const int32_t* end = levels[p].levels + levels[p].count;
    const int32_t* at = std::lower_bound(levels[p].levels, end, 0);
    negative *= levels[p].count;
    if (zero) negative += static_cast<size_t>(at - levels[p].levels);
    zero = zero && at != end && *at == 0;
  }
  for (size_t j = 0; j < negative; ++j) {
    hn::Store(hn::Sub(hn::Load(d, sums + j * lanes), unit), d, sums + j * lanes);
  }
  const size_t before = rests.count;
  for (uint32_t p = own + 1; p < positions; ++p) {
    Extend(d, hn::Load(d, slopes + p * kNeurons), levels[p], &rests);
  }
  rests.open_begin = negative * (rests.count / before);
  rests.open_end = zero ? rests.open_begin + rests.count / before : rests.open_begin;
  return rests;
}

struct Extremes {
  Word low, high;
};

HWY_INLINE void Widen(Words d, const Rests& rests, size_t begin, size_t end, Word own,
                      Extremes* found) {
  const size_t lanes = hn::Lanes(d);
  for (size_t j = begin; j < end; ++j) {
    const Word sum = hn::Add(own, hn::Load(d, rests.sums + j * lanes));
    found->low = hn::Min(found->low, sum);
    found->high = hn::Max(found->high, sum);
  }
}

using Floats = hn::RebindToFloat<Words>;
using Quotient = hn::Vec<Floats>;

// The least float that is not below 1 / divisor. Times a whole number of up to 22 bits it gives,
// rounded down, the quotient: such a product is never below the true one, and the next integer is
// too far away to be reached by rounding.
HWY_INLINE float Reciprocal(int32_t divisor) {
  const float nearest = 1.0f / static_cast<float>(divisor);
  const bool below = static_cast<double>(nearest) * divisor < 1.0;
  return below ? std::nextafter(nearest, 1.0f) : nearest;
}

HWY_INLINE Quotient Divide(Words d, Word x, float reciprocal) {
  const hn::RebindToSigned<Words> di;
  const Floats df;
  return hn::Mul(hn::ConvertTo(df, hn::BitCast(di, x)), hn::Set(df, reciprocal));
}

HWY_INLINE Word Truncate(Words d, Quotient x) {
  const hn::RebindToSigned<Words> di;
  return hn::BitCast(d, hn::ConvertTo(di, x));
}

// The number in [slope - down, slope + up] that ends in the most zeros.
HWY_INLINE Word Roundest(Words d, Word slope, Word down, Word up) {
  const Word sign = hn::Set(d, 0x80000000u);  // so that the order is that of signed numbers
  const Word below = hn::Sub(hn::Xor(hn::Sub(slope, down), sign), hn::Set(d, 1));
  const Word last = hn::Xor(hn::Add(slope, up), sign);
  // Beneath the highest bit in which they differ all bits can be zero.
  Word differ = hn::Xor(below, last);
  differ = hn::Or(differ, hn::ShiftRight<1>(differ));
  differ = hn::Or(differ, hn::ShiftRight<2>(differ));
  differ = hn::Or(differ, hn::ShiftRight<4>(differ));
  differ = hn::Or(differ, hn::ShiftRight<8>(differ));
  differ = hn::Or(differ, hn::ShiftRight<16>(differ));
  return hn::Xor(hn::AndNot(hn::ShiftRight<1>(differ), last), sign);
}

// How far a slope may go down (low) and up (high) before an entry changes.
HWY_INLINE Extremes Room(Words d, Word slope, LevelList levels, const float* reciprocals,
                         const Rests& rests, bool mirrored, Word unit, int shift) {
  const Word all = hn::Set(d, ~0u);
  const int spare = ShortenSpareBits(shift);
  const int right = 32 - shift + spare;
  Quotient down = hn::Set(Floats(), static_cast<float>(1 << 24));
  Quotient up = down;
  for (uint32_t k = 0; k < levels.count; ++k) {
    const int32_t level = levels.levels[k];
    // Of two opposite codes either says the same.
    if (level == 0 || (mirrored && level < 0)) continue;
    const Word own = hn::Mul(hn::Set(d, static_cast<uint32_t>(level)), slope);
    Extremes found{all, hn::Zero(d)};
    Widen(d, rests, 0, rests.open_begin, own, &found);
    Widen(d, rests, rests.open_begin, rests.open_end, level < 0 ? hn::Sub(own, unit) : own, &found);
    Widen(d, rests, rests.open_end, rests.count, own, &found);
    const Quotient below = Divide(d, hn::ShiftRightSame(found.low, right), reciprocals[k]);
    const Quotient above =
        Divide(d, hn::ShiftRightSame(hn::Xor(found.high, all), right), reciprocals[k]);
    down = hn::Min(down, level > 0 ? below : above);
    up = hn::Min(up, level > 0 ? above : below);
  }
  return {hn::ShiftLeftSame(Truncate(d, down), spare), hn::ShiftLeftSame(Truncate(d, up), spare)};
}

HWY_INLINE bool Mirrored(const LevelList* levels, uint32_t positions) {
  return std::all_of(levels, levels + positions, [](const LevelList& list) {
    for (uint32_t k = 0; k < list.count; ++k) {
      if (list.levels[k] != -list.levels[list.count - 1 - k]) return false;
    }
    return true;
  });
}

void ShortenSlopesAny(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                      uint32_t* scratch) {
  const Words d;
  const size_t lanes = hn::Lanes(d);
  const Word half = hn::Set(d, 0x80000000u);
  const Word unit = hn::Set(d, uint32_t{1} << (32 - shift));
  const bool mirrored = Mirrored(levels, positions);
  auto* words = reinterpret_cast<uint32_t*>(slopes);
  HWY_ALIGN uint32_t upper[kShortenPositionsMax * kNeurons];
  float reciprocals[kShortenPositionsMax][kLevelsMax];
  for (uint32_t p = 0; p < positions; ++p) {
    for (uint32_t k = 0; k < levels[p].count; ++k) {
      const int32_t level = levels[p].levels[k];
      if (level != 0) reciprocals[p][k] = Reciprocal(std::abs(level));
    }
  }
  for (size_t n = 0; n < kNeurons; n += lanes) {
    for (uint32_t p = 0; p < positions; ++p) {
      hn::Store(hn::ShiftLeftSame(hn::LoadU(d, words + p * kNeurons + n), 32 - shift), d,
                upper + p * kNeurons);
    }
    for (uint32_t p = 0; p < positions; ++p) {
      const Rests rests = SumRests(d, upper, levels, positions, p, half, unit, scratch);
      const Extremes room = Room(d, hn::Load(d, upper + p * kNeurons), levels[p], reciprocals[p],
                                 rests, mirrored, unit, shift);
      const Word slope = Roundest(d, hn::LoadU(d, words + p * kNeurons + n), room.low, room.high);
      hn::StoreU(slope, d, words + p * kNeurons + n);
      hn::Store(hn::ShiftLeftSame(slope, 32 - shift), d, upper + p * kNeurons);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(ShortenSlopesAny);

void ShortenSlopes(int32_t* slopes, const LevelList* levels, uint32_t positions, int shift,
                   uint32_t* scratch) {
  HWY_DYNAMIC_DISPATCH(ShortenSlopesAny)(slopes, levels, positions, shift, scratch);
}

size_t ShortenScratch(const LevelList* levels, uint32_t positions) {
  size_t codes = 1;
  uint32_t fewest = ~0u;
  for (uint32_t p = 0; p < positions; ++p) {
    codes *= levels[p].count;
    fewest = std::min(fewest, levels[p].count);
  }
  return 64 * (codes / fewest);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
