// Look up and add: a few rows at a time are added to, or subtracted from, sums of a block of
// neurons that stay in the first-level cache, and the rows that come next are fetched meanwhile.
// What limits it is how many reads of memory a core has under way: every instruction that is saved
// per line lets it look further ahead (docs/performance.md).
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

constexpr size_t kGroupRows = 8;      // read side by side, at most
constexpr size_t kBatchRows = 240;    // whole groups; sums of so many int8 entries fit int16
constexpr size_t kBlockBytes = 4096;  // of each row; sums of a block take twice that
constexpr size_t kLineBytes = 64;
// 8 KiB of a group are prefetched and not yet added: they stay in the first-level cache.
constexpr size_t kAheadLines = 16;

// What is prefetched while a group of rows is added.
enum class Fetch {
  kAhead,   // of rows in memory: the same rows' lines kAheadLines ahead, then the next group's
  kStarts,  // of rows in some cache: two lines of each row of the next group
};

// What entries widen to. int16 sums of int8 entries are passed on to int32 before they could
// overflow; int32 sums of int16 entries cannot (65,538 rows at most).
template <typename Entry>
struct Widened;
template <>
struct Widened<int8_t> {
  using Type = int16_t;
};
template <>
struct Widened<int16_t> {
  using Type = int32_t;
};

template <class V>
HWY_INLINE hn::Vec<hn::ScalableTag<int32_t> > ToInt32(hn::ScalableTag<int32_t> d, V value) {
  if constexpr (sizeof(hn::TFromV<V>) == sizeof(int32_t)) {
    return value;
  } else {
    return hn::PromoteTo(d, value);
  }
}

// How rows of a group are signed.
enum class Sign {
  kAdd,
  kSubtract,
  kEach,  // each as its flag says
};

// How many rows went into some sums, those that were subtracted among them.
struct RowCounts {
  size_t all = 0;
  size_t subtracted = 0;
};

