#include "coding/levels.h"

#include <set>

#include "base/status.h"
#include "gmock/gmock.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

using testing::HasSubstr;

TEST(RangeOf, Grids) {
  const LevelRange bit = RangeOf({Grid::kSigned, 1});
  EXPECT_EQ(bit.min, -1);
  EXPECT_EQ(bit.max, 1);
  EXPECT_EQ(bit.stride, 2);
  EXPECT_EQ(bit.count, 2u);
  for (uint8_t bits = 2; bits <= 16; ++bits) {
    const LevelRange range = RangeOf({Grid::kSigned, bits});
    EXPECT_EQ(range.min, -range.max);
    EXPECT_EQ(range.max, (1 << (bits - 1)) - 1);
    EXPECT_EQ(range.count, (1u << bits) - 1);
    EXPECT_EQ(range.level(range.count - 1), range.max);
  }
  for (uint8_t bits = 1; bits <= 16; ++bits) {
    const LevelRange range = RangeOf({Grid::kUnsigned, bits});
    EXPECT_EQ(range.min, 0);
    EXPECT_EQ(range.count, 1u << bits);
    EXPECT_EQ(range.level(range.count - 1), range.max);
  }
}

TEST(TableGeometry, DefaultTable) {
  const auto geometry =
      TableGeometry::Create(Spec(3072, 3072, 1, Grid::kSigned, 8, EntryType::kI16, false)).value();
  EXPECT_TRUE(geometry.uniform());
  EXPECT_EQ(geometry.chunks(), 3072u);
  EXPECT_EQ(geometry.codes_max(), 255u);
  EXPECT_EQ(geometry.tile_chunks(), 8u);
  EXPECT_EQ(geometry.chunk_groups(), 384u);
  EXPECT_EQ(geometry.slope_shift(), 16);
  EXPECT_EQ(geometry.ZeroCode(0), 127u);
  EXPECT_EQ(geometry.raw_bytes(), uint64_t{3072} * 3072 * 255 * 2);
  EXPECT_EQ(geometry.row_blocks(), 2u);
}

TEST(TableGeometry, InputsThatDoNotFillTheLastChunkArePadded) {
  const auto geometry =
      TableGeometry::Create(Spec(7, 1, 3, Grid::kSigned, 4, EntryType::kI16, false)).value();
  EXPECT_EQ(geometry.chunks(), 3u);
  EXPECT_EQ(geometry.InputAt(2, 0), 6u);
  EXPECT_EQ(geometry.InputAt(2, 1), kPadding);
  EXPECT_EQ(geometry.InputAt(2, 2), kPadding);
}

TEST(TableGeometry, AMillionInputsCostNothing) {
  const auto geometry =
      TableGeometry::Create(Spec(1000000, 64, 16, Grid::kSigned, 1, EntryType::kI8, true)).value();
  EXPECT_EQ(geometry.chunks(), 62500u);
  EXPECT_EQ(geometry.codes_max(), 65536u);
  EXPECT_EQ(geometry.tile_chunks(), 1u);
  EXPECT_EQ(geometry.positions(62499).size(), 16u);
}

// The number of a code is the base-(levels) number of its level indices, first input first.
TEST(TableGeometry, CodesCountUpLikeDigits) {
  for (const SampleTable& table : SampleTables()) {
    const TableGeometry& geometry = table.geometry;
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      const auto positions = geometry.positions(chunk);
      std::vector<int32_t> previous;
      for (uint32_t code = 0; code < geometry.codes(chunk); ++code) {
        std::vector<int32_t> levels(positions.size());
        geometry.LevelsOf(chunk, code, levels.data());
        uint32_t number = 0;
        bool zero = true;
        for (size_t p = 0; p < positions.size(); ++p) {
          const LevelRange& range = positions[p].range;
          number =
              number * range.count + static_cast<uint32_t>((levels[p] - range.min) / range.stride);
          zero = zero && levels[p] == 0;
        }
        ASSERT_EQ(number, code);
        if (code > 0) {
          ASSERT_LT(previous, levels);
        }
        ASSERT_EQ(zero, geometry.ZeroCode(chunk) == code);
        previous = levels;
      }
    }
  }
}

