// Input coding, look up and add, and product records on every instruction set, against the oracle.
#include <algorithm>
#include <cfloat>

#include "engine/kernels/reference.h"
#include "tests/kernels/isa_cases.h"

namespace lutdb::kernels {
namespace {

class Integer : public PerIsa {};
LUTDB_FOR_EACH_ISA(Integer);

Levels SignedLevels(int bits) {
  if (bits == 1) return {-1, 1, 2};
  const int32_t max = (1 << (bits - 1)) - 1;
  return {-max, max, 1};
}
Levels UnsignedLevels(int bits) { return {0, (1 << bits) - 1, 1}; }

uint32_t CountOf(Levels levels) {
  return static_cast<uint32_t>((levels.max - levels.min) / levels.stride) + 1;
}

TEST_P(Integer, ScaleAndLevels) {
  for (int bits = 1; bits <= 16; ++bits) {
    for (const Levels levels : {SignedLevels(bits), UnsignedLevels(bits)}) {
      for (size_t count = 0; count <= 130; count += bits == 8 ? 1 : 13) {
        for (const float spread : {1.0f, 1e-42f, 1e-30f, 1e30f}) {
          const std::vector<float> x = Normals(count, static_cast<uint32_t>(bits), spread);
          const float scale = ChooseScale(x.data(), count, levels);
          const float expected = reference::ChooseScale(x.data(), count, levels);
          ASSERT_TRUE(SameBits(&scale, &expected, 1)) << bits << " bits, count " << count;
          ASSERT_GT(scale, 0);
          Guarded<uint16_t> found(count);
          std::vector<uint16_t> index(count);
          LevelIndices(x.data(), count, scale, levels, found.data());
          reference::LevelIndices(x.data(), count, scale, levels, index.data());
          ASSERT_TRUE(SameBits(found.data(), index.data(), count)) << bits << " bits";
          found.ExpectIntact();
          for (const uint16_t number : index) ASSERT_LT(number, CountOf(levels));
        }
      }
    }
  }
}

TEST_P(Integer, LevelsOfTiesAndExtremes) {
  const std::vector<float> x = {0.5f,    1.5f,     2.5f,    -0.5f,    -1.5f, -2.5f,
                                126.5f,  127.5f,   1e30f,   -1e30f,   -0.0f, 0.0f,
                                FLT_MAX, -FLT_MAX, 126.49f, -126.51f, 3.0f,  4.0f};
  std::vector<uint16_t> found(x.size()), expected(x.size());
  const Levels levels = SignedLevels(8);
  LevelIndices(x.data(), x.size(), 1.0f, levels, found.data());
  reference::LevelIndices(x.data(), x.size(), 1.0f, levels, expected.data());
  EXPECT_EQ(found, expected);
  EXPECT_EQ(found[0], 127);  // ties to even: 0.5 -> 0
  EXPECT_EQ(found[1], 129);
  EXPECT_EQ(found[2], 129);
  EXPECT_EQ(found[8], 254);
  EXPECT_EQ(found[9], 0);
}

// Rows of the given entry type, aligned and padded to cache lines as the contract asks, with
// rubbish in the padding.
template <typename Entry>
struct Rows {
  AlignedArray<Entry> memory;
  std::vector<const Entry*> pointers;
  std::vector<int8_t> signs;