// acc[i] += the sum of column i, for two columns in each word of the vectors but no more than
// `columns`.
template <typename Entry, class V>
HWY_INLINE void PassOnPairs(V whole, V upper, const RowCounts& rows, size_t columns, int32_t* acc) {
  using Wide = typename Widened<Entry>::Type;
  const hn::ScalableTag<Wide> d;
  constexpr int kBits = 8 * sizeof(Entry);
  const auto ones = hn::Set(d, static_cast<Wide>(rows.subtracted));
  const auto halves =
      hn::Set(d, static_cast<Wide>((rows.all - 2 * rows.subtracted) << (kBits - 1)));
  const auto high = hn::Add(upper, ones);
  const auto lower = hn::Sub(hn::Sub(hn::Add(whole, ones), hn::ShiftLeft<kBits>(high)), halves);
  HWY_ALIGN_MAX Wide sums[2 * hn::MaxLanes(d)];
  hn::StoreInterleaved2(lower, high, d, sums);
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
// hold both sums, and an entry pair costs a flip, a shift and two additions. A row is subtracted by
// flipping all other bits instead: that adds -1 less the word, and its upper half -1 less its own.
// Arithmetic is modulo the word, which is exact since the sums fit it. Read-modify-write of these
// sums stays in the first-level cache.
template <typename Entry>
class BlockSums {
 public:
  using Wide = typename Widened<Entry>::Type;
  static constexpr int kBits = 8 * sizeof(Entry);

  HWY_INLINE void Clear(size_t words) {
    std::memset(whole_, 0, words * sizeof(Wide));
    std::memset(upper_, 0, words * sizeof(Wide));
    rows_ = {};
  }

  // Adds or subtracts `lines` cache lines of kRows rows, from entry n of each on. With
  // Fetch::kAhead the lines some way ahead are prefetched, at the end of the rows the first ones of
  // the rows `next`. `negative`: for Sign::kEach, one flag a row.
  template <Sign kSign, size_t kRows, Fetch kFetch>
  HWY_INLINE void Add(const Entry* const* rows, const uint8_t* negative, const Entry* const* next,
                      size_t n, size_t lines) {
    constexpr Wide kFlip = Wide{1} << (kBits - 1);
    Wide flips[kRows];
    const Wide* from[kRows];
    const Wide* then[kRows];
    for (size_t r = 0; r < kRows; ++r) {
      const bool subtract = kSign == Sign::kEach ? negative[r] != 0 : kSign == Sign::kSubtract;
      flips[r] = static_cast<Wide>(subtract ? ~kFlip : kFlip);
      rows_.subtracted += subtract;
      from[r] = reinterpret_cast<const Wide*>(rows[r] + n);
      then[r] = reinterpret_cast<const Wide*>(next[r] + n);
    }
    rows_.all += kRows;
    const size_t end = lines * kLineWords;
    if constexpr (kFetch == Fetch::kAhead) {
      constexpr size_t kAhead = kAheadLines * kLineWords;
      size_t turn = 0;
      if (end > kAhead) {
        turn = end - kAhead;
        AddWords<kSign, kRows, true>(from, flips, 0, turn, from, kAhead);
      }
      AddWords<kSign, kRows, true>(from, flips, turn, end, then, size_t{0} - turn);
    } else {
      AddWords<kSign, kRows, false>(from, flips, 0, end, then, 0);
    }
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
  // Words begin .. end of the rows; word i + shift (modulo 2^64) of `fetched` is prefetched with
  // word i.
  template <Sign kSign, size_t kRows, bool kPrefetch>
  HWY_INLINE void AddWords(const Wide* const* from, const Wide* flips, size_t begin, size_t end,
                           const Wide* const* fetched, size_t shift) {
    const hn::ScalableTag<Wide> d;
    const auto same = hn::Set(d, flips[0]);
    for (size_t i = begin; i < end; i += hn::Lanes(d)) {
      auto whole = hn::Load(d, whole_ + i);
      auto upper = hn::Load(d, upper_ + i);
      for (size_t r = 0; r < kRows; ++r) {
        const auto flip = kSign == Sign::kEach ? hn::Set(d, flips[r]) : same;
        const auto word = hn::Xor(hn::Load(d, from[r] + i), flip);
        whole = hn::Add(whole, word);
        upper = hn::Add(upper, hn::ShiftRight<kBits>(word));
      }
      hn::Store(whole, d, whole_ + i);
      hn::Store(upper, d, upper_ + i);
      if (kPrefetch && (hn::MaxLanes(d) >= kLineWords || i % kLineWords == 0)) {
        for (size_t r = 0; r < kRows; ++r) hwy::Prefetch(fetched[r] + (i + shift));
      }
    }
  }

  static constexpr size_t kLineWords = kLineBytes / sizeof(Wide);
  static constexpr size_t kWords = kBlockBytes / sizeof(Wide);
  HWY_ALIGN_MAX Wide whole_[kWords];
  HWY_ALIGN_MAX Wide upper_[kWords];
  RowCounts rows_;
};

// Rows to be summed, none null, and what comes after them.
template <typename Entry>
struct RowSpan {
  const Entry* const* rows;
  const uint8_t* negative;  // one flag a row; null unless they are signed one by one
  size_t count;
  size_t ahead;  // rows behind these in the list, which come next: only prefetched
};

// Adds as many groups of kRows rows as there are from row r on; the row behind them.
template <Sign kSign, size_t kRows, Fetch kFetch, typename Entry>
HWY_INLINE size_t AddGroupsOf(const RowSpan<Entry>& span, size_t r, size_t n, size_t lines,
                              BlockSums<Entry>* sums) {
  const size_t known = span.count + span.ahead;
  for (; r + kRows <= span.count; r += kRows) {
    const Entry* next[kRows];
    for (size_t i = 0; i < kRows; ++i) {
      next[i] = span.rows[r + kRows + i < known ? r + kRows + i : r + i];
    }
    // Early, for the sake of the TLB: what is prefetched later must not wait for a page's address.
    for (const Entry* row : next) hwy::Prefetch(row + n);
    if constexpr (kFetch == Fetch::kStarts) {
      for (const Entry* row : next) hwy::Prefetch(row + n + kLineBytes / sizeof(Entry));
    }
    sums->template Add<kSign, kRows, kFetch>(
        span.rows + r, kSign == Sign::kEach ? span.negative + r : nullptr, next, n, lines);
  }
  return r;
}

template <Sign kSign, Fetch kFetch, typename Entry>
HWY_INLINE void AddSpan(const RowSpan<Entry>& span, size_t n, size_t lines,
                        BlockSums<Entry>* sums) {
  size_t r = 0;
  if constexpr (kFetch == Fetch::kAhead) {
    r = AddGroupsOf<kSign, 8, kFetch>(span, r, n, lines, sums);
    r = AddGroupsOf<kSign, 4, kFetch>(span, r, n, lines, sums);
  } else {
    r = AddGroupsOf<kSign, 6, kFetch>(span, r, n, lines, sums);
    r = AddGroupsOf<kSign, 3, kFetch>(span, r, n, lines, sums);
  }
  r = AddGroupsOf<kSign, 2, kFetch>(span, r, n, lines, sums);
  AddGroupsOf<kSign, 1, kFetch>(span, r, n, lines, sums);
}

// Rows of a batch, then a few of the next one.
template <typename Entry>
struct Batch {
  const Entry* rows[kBatchRows + kGroupRows];
  uint8_t negative[kBatchRows + kGroupRows];
  size_t count = 0;
  size_t ahead = 0;
};

// Fills the batch with the rows from `first` on that are there; where the next one begins.
template <typename Entry>
HWY_INLINE size_t TakeBatch(const Entry* const* rows, const int8_t* signs, size_t first,
                            size_t row_count, Batch<Entry>* batch) {
  size_t taken = 0;
  const auto take = [&](size_t r) {  // without branches: signs cannot be foretold
    batch->rows[taken] = rows[r];
    batch->negative[taken] = signs != nullptr && signs[r] < 0;
    taken += rows[r] != nullptr;
  };
  size_t r = first;
  for (; r < row_count && taken < kBatchRows; ++r) take(r);
  batch->count = taken;
  for (size_t next = r; next < row_count && taken < batch->count + kGroupRows; ++next) take(next);
  batch->ahead = taken - batch->count;
  return r;
}

// Rows are read in groups, side by side, and prefetched by software: a row is too short for the
// hardware to find out what comes.
template <Sign kSign, typename Entry>
HWY_INLINE void AddRowsSigned(const Entry* const* rows, const int8_t* signs, size_t row_count,
                              size_t neurons, int32_t* acc) {
  constexpr size_t kBlock = kBlockBytes / sizeof(Entry);
  constexpr size_t kLine = kLineBytes / sizeof(Entry);
  Batch<Entry> batch;
  BlockSums<Entry> sums;
  for (size_t next = 0; next < row_count;) {
    next = TakeBatch(rows, signs, next, row_count, &batch);
    const RowSpan<Entry> span = {batch.rows, batch.negative, batch.count, batch.ahead};
    for (size_t n = 0; n < neurons; n += kBlock) {
      const size_t columns = neurons - n < kBlock ? neurons - n : kBlock;
      const size_t lines = (columns + kLine - 1) / kLine;
      sums.Clear(lines * kLine / 2);
      AddSpan<kSign, Fetch::kAhead>(span, n, lines, &sums);
      sums.PassOn(columns, acc + n);
    }
  }
}

template <typename Entry>
HWY_INLINE void AddRowsOf(const Entry* const* rows, const int8_t* signs, size_t row_count,
                          size_t neurons, int32_t* acc) {
  if (signs == nullptr) {
    AddRowsSigned<Sign::kAdd>(rows, signs, row_count, neurons, acc);
  } else {
    AddRowsSigned<Sign::kEach>(rows, signs, row_count, neurons, acc);
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
        const RowSpan<Entry> added = {list.rows + first, nullptr, turn - first, count - turn};
        const RowSpan<Entry> subtracted = {list.rows + turn, nullptr, last - turn, count - last};
        AddSpan<Sign::kAdd, Fetch::kStarts>(added, n, lines, &sums);
        AddSpan<Sign::kSubtract, Fetch::kStarts>(subtracted, n, lines, &sums);
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
