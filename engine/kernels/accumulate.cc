// Look up and add. Rows that are added and rows that are subtracted are told apart first, so that
// no element pays for a sign; then eight rows at a time are summed over blocks of neurons whose
// int32 sums stay in the first-level cache, while the next rows are on their way.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/accumulate.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

template <typename Entry>
void AddRowsOf(const Entry* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
               int32_t* acc) {
  reference::AddRows(rows, signs, row_count, neurons, acc);
}

void ScaleSumsOf(const int32_t* acc, const float* step, const float* bias, float scale,
                 size_t neurons, float* y) {
  reference::ScaleSums(acc, step, bias, scale, neurons, y);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kGroupRows = 8;
constexpr size_t kBatchRows = 256;        // pointers sorted by sign at a time
constexpr size_t kBlockNeurons32 = 4096;  // int32 sums of a block take 16 KiB
constexpr size_t kLineBytes = 64;

template <bool kSubtract, class V>
HWY_INLINE V Accumulate(V sum, V value) {
  return kSubtract ? hn::Sub(sum, value) : hn::Add(sum, value);
}

// One cache line of kRows rows (32 entries of i16) into 32 sums.
template <bool kSubtract, size_t kRows>
HWY_INLINE void AddLine(const int16_t* const* rows, size_t n, int32_t* acc) {
  const hn::ScalableTag<int32_t> d;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < kLineBytes / sizeof(int16_t); i += lanes) {
    auto sum = hn::LoadU(d, acc + i);
    for (size_t r = 0; r < kRows; ++r) {
      sum = Accumulate<kSubtract>(sum, hn::PromoteTo(d, hn::LoadU(d16, rows[r] + n + i)));
    }
    hn::StoreU(sum, d, acc + i);
  }
}

// One cache line of kRows rows (64 entries of i8) into 64 sums. The rows are first summed in int16,
// which cannot overflow: at most 8 x 128.
template <bool kSubtract, size_t kRows>
HWY_INLINE void AddLine(const int8_t* const* rows, size_t n, int32_t* acc) {
  static_assert(kRows * 128 <= 32767);
  const hn::ScalableTag<int16_t> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  const hn::Repartition<int32_t, decltype(d16)> d;
  const hn::Half<decltype(d16)> half;
  const size_t lanes = hn::Lanes(d16);
  for (size_t i = 0; i < kLineBytes; i += lanes) {
    auto partial = hn::PromoteTo(d16, hn::LoadU(d8, rows[0] + n + i));
    for (size_t r = 1; r < kRows; ++r) {
      partial = hn::Add(partial, hn::PromoteTo(d16, hn::LoadU(d8, rows[r] + n + i)));
    }
    const auto low = hn::PromoteTo(d, hn::LowerHalf(half, partial));
    const auto high = hn::PromoteTo(d, hn::UpperHalf(half, partial));
    int32_t* to = acc + i;
    hn::StoreU(Accumulate<kSubtract>(hn::LoadU(d, to), low), d, to);
    to += lanes / 2;
    hn::StoreU(Accumulate<kSubtract>(hn::LoadU(d, to), high), d, to);
  }
}

// Entries [begin, end) of kRows rows. Rows are readable to the end of their last cache line, sums
// are not: the last partial line goes through a copy.
template <bool kSubtract, size_t kRows, typename Entry>
HWY_INLINE void AddGroup(const Entry* const* rows, size_t next_rows, size_t begin, size_t end,
                         int32_t* acc) {
  constexpr size_t kLine = kLineBytes / sizeof(Entry);
  size_t n = begin;
  for (; n + kLine <= end; n += kLine) {
    for (size_t r = 0; r < next_rows; ++r) hwy::Prefetch(rows[kRows + r] + n);
    AddLine<kSubtract, kRows>(rows, n, acc + n);
  }
  if (n < end) {
    for (size_t r = 0; r < next_rows; ++r) hwy::Prefetch(rows[kRows + r] + n);
    int32_t sums[kLine] = {};
    std::memcpy(sums, acc + n, (end - n) * sizeof(int32_t));
    AddLine<kSubtract, kRows>(rows, n, sums);
    std::memcpy(acc + n, sums, (end - n) * sizeof(int32_t));
  }
}

template <bool kSubtract, typename Entry>
HWY_INLINE void AddBlock(const Entry* const* rows, size_t row_count, size_t begin, size_t end,
                         int32_t* acc) {
  size_t r = 0;
  for (; r + kGroupRows <= row_count; r += kGroupRows) {
    const size_t left = row_count - r - kGroupRows;
    AddGroup<kSubtract, kGroupRows>(rows + r, left < kGroupRows ? left : kGroupRows, begin, end,
                                    acc);
  }
  if (r + 4 <= row_count) {
    AddGroup<kSubtract, 4>(rows + r, row_count - r - 4, begin, end, acc);
    r += 4;
  }
  for (; r < row_count; ++r) AddGroup<kSubtract, 1>(rows + r, 0, begin, end, acc);
}

template <typename Entry>
HWY_INLINE void AddRowsOf(const Entry* const* rows, const int8_t* signs, size_t row_count,
                          size_t neurons, int32_t* acc) {
  for (size_t first = 0; first < row_count; first += kBatchRows) {
    const size_t last = row_count - first < kBatchRows ? row_count : first + kBatchRows;
    const Entry* added[kBatchRows];
    const Entry* subtracted[kBatchRows];
    size_t added_count = 0;
    size_t subtracted_count = 0;
    for (size_t r = first; r < last; ++r) {
      if (rows[r] == nullptr) continue;
      if (signs != nullptr && signs[r] < 0) {
        subtracted[subtracted_count++] = rows[r];
      } else {
        added[added_count++] = rows[r];
      }
    }
    for (size_t begin = 0; begin < neurons; begin += kBlockNeurons32) {
      const size_t end = neurons - begin < kBlockNeurons32 ? neurons : begin + kBlockNeurons32;
      AddBlock<false>(added, added_count, begin, end, acc);
      AddBlock<true>(subtracted, subtracted_count, begin, end, acc);
    }
  }
}

void ScaleSumsOf(const int32_t* acc, const float* step, const float* bias, float scale,
                 size_t neurons, float* y) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const auto scales = hn::Set(d, scale);
  size_t n = 0;
  for (; n + lanes <= neurons; n += lanes) {
    const auto sum = hn::ConvertTo(d, hn::LoadU(di, acc + n));
    auto value = hn::Mul(hn::Mul(scales, hn::LoadU(d, step + n)), sum);
    if (bias != nullptr) value = hn::Add(value, hn::LoadU(d, bias + n));
    hn::StoreU(value, d, y + n);
  }
  reference::ScaleSums(acc + n, step + n, bias == nullptr ? nullptr : bias + n, scale, neurons - n,
                       y + n);
}

#endif  // HWY_TARGET == HWY_SCALAR

void AddRowsI16(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
                int32_t* acc) {
  AddRowsOf(rows, signs, row_count, neurons, acc);
}
void AddRowsI8(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
               int32_t* acc) {
  AddRowsOf(rows, signs, row_count, neurons, acc);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(AddRowsI16);
HWY_EXPORT(AddRowsI8);
HWY_EXPORT(ScaleSumsOf);

void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowsI16)(rows, signs, row_count, neurons, acc);
}
void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowsI8)(rows, signs, row_count, neurons, acc);
}
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleSumsOf)(acc, step, bias, scale, neurons, y);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