  Rows(size_t row_count, size_t neurons, uint32_t seed, int limit) {
    const size_t line = 64 / sizeof(Entry);
    const size_t stride = (neurons + line - 1) / line * line;
    memory = MakeAligned<Entry>(std::max<size_t>(1, row_count * stride));
    std::mt19937 random(seed);
    for (size_t i = 0; i < row_count * stride; ++i) {
      memory[i] = static_cast<Entry>(static_cast<int>(random() % (2 * limit + 1)) - limit);
    }
    for (size_t r = 0; r < row_count; ++r) {
      pointers.push_back(random() % 7 == 0 ? nullptr : memory.get() + r * stride);
      signs.push_back(random() % 3 == 0 ? int8_t{-1} : int8_t{1});
    }
  }
};

template <typename Entry>
void CompareAddRows(size_t row_count, size_t neurons, int limit) {
  const Rows<Entry> rows(row_count, neurons, static_cast<uint32_t>(row_count * 1000 + neurons),
                         limit);
  for (const int8_t* signs : {static_cast<const int8_t*>(nullptr), rows.signs.data()}) {
    Guarded<int32_t> found(neurons);
    std::vector<int32_t> expected(neurons);
    for (size_t n = 0; n < neurons; ++n)
      found.data()[n] = expected[n] = static_cast<int32_t>(n * 7);
    AddRows(rows.pointers.data(), signs, row_count, neurons, found.data());
    reference::AddRows(rows.pointers.data(), signs, row_count, neurons, expected.data());
    ASSERT_TRUE(SameBits(found.data(), expected.data(), neurons))
        << row_count << " rows, " << neurons << " neurons";
    found.ExpectIntact();
  }
}

TEST_P(Integer, AddRows) {
  for (size_t neurons = 0; neurons <= 130; ++neurons) {
    for (const size_t rows : {0, 1, 3, 9, 20}) {
      CompareAddRows<int16_t>(rows, neurons, 32767);
      CompareAddRows<int8_t>(rows, neurons, 127);
    }
  }
  for (size_t rows = 0; rows <= 40; ++rows) {
    CompareAddRows<int16_t>(rows, 100, 32767);
    CompareAddRows<int8_t>(rows, 100, 127);
  }
  CompareAddRows<int16_t>(700, 9001, 32767);
  CompareAddRows<int8_t>(700, 9001, 127);
}

template <typename Entry>
void CompareAddRowLists(size_t row_count, size_t neurons, size_t vectors, int limit) {
  const auto seed = static_cast<uint32_t>(row_count * 1000 + neurons * 10 + vectors);
  const Rows<Entry> rows(row_count, neurons, seed, limit);
  std::vector<const Entry*> distinct;
  for (const Entry* row : rows.pointers) {
    if (row != nullptr) distinct.push_back(row);
  }
  std::mt19937 random(seed);
  std::vector<std::vector<const Entry*>> listed(vectors);
  std::vector<RowList<Entry>> lists(vectors);
  for (size_t v = 0; v < vectors; ++v) {
    const size_t count = distinct.empty() ? 0 : random() % (2 * row_count);
    for (size_t r = 0; r < count; ++r) listed[v].push_back(distinct[random() % distinct.size()]);
    const size_t added = count == 0 ? 0 : random() % (count + 1);
    lists[v] = {.rows = listed[v].data(), .added = added, .subtracted = count - added};
  }
  const size_t begin = neurons / 2 / 64 * 64;
  Guarded<int32_t> found(vectors * neurons);
  std::vector<int32_t> expected(vectors * neurons);
  for (size_t i = 0; i < expected.size(); ++i) {
    found.data()[i] = expected[i] = static_cast<int32_t>(i * 7);
  }
  AddRowLists(lists.data(), vectors, begin, neurons, neurons, found.data());
  reference::AddRowLists(lists.data(), vectors, begin, neurons, neurons, expected.data());
  ASSERT_TRUE(SameBits(found.data(), expected.data(), expected.size()))
      << row_count << " rows, " << neurons << " neurons, " << vectors << " vectors";
  found.ExpectIntact();
}

TEST_P(Integer, AddRowLists) {
  for (size_t neurons = 0; neurons <= 140; neurons += 3) {
    for (const size_t rows : {0, 1, 7, 40}) {
      CompareAddRowLists<int16_t>(rows, neurons, 3, 32767);
      CompareAddRowLists<int8_t>(rows, neurons, 3, 127);
    }
  }
  for (const size_t vectors : {0, 1, 5}) {
    CompareAddRowLists<int16_t>(600, 1300, vectors, 32767);
    CompareAddRowLists<int8_t>(600, 1300, vectors, 127);
  }
}

// Packed rows give the sums that the same rows give one by one, also at the entry limit.
template <typename Entry>
void ComparePacked(size_t row_count, size_t each, size_t calls, size_t vectors, int limit) {
  const auto seed = static_cast<uint32_t>(row_count * 100 + each * 10 + vectors);
  std::mt19937 random(seed);
  AlignedArray<Entry> rows = MakeAligned<Entry>(row_count * kPackedNeurons);
  for (size_t i = 0; i < row_count * kPackedNeurons; ++i) {
    const int value = static_cast<int>(random() % (2 * static_cast<unsigned>(limit) + 1)) - limit;
    rows[i] = static_cast<Entry>(i % 64 < 4 ? limit : i % 64 < 8 ? -limit : value);
  }
  using Sum = PackedSum<Entry>;
  const size_t numbers_count = vectors * kPackedNeurons;
  AlignedArray<Sum> sums = MakeAligned<Sum>(numbers_count + 64);
  AlignedArray<int32_t> found = MakeAligned<int32_t>(numbers_count + 64);
  std::fill_n(sums.get(), numbers_count + 64, Sum{0});
  std::fill_n(found.get(), numbers_count + 64, 3);
  std::vector<int32_t> expected(numbers_count + 64, 3);
  std::vector<Sum> expected_sums(numbers_count, 0);
  for (int round = 0; round < 2; ++round) {
    for (size_t call = 0; call < calls; ++call) {
      std::vector<uint16_t> numbers(vectors * each);
      for (uint16_t& number : numbers) number = static_cast<uint16_t>(random() % row_count);
      AddPacked(rows.get(), numbers.data(), each, vectors, sums.get());
      reference::AddPacked(rows.get(), numbers.data(), each, vectors, expected_sums.data());
    }
    PassOnPacked(sums.get(), vectors, each * calls, found.get());
    reference::PassOnPacked(expected_sums.data(), vectors, each * calls, expected.data());
  }
  ASSERT_TRUE(SameBits(found.get(), expected.data(), expected.size()))
      << row_count << " rows, " << each << " a vector, " << vectors << " vectors";
}

TEST_P(Integer, AddPacked) {
  for (const size_t each : {1, 2, 3, 7, 16, 28}) {
    for (const size_t vectors : {1, 2, 5}) {
      ComparePacked<int8_t>(100, each, kPackedRowsMax / each, vectors, 127);
      ComparePacked<int16_t>(100, each, 20, vectors, 32767);
    }
  }
  ComparePacked<int8_t>(65535, 9, 2, 3, 127);
  ComparePacked<int16_t>(1, 1, 32768, 1, 32767);  // twice: as much as 32 bits hold
}

// All rows at the entry limit, as many as a layer may have: the sum must come out exactly.
TEST_P(Integer, SumsDoNotOverflow) {
  constexpr size_t kRows = 65538;
  constexpr size_t kNeurons = 70;
  AlignedArray<int16_t> wide = MakeAligned<int16_t>(96);
  AlignedArray<int8_t> narrow = MakeAligned<int8_t>(128);
  std::fill_n(wide.get(), 96, int16_t{32767});
  std::fill_n(narrow.get(), 128, int8_t{-127});
  const std::vector<const int16_t*> wide_rows(kRows, wide.get());
  const std::vector<const int8_t*> narrow_rows(kRows, narrow.get());
  std::vector<int32_t> acc(kNeurons, 0);
  AddRows(wide_rows.data(), nullptr, kRows, kNeurons, acc.data());
  for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, int64_t{32767} * int64_t{kRows});
  std::fill(acc.begin(), acc.end(), 0);
  AddRows(narrow_rows.data(), nullptr, kRows, kNeurons, acc.data());
  for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, int64_t{-127} * int64_t{kRows});
  const std::vector<int8_t> minus(kRows, -1);
  std::fill(acc.begin(), acc.end(), 0);
  AddRows(wide_rows.data(), minus.data(), kRows, kNeurons, acc.data());
  for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, int64_t{-32767} * int64_t{kRows});
  std::fill(acc.begin(), acc.end(), 0);
  AddRows(narrow_rows.data(), minus.data(), kRows, kNeurons, acc.data());
  for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, int64_t{127} * int64_t{kRows});
  for (const size_t added : {size_t{0}, kRows}) {
    const RowList<int16_t> wide_list = {wide_rows.data(), added, kRows - added};
    const RowList<int8_t> narrow_list = {narrow_rows.data(), added, kRows - added};
    const int64_t sign = added == 0 ? -1 : 1;
    std::fill(acc.begin(), acc.end(), 0);
    AddRowLists(&wide_list, 1, 0, kNeurons, kNeurons, acc.data());
    for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, sign * 32767 * int64_t{kRows});
    std::fill(acc.begin(), acc.end(), 0);
    AddRowLists(&narrow_list, 1, 0, kNeurons, kNeurons, acc.data());
    for (const int32_t sum : acc) ASSERT_EQ(int64_t{sum}, -sign * 127 * int64_t{kRows});
  }
}

