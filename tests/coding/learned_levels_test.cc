// Learned levels and codebooks: geometry, entries, records and hashes against the definitions.
#include <gtest/gtest.h>

#include <cmath>

#include "coding/cell_hash.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

TableSpec LearnedTable(EntryType entry, uint32_t chunk) {
  TableSpec spec;
  spec.name = "learned";
  spec.inputs = 5;
  spec.neurons = 70;
  spec.entry = entry;
  spec.chunk = chunk;
  spec.level_sets = {{{-32767, -900, -3, 0, 14, 777, 20001}, {-5000, -400, -1, 7, 300, 9000}}};
  spec.levels = {Grid::kLearned, 3, 0};
  return spec;
}

TableSpec MixedTable() {
  TableSpec spec = LearnedTable(EntryType::kI16, 1);
  spec.level_sets.push_back({{3, 5}, {4}});
  spec.chunks = {{{0, 3}, {{Grid::kLearned, 3, 0}, {Grid::kSigned, 4}}},
                 {{1}, {{Grid::kLearned, 1, 1}}},
                 {{4, 2, 0}, {{Grid::kUnsigned, 2}, {Grid::kLearned, 1, 1}, {Grid::kSigned, 1}}}};
  return spec;
}

TableSpec CodebookTable(EntryType entry) {
  TableSpec spec = LearnedTable(entry, 2);
  spec.levels = {Grid::kSigned, 8};
  spec.level_sets.clear();
  spec.codebook = {2, {-32767, 100, 0, 0, 5, -5, 31000, 32767, -1, -1}};
  return spec;
}

std::vector<TableSpec> AllTables() {
  return {LearnedTable(EntryType::kI16, 1), LearnedTable(EntryType::kI8, 2), MixedTable(),
          CodebookTable(EntryType::kI16), CodebookTable(EntryType::kI8)};
}

TEST(LearnedLevels, EntriesStayInRangeAndFollowTheDefinition) {
  for (const TableSpec& spec : AllTables()) {
    const SampleTable table(spec, 7);
    const auto* geometry = &table.geometry;
    EXPECT_FALSE(geometry->even_steps());
    for (uint32_t chunk = 0; chunk < geometry->chunks(); ++chunk) {
      for (uint32_t code = 0; code < geometry->codes(chunk); ++code) {
        int32_t levels[kMaxChunkInputs];
        geometry->LevelsOf(chunk, code, levels);
        for (uint32_t n = 0; n < spec.neurons; ++n) {
          const int32_t entry = table.Entry(chunk, code, n);
          ASSERT_LE(std::abs(entry), EntryLimit(spec.entry));
          // Within an entry of the product it stands for.
          double product = 0;
          for (uint32_t p = 0; p < geometry->positions(chunk).size(); ++p) {
            const auto slope = static_cast<double>(table.Slope(chunk, p, n));
            product += slope * levels[p] / std::ldexp(1.0, geometry->slope_shift());
          }
          ASSERT_NEAR(entry, product, 0.51) << "chunk " << chunk << ", code " << code;
        }
      }
    }
  }
}

TEST(LearnedLevels, RecordsOfEveryCodecDecodeToTheEntries) {
  for (const TableSpec& spec : AllTables()) {
    const SampleTable table(spec, 11);
    const TileId tile{.table = 0, .group = 0, .neuron_block = 1};
    const TileShape shape = ShapeOf(table.geometry, tile);
    std::vector<int32_t> slopes;
    std::string entries;
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      for (uint32_t p = 0; p < table.geometry.positions(chunk).size(); ++p) {
        for (uint32_t n = 0; n < kBlockNeurons; ++n) {
          slopes.push_back(static_cast<int32_t>(table.Slope(chunk, p, kBlockNeurons + n)));
        }
      }
      for (uint32_t code = 0; code < table.geometry.codes(chunk); ++code) {
        entries += table.Row(chunk, code, 1);
      }
    }
    const Slopes view{.narrow = slopes.data(), .wide = nullptr};
    for (const Codec codec : {Codec::kProduct, Codec::kDelta, Codec::kRaw}) {
      std::string record;
      if (codec == Codec::kProduct) {
        EncodeProductTile(table.geometry, tile, view, PayloadChecksum(table.geometry, tile, view),
                          &record);
      } else {
        EncodeEntryTile(table.geometry, tile, entries.data(), codec, &record);
      }
      TileDecoder decoder;
      ASSERT_TRUE(decoder.Open(table.geometry, tile, record).ok());
      EXPECT_TRUE(decoder.VerifyChecksum().ok()) << Name(codec);
      for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
        for (uint32_t code = 0; code < table.geometry.codes(chunk); ++code) {
          const std::string expected = table.Row(chunk, code, 1);
          std::string row(expected.size(), '\0');
          decoder.Row(chunk, code, row.data());
          ASSERT_EQ(row, expected) << Name(codec) << ", chunk " << chunk << ", code " << code;
        }
      }
    }
  }
}