TEST(TableGeometry, MirroredCodesAreNegatedLevelsAndEachRowIsKeptOnce) {
  for (const SampleTable& table : SampleTables()) {
    const TableGeometry& geometry = table.geometry;
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      const uint32_t codes = geometry.codes(chunk);
      const size_t count = geometry.positions(chunk).size();
      std::vector<int32_t> levels(count), stored_levels(count);
      std::set<uint32_t> kept;
      for (uint32_t code = 0; code < codes; ++code) {
        const auto stored = geometry.Stored(chunk, code);
        ASSERT_LT(stored.index, geometry.stored_codes(chunk));
        kept.insert(stored.index);
        geometry.LevelsOf(chunk, code, levels.data());
        geometry.LevelsOf(chunk, geometry.CodeOfStored(chunk, stored.index), stored_levels.data());
        for (size_t p = 0; p < count; ++p) {
          ASSERT_EQ(levels[p], stored.negated ? -stored_levels[p] : stored_levels[p]);
        }
      }
      EXPECT_EQ(kept.size(), geometry.stored_codes(chunk));
      if (!geometry.mirror() || !geometry.symmetric(chunk)) {
        EXPECT_EQ(geometry.stored_codes(chunk), codes);
      }
    }
  }
}

TEST(TableGeometry, TheFirstChunkOwnsAnInputThatSeveralList) {
  const auto geometry = TableGeometry::Create(ListSpec(EntryType::kI16, false)).value();
  EXPECT_FALSE(geometry.uniform());
  EXPECT_TRUE(geometry.positions(0)[1].owns);
  EXPECT_FALSE(geometry.positions(2)[1].owns);
  EXPECT_EQ(geometry.codes(2), 2u * 4 * 3);
  EXPECT_EQ(geometry.codes_total(), 7u * 15 + 32 + 24 + 63);
  EXPECT_EQ(geometry.max_bits(), 6u);
}

std::string ErrorOf(const TableSpec& spec) {
  const auto geometry = TableGeometry::Create(spec);
  if (geometry.ok()) return "OK";
  EXPECT_EQ(geometry.status().code(), absl::StatusCode::kInvalidArgument);
  return Message(geometry.status());
}

TEST(TableGeometry, Refusals) {
  const TableSpec good = Spec(6, 4, 1, Grid::kSigned, 4, EntryType::kI16, false);
  const auto with = [&](auto change) {
    TableSpec spec = good;
    change(&spec);
    return ErrorOf(spec);
  };
  EXPECT_EQ(ErrorOf(good), "OK");
  EXPECT_THAT(with([](TableSpec* s) { s->inputs = 0; }), HasSubstr("at least 1"));
  EXPECT_THAT(with([](TableSpec* s) { s->neurons = 0; }), HasSubstr("at least 1"));
  EXPECT_THAT(with([](TableSpec* s) { s->neurons = 5000000; }), HasSubstr("at most"));
  EXPECT_THAT(with([](TableSpec* s) { s->levels.bits = 0; }), HasSubstr("1 to 16"));
  EXPECT_THAT(with([](TableSpec* s) { s->levels.bits = 17; }), HasSubstr("1 to 16"));
  EXPECT_THAT(with([](TableSpec* s) { s->chunk = 0; }), HasSubstr("1 to 16"));
  EXPECT_THAT(with([](TableSpec* s) { s->chunk = 17; }), HasSubstr("1 to 16"));
  EXPECT_THAT(with([](TableSpec* s) { s->chunk = 5; }), HasSubstr("codes"));
  EXPECT_THAT(with([](TableSpec* s) { s->inputs = 70000; }), HasSubstr("longer chunks"));
  EXPECT_THAT(with([](TableSpec* s) { s->entry = static_cast<EntryType>(9); }), HasSubstr("entry"));
  EXPECT_THAT(with([](TableSpec* s) { s->levels.grid = static_cast<Grid>(9); }), HasSubstr("grid"));

  const auto with_chunks = [&](std::vector<ChunkSpec> chunks) {
    TableSpec spec = good;
    spec.inputs = 2;
    spec.chunks = std::move(chunks);
    return ErrorOf(spec);
  };
  const GridLevels four = {Grid::kSigned, 4};
  EXPECT_EQ(with_chunks({{{1}, {four}}, {{0}, {four}}}), "OK");
  EXPECT_THAT(with_chunks({{{0}, {four}}}), HasSubstr("no chunk lists input 1"));
  EXPECT_THAT(with_chunks({{{0, 2}, {four, four}}}), HasSubstr("lists input 2"));
  EXPECT_THAT(with_chunks({{{0, 0}, {four, four}}}), HasSubstr("twice"));
  EXPECT_THAT(with_chunks({{{}, {}}}), HasSubstr("chunk 0"));
  EXPECT_THAT(with_chunks({{{0, 1}, {four}}}), HasSubstr("levels"));
}

}  // namespace
}  // namespace lutdb