// Slopes whose sums just fit the entry type, as StepOf makes them.
template <typename Slope, typename Entry>
void CompareProductCodes(const std::vector<Levels>& levels, uint32_t seed, bool ranges) {
  const auto positions = static_cast<uint32_t>(levels.size());
  constexpr int kShift = sizeof(Slope) == 8 ? 32 : sizeof(Entry) == 1 ? 24 : 16;
  const double limit = sizeof(Entry) == 1 ? 127.0 : 28671.0;
  std::mt19937_64 random(seed);
  AlignedArray<Slope> slopes = MakeAligned<Slope>(positions * 64);
  for (uint32_t n = 0; n < 64; ++n) {
    for (uint32_t p = 0; p < positions; ++p) {
      const double share = limit * static_cast<double>(int64_t{1} << kShift) / positions /
                           std::max(levels[p].max, -levels[p].min);
      const double part = n == 0   ? 1.0
                          : n == 1 ? -1.0
                          : n == 2 ? 0.0
                                   : static_cast<double>(random() % 2001) / 1000.0 - 1.0;
      slopes[p * 64 + n] = static_cast<Slope>(share * part);
    }
  }
  uint32_t codes = 1;
  for (const Levels& range : levels) codes *= CountOf(range);
  std::vector<Entry> expected(size_t{codes} * 64);
  reference::ProductCodes(slopes.get(), levels.data(), positions, kShift, 0, codes, expected.data(),
                          64);
  const auto compare = [&](uint32_t begin, uint32_t end, size_t stride) {
    const size_t count = begin == end ? 0 : (end - begin - 1) * stride + 64;
    Guarded<Entry> found(count);
    ProductCodes(slopes.get(), levels.data(), positions, kShift, begin, end, found.data(), stride);
    for (uint32_t code = begin; code < end; ++code) {
      ASSERT_TRUE(
          SameBits(found.data() + (code - begin) * stride, expected.data() + size_t{code} * 64, 64))
          << "code " << code << " of " << begin << ".." << end << ", " << positions << " positions";
    }
    found.ExpectIntact();
  };
  compare(0, codes, 64);
  compare(0, 0, 64);
  for (int i = 0; ranges && i < 40; ++i) {
    const auto begin = static_cast<uint32_t>(random() % codes);
    const auto length = static_cast<uint32_t>(random() % std::min<uint32_t>(codes - begin, 300));
    compare(begin, begin + 1, 64);
    compare(begin, begin + length, i % 2 == 0 ? 64 : 192);
  }
}

