// Look up and add for many vectors over rows that lie packed in the second-level cache, 64 neurons
// of each. Two entries lie in a word of the wider type. With the top bit of the lower one flipped,
// which adds half its range, the word is upper * 2^bits + lower, lower >= 0: so the sum of whole
// words and the sum of upper halves hold both sums. Arithmetic is modulo the word, which is exact
// since the sums fit it.
#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/accumulate_packed.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename Entry>
void AddPackedOf(const Entry* rows, const uint16_t* numbers, size_t each, size_t vectors,
                 PackedSum<Entry>* sums) {
  reference::AddPacked(rows, numbers, each, vectors, sums);
}
template <typename Entry>
void PassOnPackedOf(PackedSum<Entry>* sums, size_t vectors, size_t added, int32_t* acc) {
  reference::PassOnPacked(sums, vectors, added, acc);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

// Sums of a vector: kWords sums of whole words, then as many of upper halves.
constexpr size_t kWords = kPackedNeurons / 2;

template <typename Entry>
HWY_INLINE void AddPackedOf(const Entry* HWY_RESTRICT rows, const uint16_t* HWY_RESTRICT numbers,
                            size_t each, size_t vectors, PackedSum<Entry>* HWY_RESTRICT sums) {
  using Wide = PackedSum<Entry>;
  constexpr int kBits = 8 * sizeof(Entry);
  const hn::ScalableTag<Wide> d;
  const size_t lanes = hn::Lanes(d);
  const auto flip = hn::Set(d, static_cast<Wide>(Wide{1} << (kBits - 1)));
  const auto* words = reinterpret_cast<const Wide*>(rows);
  for (size_t v = 0; v < vectors; ++v, numbers += each, sums += kPackedNeurons) {
    for (size_t i = 0; i < kWords; i += lanes) {
      auto whole = hn::Load(d, sums + i);
      auto upper = hn::Load(d, sums + kWords + i);
      for (size_t r = 0; r < each; ++r) {
        const auto word = hn::Xor(hn::Load(d, words + numbers[r] * kWords + i), flip);
        whole = hn::Add(whole, word);
        upper = hn::Add(upper, hn::ShiftRight<kBits>(word));
      }
      hn::Store(whole, d, sums + i);
      hn::Store(upper, d, sums + kWords + i);
    }
  }
}

// acc[i] += sums[i] for `count` sums, as many as two vectors of them hold.
template <typename Wide>
HWY_INLINE void AddWide(const Wide* HWY_RESTRICT sums, size_t count, int32_t* HWY_RESTRICT acc) {
  const hn::ScalableTag<int32_t> d32;
  const hn::Rebind<Wide, decltype(d32)> narrow;
  for (size_t i = 0; i < count; i += hn::Lanes(d32)) {
    auto sum = hn::Load(d32, acc + i);
    if constexpr (sizeof(Wide) == sizeof(int32_t)) {
      sum = hn::Add(sum, hn::Load(d32, sums + i));
    } else {
      sum = hn::Add(sum, hn::PromoteTo(d32, hn::Load(narrow, sums + i)));
    }
    hn::Store(sum, d32, acc + i);
  }
}

template <typename Entry>
HWY_INLINE void PassOnPackedOf(PackedSum<Entry>* HWY_RESTRICT sums, size_t vectors, size_t added,
                               int32_t* HWY_RESTRICT acc) {
  using Wide = PackedSum<Entry>;
  constexpr int kBits = 8 * sizeof(Entry);
  const hn::ScalableTag<Wide> d;
  const size_t lanes = hn::Lanes(d);
  const auto halves = hn::Set(d, static_cast<Wide>(added << (kBits - 1)));
  const auto zero = hn::Zero(d);
  for (size_t v = 0; v < vectors; ++v, sums += kPackedNeurons, acc += kPackedNeurons) {
    for (size_t i = 0; i < kWords; i += lanes) {
      const auto upper = hn::Load(d, sums + kWords + i);
      const auto whole = hn::Load(d, sums + i);
      const auto lower = hn::Sub(hn::Sub(whole, hn::ShiftLeft<kBits>(upper)), halves);
      hn::Store(zero, d, sums + i);
      hn::Store(zero, d, sums + kWords + i);
      HWY_ALIGN_MAX Wide columns[2 * hn::MaxLanes(d)];
      hn::StoreInterleaved2(lower, upper, d, columns);
      AddWide(columns, 2 * lanes, acc + 2 * i);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void AddPackedI16(const int16_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
                  int32_t* sums) {
  AddPackedOf(rows, numbers, each, vectors, sums);
}
void AddPackedI8(const int8_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
                 int16_t* sums) {
  AddPackedOf(rows, numbers, each, vectors, sums);
}
void PassOnPackedI16(int32_t* sums, size_t vectors, size_t added, int32_t* acc) {
  PassOnPackedOf<int16_t>(sums, vectors, added, acc);
}
void PassOnPackedI8(int16_t* sums, size_t vectors, size_t added, int32_t* acc) {
  PassOnPackedOf<int8_t>(sums, vectors, added, acc);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(AddPackedI16);
HWY_EXPORT(AddPackedI8);
HWY_EXPORT(PassOnPackedI16);
HWY_EXPORT(PassOnPackedI8);

void AddPacked(const int16_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(AddPackedI16)(rows, numbers, each, vectors, sums);
}
void AddPacked(const int8_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int16_t* sums) {
  HWY_DYNAMIC_DISPATCH(AddPackedI8)(rows, numbers, each, vectors, sums);
}
void PassOnPacked(int32_t* sums, size_t vectors, size_t added, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(PassOnPackedI16)(sums, vectors, added, acc);
}
void PassOnPacked(int16_t* sums, size_t vectors, size_t added, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(PassOnPackedI8)(sums, vectors, added, acc);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