TEST(LearnedLevels, MirrorNeedsEveryOpposite) {
  TableSpec spec = LearnedTable(EntryType::kI16, 1);
  spec.mirror = true;
  EXPECT_EQ(TableGeometry::Create(spec)->stored_codes(0), 7u);
  EXPECT_EQ(TableGeometry::Create(spec)->ZeroCode(0), 3u);
  spec.level_sets = {{{-9, -2, 2, 9}, {-5, 0, 5}}};
  EXPECT_EQ(TableGeometry::Create(spec)->stored_codes(0), 2u);
  EXPECT_EQ(TableGeometry::Create(spec)->ZeroCode(0), kNone);
}

TEST(LearnedLevels, TheCellHashCoversEveryLevel) {
  const auto hash = [](const TableSpec& spec) {
    const TableGeometry geometry = TableGeometry::Create(spec).value();
    CellHasher hasher(spec, geometry);
    const std::vector<float> steps(kBlockNeurons, 1.0f);
    hasher.Begin(0, 0, steps);
    const std::string entries(
        size_t{geometry.codes(0)} * kBlockNeurons * EntryBytes(geometry.entry()), '\1');
    hasher.Update(entries.data(), entries.size());
    return hasher.Finish();
  };
  TableSpec learned = LearnedTable(EntryType::kI16, 1);
  const Hash128 before = hash(learned);
  learned.level_sets[0].levels[2] = -2;
  EXPECT_FALSE(hash(learned) == before);
  TableSpec book = CodebookTable(EntryType::kI16);
  const Hash128 book_before = hash(book);
  book.codebook.levels[5] = -6;
  EXPECT_FALSE(hash(book) == book_before);
}

TEST(LearnedLevels, RefusesWhatCannotBeCodedWith) {
  const LevelSet bad[] = {{{1}, {}},    {{2, 1}, {0}},   {{1, 1}, {0}},      {{-32768, 1}, {0}},
                          {{1, 2}, {}}, {{1, 2}, {NAN}}, {{1, 2, 3}, {2, 1}}};
  for (const LevelSet& set : bad) {
    TableSpec spec = LearnedTable(EntryType::kI16, 1);
    spec.level_sets = {set};
    EXPECT_FALSE(TableGeometry::Create(spec).ok());
  }
  TableSpec spec = LearnedTable(EntryType::kI16, 1);
  spec.levels.set = 1;
  EXPECT_FALSE(TableGeometry::Create(spec).ok());
  spec = LearnedTable(EntryType::kI16, 1);
  spec.levels.bits = 9;
  EXPECT_FALSE(TableGeometry::Create(spec).ok());
  spec = CodebookTable(EntryType::kI16);
  spec.codebook.levels.pop_back();
  EXPECT_FALSE(TableGeometry::Create(spec).ok());
  spec = CodebookTable(EntryType::kI16);
  spec.chunk = 3;
  EXPECT_FALSE(TableGeometry::Create(spec).ok());
  spec = LearnedTable(EntryType::kI16, 1);
  spec.rotation = 48;
  EXPECT_FALSE(TableGeometry::Create(spec).ok());
}

}  // namespace
}  // namespace lutdb
