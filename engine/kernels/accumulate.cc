// Look up and add. Rows that are added and rows that are subtracted are told apart first, so that
// no element pays for a sign; then a few rows at a time are added to sums of a block of neurons
// that stay in the first-level cache. What limits it is how many reads of memory a core has under
// way: every instruction that is saved per line lets it look further ahead (docs/performance.md).
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
void AddRowListsOf(const RowList<Entry>* lists, size_t vectors, size_t begin, size_t end,
                   size_t acc_stride, int32_t* acc) {
  reference::AddRowLists(lists, vectors, begin, end, acc_stride, acc);
}

void ScaleSumsOf(const int32_t* acc, const float* step, const float* bias, float scale,
                 size_t neurons, float* y) {
  reference::ScaleSums(acc, step, bias, scale, neurons, y);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kGroupRows = 6;        // read side by side
constexpr size_t kBatchRows = 252;      // sums of so many int8 entries fit int16
constexpr size_t kBlockBytes = 4096;    // of each row; sums of a block take twice that
constexpr size_t kPrefetchedLines = 2;  // of each row of the next group; hardware does the rest
constexpr size_t kLineBytes = 64;

// What entries widen to. int16 sums of int8 entries are passed on to int32 before they could
// overflow; int32 sums of int16 entries cannot (65,538 rows at most).
template <typename Entry>
struct Widened;
template <>
struct Widened<int8_t> {
  using Type = int16_t;
  static constexpr size_t kRowsMax = kBatchRows;
};
template <>
struct Widened<int16_t> {
  using Type = int32_t;
  static constexpr size_t kRowsMax = size_t{1} << 31;
};

template <class V>
HWY_INLINE hn::Vec<hn::ScalableTag<int32_t> > ToInt32(hn::ScalableTag<int32_t> d, V value) {
  if constexpr (sizeof(hn::TFromV<V>) == sizeof(int32_t)) {
    return value;
  } else {
    return hn::PromoteTo(d, value);
  }
}

// acc[i] += the sum of column i, for two columns in each word of the vectors but no more than
// `columns`; rows: added less subtracted.
template <typename Entry, class V>
HWY_INLINE void PassOnPairs(V whole, V upper, size_t rows, size_t columns, int32_t* acc) {
  using Wide = typename Widened<Entry>::Type;
  const hn::ScalableTag<Wide> d;
  constexpr int kBits = 8 * sizeof(Entry);
  const auto added = hn::Set(d, static_cast<Wide>(rows << (kBits - 1)));
  const auto lower = hn::Sub(hn::Sub(whole, hn::ShiftLeft<kBits>(upper)), added);
  HWY_ALIGN_MAX Wide sums[2 * hn::MaxLanes(d)];
  hn::StoreInterleaved2(lower, upper, d, sums);
  const size_t count = columns < 2 * hn::Lanes(d) ? columns : 2 * hn::Lanes(d);
  size_t c = 0;
  const hn::ScalableTag<int32_t> d32;
  const hn::Rebind<Wide, decltype(d32)> narrow;
  for (const size_t lanes = hn::Lanes(d32); c + lanes <= count; c += lanes) {
    const auto sum = ToInt32(d32, hn::Load(narrow, sums + c));
    hn::StoreU(hn::Add(hn::LoadU(d32, acc + c), sum), d32, acc + c);
  }
  for (; c < count; ++c) acc[c] += sums[c];
}

// Sums of the columns of one block, kept apart by the parity of the column. Two entries lie in a
// word of the wider type. With the top bit of the lower one flipped, which adds half its range, the
// word is upper * 2^bits + lower, lower >= 0: so the sum of whole words and the sum of upper halves
// hold both sums, and an entry pair costs a flip, a shift and two additions. Arithmetic is modulo
// the word, which is exact since the sums fit it. Read-modify-write of these sums stays in the
// first-level cache.
template <typename Entry>
class BlockSums {
 public:
  using Wide = typename Widened<Entry>::Type;
  static constexpr int kBits = 8 * sizeof(Entry);

  HWY_INLINE void Clear(size_t words) {
    std::memset(whole_, 0, words * sizeof(Wide));
    std::memset(upper_, 0, words * sizeof(Wide));
    rows_ = 0;
  }

  // Adds or subtracts `lines` cache lines of kRows rows, from entry n of each on.
  template <bool kSubtract, size_t kRows>
  HWY_INLINE void Add(const Entry* const* rows, size_t n, size_t lines) {
    const hn::ScalableTag<Wide> d;
    const size_t lanes = hn::Lanes(d);
    const auto flip = hn::Set(d, static_cast<Wide>(Wide{1} << (kBits - 1)));
    const Wide* from[kRows];
    for (size_t r = 0; r < kRows; ++r) from[r] = reinterpret_cast<const Wide*>(rows[r] + n);
    const size_t words = lines * kLineBytes / sizeof(Wide);
    for (size_t i = 0; i < words; i += lanes) {
      auto whole = hn::Load(d, whole_ + i);
      auto upper = hn::Load(d, upper_ + i);
      for (size_t r = 0; r < kRows; ++r) {
        const auto word = hn::Xor(hn::Load(d, from[r] + i), flip);
        const auto half = hn::ShiftRight<kBits>(word);
        whole = kSubtract ? hn::Sub(whole, word) : hn::Add(whole, word);
        upper = kSubtract ? hn::Sub(upper, half) : hn::Add(upper, half);
      }
      hn::Store(whole, d, whole_ + i);
      hn::Store(upper, d, upper_ + i);
    }
    rows_ += kSubtract ? size_t{0} - kRows : kRows;
  }

  // acc[i] += the sum of column i.
  HWY_INLINE void PassOn(size_t columns, int32_t* acc) {
    const hn::ScalableTag<Wide> d;
    const size_t lanes = hn::Lanes(d);
    for (size_t i = 0; i * 2 < columns; i += lanes) {
      PassOnPairs<Entry>(hn::Load(d, whole_ + i), hn::Load(d, upper_ + i), rows_, columns - i * 2,
                         acc + i * 2);
    }
  }

 private:
  static constexpr size_t kWords = kBlockBytes / sizeof(Wide);
  HWY_ALIGN_MAX Wide whole_[kWords];
  HWY_ALIGN_MAX Wide upper_[kWords];
  size_t rows_ = 0;  // added less subtracted, modulo 2^64
};

template <typename Entry>
HWY_INLINE void PrefetchStarts(const Entry* const* rows, size_t count, size_t n) {
  for (size_t r = 0; r < count; ++r) {
    for (size_t line = 0; line < kPrefetchedLines; ++line) {
      hwy::Prefetch(rows[r] + n + line * kLineBytes / sizeof(Entry));
    }
  }
}

// `ahead`: rows behind these in the list, which come next.
template <bool kSubtract, typename Entry>
HWY_INLINE void AddGroups(const Entry* const* rows, size_t row_count, size_t ahead, size_t n,
                          size_t lines, BlockSums<Entry>* sums) {
  size_t r = 0;
  const size_t known = row_count + ahead;
  for (; r + kGroupRows <= row_count; r += kGroupRows) {
    const size_t next = known - r - kGroupRows;
    PrefetchStarts(rows + r + kGroupRows, next < kGroupRows ? next : kGroupRows, n);
    sums->template Add<kSubtract, kGroupRows>(rows + r, n, lines);
  }
  if (r < row_count) {
    PrefetchStarts(rows + row_count, ahead < kGroupRows ? ahead : kGroupRows, n);
    if (row_count - r >= 3) {
      sums->template Add<kSubtract, 3>(rows + r, n, lines);
      r += 3;
    }
    if (row_count - r == 2) sums->template Add<kSubtract, 2>(rows + r, n, lines);
    if (row_count - r == 1) sums->template Add<kSubtract, 1>(rows + r, n, lines);
  }
}

// Rows of a batch, none null: those to be added, then those to be subtracted, then a few of the
// next batch, which are only prefetched.
template <typename Entry>
struct Batch {
  const Entry* rows[kBatchRows + kGroupRows];
  size_t added = 0;
  size_t subtracted = 0;
  size_t ahead = 0;
};

template <typename Entry>
HWY_INLINE size_t TakeBatch(const Entry* const* rows, const int8_t* signs, size_t first,
                            size_t row_count, Batch<Entry>* batch) {
  const Entry* subtracted[kBatchRows];
  batch->added = batch->subtracted = batch->ahead = 0;
  size_t r = first;
  for (; r < row_count && batch->added + batch->subtracted < kBatchRows; ++r) {
    if (rows[r] == nullptr) continue;
    if (signs != nullptr && signs[r] < 0) {
      subtracted[batch->subtracted++] = rows[r];
    } else {
      batch->rows[batch->added++] = rows[r];
    }
  }
  size_t count = batch->added;
  for (size_t i = 0; i < batch->subtracted; ++i) batch->rows[count++] = subtracted[i];
  for (size_t next = r; next < row_count && batch->ahead < kGroupRows; ++next) {
    if (rows[next] == nullptr) continue;
    batch->rows[count++] = rows[next];
    ++batch->ahead;
  }
  return r;
}

// Rows are read in groups, side by side: each row trains a prefetcher of its own, and more rows at
// once than a few would displace each other in the cache, as columns of rows that are pages apart
// share its sets. Only the first lines of the next group's rows are prefetched here.
template <typename Entry>
HWY_INLINE void AddRowsOf(const Entry* const* rows, const int8_t* signs, size_t row_count,
                          size_t neurons, int32_t* acc) {
  constexpr size_t kBlock = kBlockBytes / sizeof(Entry);
  constexpr size_t kLine = kLineBytes / sizeof(Entry);
  Batch<Entry> batch;
  BlockSums<Entry> sums;
  for (size_t next = 0; next < row_count;) {
    next = TakeBatch(rows, signs, next, row_count, &batch);
    for (size_t n = 0; n < neurons; n += kBlock) {
      const size_t columns = neurons - n < kBlock ? neurons - n : kBlock;
      const size_t lines = (columns + kLine - 1) / kLine;
      sums.Clear(lines * kLine / 2);
      AddGroups<false>(batch.rows, batch.added, batch.subtracted + batch.ahead, n, lines, &sums);
      AddGroups<true>(batch.rows + batch.added, batch.subtracted, batch.ahead, n, lines, &sums);
      sums.PassOn(columns, acc + n);
    }
  }
}

// ---- Many vectors ----

// One vector after the other: what they share is the rows in the last-level cache.
template <typename Entry>
HWY_INLINE void AddRowListsOf(const RowList<Entry>* lists, size_t vectors, size_t begin, size_t end,
                              size_t acc_stride, int32_t* acc) {
  constexpr size_t kBlock = kBlockBytes / sizeof(Entry);
  constexpr size_t kLine = kLineBytes / sizeof(Entry);
  BlockSums<Entry> sums;
  for (size_t v = 0; v < vectors; ++v) {
    const RowList<Entry>& list = lists[v];
    const size_t count = list.added + list.subtracted;
    for (size_t first = 0; first < count; first += kBatchRows) {
      const size_t last = count - first < kBatchRows ? count : first + kBatchRows;
      const size_t turn = last < list.added ? last : first < list.added ? list.added : first;
      for (size_t n = begin; n < end; n += kBlock) {
        const size_t columns = end - n < kBlock ? end - n : kBlock;
        const size_t lines = (columns + kLine - 1) / kLine;
        sums.Clear(lines * kLine / 2);
        AddGroups<false>(list.rows + first, turn - first, count - turn, n, lines, &sums);
        AddGroups<true>(list.rows + turn, last - turn, count - last, n, lines, &sums);
        sums.PassOn(columns, acc + v * acc_stride + n);
      }
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
void AddRowListsI16(const RowList<int16_t>* lists, size_t vectors, size_t begin, size_t end,
                    size_t acc_stride, int32_t* acc) {
  AddRowListsOf(lists, vectors, begin, end, acc_stride, acc);
}
void AddRowListsI8(const RowList<int8_t>* lists, size_t vectors, size_t begin, size_t end,
                   size_t acc_stride, int32_t* acc) {
  AddRowListsOf(lists, vectors, begin, end, acc_stride, acc);
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
void AddRowLists(const RowList<int16_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowListsI16)
  (lists, vectors, begin, end, acc_stride, acc);
}
void AddRowLists(const RowList<int8_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc) {
  HWY_DYNAMIC_DISPATCH(AddRowListsI8)
  (lists, vectors, begin, end, acc_stride, acc);
}
void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleSumsOf)(acc, step, bias, scale, neurons, y);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
