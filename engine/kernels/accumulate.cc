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

template <typename Entry>
void AddRowListsOf(const Entry* const* rows, size_t row_count, const RowList<Entry>* lists,
                   size_t vectors, size_t begin, size_t end, size_t acc_stride, int32_t* acc) {
  reference::AddRowLists(rows, row_count, lists, vectors, begin, end, acc_stride, acc);
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
constexpr size_t kStripBytes = 256;  // of each row, when many vectors go through rows together

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

// ---- Many vectors ----

// Sums of a list in the type that entries widen to. int16 sums of int8 entries are passed on to
// int32 before they could overflow; int32 sums of int16 entries cannot (65,538 rows at most).
template <typename Entry>
struct Widened;
template <>
struct Widened<int8_t> {
  using Type = int16_t;
  static constexpr size_t kRowsMax = 255;
};
template <>
struct Widened<int16_t> {
  using Type = int32_t;
  static constexpr size_t kRowsMax = size_t{1} << 31;
};

template <class V>
HWY_INLINE void PassOn(hn::ScalableTag<int32_t> d, V sums, int32_t* acc) {
  hn::StoreU(hn::Add(hn::LoadU(d, acc), sums), d, acc);
}
template <class V>
HWY_INLINE void PassOn(hn::ScalableTag<int16_t> d16, V sums, int32_t* acc) {
  const hn::Repartition<int32_t, decltype(d16)> d;
  const hn::Half<decltype(d16)> half;
  const size_t lanes = hn::Lanes(d);
  PassOn(hn::ScalableTag<int32_t>(), hn::PromoteTo(d, hn::LowerHalf(half, sums)), acc);
  PassOn(hn::ScalableTag<int32_t>(), hn::PromoteTo(d, hn::UpperHalf(half, sums)), acc + lanes);
}

// Eight vectors of columns, from n on: their sums stay in registers over all rows of the list.
template <typename Entry>
HWY_INLINE void SumEight(const RowList<Entry>& list, size_t n, int32_t* acc) {
  const hn::ScalableTag<typename Widened<Entry>::Type> d;
  const hn::Rebind<Entry, decltype(d)> narrow;
  const size_t lanes = hn::Lanes(d);
  const size_t count = list.added + list.subtracted;
  const auto load = [&](size_t r, size_t i) HWY_ATTR {
    return hn::PromoteTo(d, hn::LoadU(narrow, list.rows[r] + n + i * lanes));
  };
  for (size_t r = 0; r < count;) {
    const size_t stop = count - r < Widened<Entry>::kRowsMax ? count : r + Widened<Entry>::kRowsMax;
    const size_t stop_adding = stop < list.added ? stop : list.added;
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (; r < stop_adding; ++r) {
      s0 = hn::Add(s0, load(r, 0));
      s1 = hn::Add(s1, load(r, 1));
      s2 = hn::Add(s2, load(r, 2));
      s3 = hn::Add(s3, load(r, 3));
      s4 = hn::Add(s4, load(r, 4));
      s5 = hn::Add(s5, load(r, 5));
      s6 = hn::Add(s6, load(r, 6));
      s7 = hn::Add(s7, load(r, 7));
    }
    for (; r < stop; ++r) {
      s0 = hn::Sub(s0, load(r, 0));
      s1 = hn::Sub(s1, load(r, 1));
      s2 = hn::Sub(s2, load(r, 2));
      s3 = hn::Sub(s3, load(r, 3));
      s4 = hn::Sub(s4, load(r, 4));
      s5 = hn::Sub(s5, load(r, 5));
      s6 = hn::Sub(s6, load(r, 6));
      s7 = hn::Sub(s7, load(r, 7));
    }
    PassOn(d, s0, acc);
    PassOn(d, s1, acc + lanes);
    PassOn(d, s2, acc + 2 * lanes);
    PassOn(d, s3, acc + 3 * lanes);
    PassOn(d, s4, acc + 4 * lanes);
    PassOn(d, s5, acc + 5 * lanes);
    PassOn(d, s6, acc + 6 * lanes);
    PassOn(d, s7, acc + 7 * lanes);
  }
}

// One vector of columns.
template <typename Entry>
HWY_INLINE void SumOne(const RowList<Entry>& list, size_t n, int32_t* acc) {
  const hn::ScalableTag<typename Widened<Entry>::Type> d;
  const hn::Rebind<Entry, decltype(d)> narrow;
  const size_t count = list.added + list.subtracted;
  for (size_t r = 0; r < count;) {
    const size_t stop = count - r < Widened<Entry>::kRowsMax ? count : r + Widened<Entry>::kRowsMax;
    auto sum = hn::Zero(d);
    for (; r < stop; ++r) {
      const auto row = hn::PromoteTo(d, hn::LoadU(narrow, list.rows[r] + n));
      sum = r < list.added ? hn::Add(sum, row) : hn::Sub(sum, row);
    }
    PassOn(d, sum, acc);
  }
}

// Columns [begin, end) of one list. The last columns go through a copy: rows are readable to the
// end of their cache line, sums are not.
template <typename Entry>
HWY_INLINE void SumColumns(const RowList<Entry>& list, size_t begin, size_t end, int32_t* acc) {
  const hn::ScalableTag<typename Widened<Entry>::Type> d;
  const size_t lanes = hn::Lanes(d);
  size_t n = begin;
  for (; n + 8 * lanes <= end; n += 8 * lanes) SumEight(list, n, acc + n);
  for (; n + lanes <= end; n += lanes) SumOne(list, n, acc + n);
  if (n < end) {
    int32_t sums[kLineBytes / sizeof(Entry)] = {};
    std::memcpy(sums, acc + n, (end - n) * sizeof(int32_t));
    SumOne(list, n, sums);
    std::memcpy(acc + n, sums, (end - n) * sizeof(int32_t));
  }
}

template <typename Entry>
HWY_INLINE void AddRowListsOf(const Entry* const* rows, size_t row_count,
                              const RowList<Entry>* lists, size_t vectors, size_t begin, size_t end,
                              size_t acc_stride, int32_t* acc) {
  constexpr size_t kStrip = kStripBytes / sizeof(Entry);
  constexpr size_t kLine = kLineBytes / sizeof(Entry);
  for (size_t n = begin; n < end; n += kStrip) {
    const size_t stop = end - n < kStrip ? end : n + kStrip;
    const size_t next_stop = end - stop < kStrip ? end : stop + kStrip;
    for (size_t v = 0; v < vectors; ++v) {
      // Each vector brings its share of the next strip.
      for (size_t r = row_count * v / vectors; r < row_count * (v + 1) / vectors; ++r) {
        for (size_t i = stop; i < next_stop; i += kLine) hwy::Prefetch(rows[r] + i);
      }
      SumColumns(lists[v], n, stop, acc + v * acc_stride);
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
void AddRowListsI16(const int16_t* const* rows, size_t row_count, const RowList<int16_t>* lists,
                    size_t vectors, size_t begin, size_t end, size_t acc_stride, int32_t* acc) {
  AddRowListsOf(rows, row_count, lists, vectors, begin, end, acc_stride, acc);
}
void AddRowListsI8(const int8_t* const* rows, size_t row_count, const RowList<int8_t>* lists,
                   size_t vectors, size_t begin, size_t end, size_t acc_stride, int32_t* acc) {
  AddRowListsOf(rows, row_count, lists, vectors, begin, end, acc_stride, acc);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(AddRowsI16);
HWY_EXPORT(AddRowsI8);
HWY_EXPORT(AddRowListsI16);
HWY_EXPORT(AddRowListsI8);
HWY_EXPORT(ScaleSumsOf);

void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowsI16)(rows, signs, row_count, neurons, acc);
}
void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowsI8)(rows, signs, row_count, neurons, acc);
}
void AddRowLists(const int16_t* const* rows, size_t row_count, const RowList<int16_t>* lists,
                 size_t vectors, size_t begin, size_t end, size_t acc_stride, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowListsI16)
  (rows, row_count, lists, vectors, begin, end, acc_stride, acc);
}
void AddRowLists(const int8_t* const* rows, size_t row_count, const RowList<int8_t>* lists,
                 size_t vectors, size_t begin, size_t end, size_t acc_stride, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowListsI8)
  (rows, row_count, lists, vectors, begin, end, acc_stride, acc);
}
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleSumsOf)(acc, step, bias, scale, neurons, y);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