// One code of several blocks is what the codes of each block are, and what the oracle says.
template <typename Entry>
void CompareProductRows(const std::vector<Levels>& levels, size_t blocks) {
  const auto positions = static_cast<uint32_t>(levels.size());
  constexpr int kShift = sizeof(Entry) == 1 ? 24 : 16;
  const double limit = sizeof(Entry) == 1 ? 127.0 : 32767.0;
  std::mt19937_64 random(blocks);
  const size_t block_slopes = size_t{positions} * 64;
  AlignedArray<int32_t> slopes = MakeAligned<int32_t>(blocks * block_slopes);
  for (size_t i = 0; i < blocks * block_slopes; ++i) {
    const Levels& range = levels[i / 64 % positions];
    const double share =
        limit * (int64_t{1} << kShift) / positions / std::max(range.max, -range.min);
    slopes[i] = static_cast<int32_t>(share * (static_cast<double>(random() % 2001) / 1000.0 - 1.0));
  }
  uint32_t codes = 1;
  for (const Levels& range : levels) codes *= CountOf(range);
  for (uint32_t code = 0; code < codes; code += 1 + codes / 300) {
    std::vector<int32_t> level(positions);
    for (uint32_t p = positions, rest = code; p-- > 0; rest /= CountOf(levels[p])) {
      level[p] = levels[p].min + static_cast<int32_t>(rest % CountOf(levels[p])) * levels[p].stride;
    }
    Guarded<Entry> found(blocks * 64);
    std::vector<Entry> expected(blocks * 64), by_codes(blocks * 64);
    ProductRow(slopes.get(), level.data(), positions, blocks, found.data());
    reference::ProductRow(slopes.get(), level.data(), positions, blocks, expected.data());
    for (size_t b = 0; b < blocks; ++b) {
      reference::ProductCodes(slopes.get() + b * block_slopes, levels.data(), positions, kShift,
                              code, code + 1, by_codes.data() + b * 64, 64);
    }
    ASSERT_TRUE(SameBits(found.data(), expected.data(), expected.size())) << "code " << code;
    ASSERT_TRUE(SameBits(found.data(), by_codes.data(), by_codes.size())) << "code " << code;
    found.ExpectIntact();
  }
}

TEST_P(Integer, ProductRow) {
  for (const std::vector<Levels>& chunk : {std::vector<Levels>{SignedLevels(8)},
                                           {UnsignedLevels(8)},
                                           {SignedLevels(1)},
                                           {SignedLevels(4), SignedLevels(4)},
                                           {SignedLevels(3), UnsignedLevels(2), SignedLevels(1)},
                                           std::vector<Levels>(16, SignedLevels(1))}) {
    for (const size_t blocks : {1, 3}) {
      CompareProductRows<int8_t>(chunk, blocks);
      CompareProductRows<int16_t>(chunk, blocks);
    }
  }
}

TEST_P(Integer, NarrowProductCodes) {
  for (int bits = 1; bits <= 8; ++bits) {
    CompareProductCodes<int32_t, int16_t>({SignedLevels(bits)}, 1, true);
    CompareProductCodes<int32_t, int16_t>({UnsignedLevels(bits)}, 2, true);
    CompareProductCodes<int32_t, int8_t>({SignedLevels(bits)}, 3, true);
    CompareProductCodes<int32_t, int8_t>({UnsignedLevels(bits)}, 4, true);
  }
}

TEST_P(Integer, ProductCodesOfSeveralPositions) {
  const std::vector<std::vector<Levels>> chunks = {
      {SignedLevels(4), SignedLevels(4)},
      {SignedLevels(3), SignedLevels(3), SignedLevels(3)},
      {UnsignedLevels(2), UnsignedLevels(2), UnsignedLevels(2)},
      {SignedLevels(3), UnsignedLevels(2), SignedLevels(1)},
      {UnsignedLevels(3), SignedLevels(4)},
      {SignedLevels(1), SignedLevels(4), UnsignedLevels(1)},
      std::vector<Levels>(10, SignedLevels(1)),
      std::vector<Levels>(6, SignedLevels(2)),
      std::vector<Levels>(11, UnsignedLevels(1)),
  };
  for (const std::vector<Levels>& chunk : chunks) {
    CompareProductCodes<int32_t, int16_t>(chunk, 5, true);
    CompareProductCodes<int32_t, int8_t>(chunk, 6, true);
  }
  CompareProductCodes<int32_t, int16_t>(std::vector<Levels>(16, SignedLevels(1)), 7, false);
}

TEST_P(Integer, WideProductCodes) {
  for (const std::vector<Levels>& chunk : {std::vector<Levels>{SignedLevels(9)},
                                           {UnsignedLevels(10)},
                                           {SignedLevels(9), SignedLevels(3)},
                                           {UnsignedLevels(2), SignedLevels(10)},
                                           {SignedLevels(12)}}) {
    CompareProductCodes<int64_t, int16_t>(chunk, 8, true);
    CompareProductCodes<int64_t, int8_t>(chunk, 9, true);
  }
  CompareProductCodes<int64_t, int16_t>({SignedLevels(16)}, 10, false);
}

}  // namespace
}  // namespace lutdb::kernels
