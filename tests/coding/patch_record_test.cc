// Patches: what is written is read back, whatever is edited; what is damaged is refused.
#include "coding/patch_record.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/status.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

TableGeometry Geometry(EntryType entry = EntryType::kI16) {
  return *TableGeometry::Create(Spec(21, 70, 2, Grid::kSigned, 3, entry, false));
}

TileDeltas RandomDeltas(const TableGeometry& geometry, const TileId& tile, size_t count,
                        std::mt19937* random) {
  const uint32_t lanes =
      std::min(kBlockNeurons, geometry.neurons() - tile.neuron_block * kBlockNeurons);
  const int limit = EntryLimit(geometry.entry());
  std::map<uint32_t, EntryDelta> deltas;
  for (size_t i = 0; i < count; ++i) {
    const auto row = static_cast<uint32_t>((*random)() % (TileEntries(geometry, tile) / 64));
    const uint32_t index = row * 64 + static_cast<uint32_t>((*random)() % lanes);
    const auto value = [&] {
      return static_cast<int16_t>(static_cast<int>((*random)() % (2 * limit + 1)) - limit);
    };
    deltas[index] = {index, value(), value()};
  }
  TileDeltas list;
  for (const auto& [index, delta] : deltas) list.push_back(delta);
  return list;
}

TEST(PatchRecord, ReadsBackWhatWasWritten) {
  std::mt19937 random(1);
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    const TableGeometry geometry = Geometry(entry);
    for (const TileId& tile : {TileId{0, 0, 0}, TileId{0, 1, 1}}) {
      for (const size_t count : {0, 1, 2, 40, 3000}) {
        const TileDeltas deltas = RandomDeltas(geometry, tile, count, &random);
        std::string bytes;
        EncodePatch(deltas, PatchValues::kBeforeAndAfter, &bytes);
        const auto back = DecodePatch(bytes, geometry, tile);
        ASSERT_TRUE(back.ok()) << Message(back.status());
        EXPECT_EQ(*back, deltas);
      }
    }
  }
}

// What a tuned table gives: lines before, rounded numbers after.
TileDeltas TunedDeltas(const TableGeometry& geometry, bool rounded, std::mt19937* random) {
  TileDeltas deltas;
  for (uint32_t index = 0; index < TileEntries(geometry, {0, 0, 0}); ++index) {
    const DeltaPlace place = PlaceOf(geometry, {0, 0, 0}, index);
    if (place.code == 0 || (*random)() % 16 == 0) continue;
    const int line = static_cast<int>(place.code) * static_cast<int>(5 * place.neuron) - 9000;
    const int noise = static_cast<int>((*random)() % 9) - 4;
    const int after = rounded ? (line + 100 * noise) / 1024 * 1024 : line + noise;
    deltas.push_back({index, static_cast<int16_t>(line), static_cast<int16_t>(after)});
  }
  return deltas;
}

TEST(PatchRecord, TunedTilesTakeAFewBitsAnEntry) {
  std::mt19937 random(5);
  const TableGeometry geometry = Geometry();
  for (const bool rounded : {false, true}) {
    const TileDeltas deltas = TunedDeltas(geometry, rounded, &random);
    for (const PatchValues values : {PatchValues::kBeforeAndAfter, PatchValues::kAfter}) {
      std::string bytes;
      EncodePatch(deltas, values, &bytes);
      EXPECT_LT(bytes.size() * 8, deltas.size() * 9);
      PatchValues held;
      const auto back = DecodePatch(bytes, geometry, {0, 0, 0}, &held);
      ASSERT_TRUE(back.ok()) << Message(back.status());
      EXPECT_EQ(held, values);
      ASSERT_EQ(back->size(), deltas.size());
      for (size_t i = 0; i < deltas.size(); ++i) {
        EntryDelta expected = deltas[i];
        if (values == PatchValues::kAfter) expected.before = 0;
        ASSERT_EQ((*back)[i], expected);
      }
      // Which values a patch holds is part of what is checked.
      bytes[3] = static_cast<char>(bytes[3] ^ 2);
      EXPECT_FALSE(DecodePatch(bytes, geometry, {0, 0, 0}, &held).ok());
    }
  }
}

// A few bits of a ZSTD frame say nothing; whatever is read is what was written.
TEST(PatchRecord, NoFlippedBitGivesAWrongValue) {
  std::mt19937 random(2);
  const TableGeometry geometry = Geometry();
  for (const size_t count : {3, 200, 0}) {
    std::string bytes;
    const TileDeltas deltas = count == 0 ? TunedDeltas(geometry, true, &random)
                                         : RandomDeltas(geometry, {0, 0, 0}, count, &random);
    EncodePatch(deltas, PatchValues::kBeforeAndAfter, &bytes);
    size_t noticed = 0;
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string damaged = bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      const auto read = DecodePatch(damaged, geometry, {0, 0, 0});
      EXPECT_TRUE(!read.ok() || *read == deltas) << bit;
      noticed += read.ok() ? 0 : 1;
    }
    EXPECT_GE(noticed, bytes.size() * 8 - 8);
    for (size_t size = 0; size < bytes.size(); size += 1 + size / 8) {
      EXPECT_FALSE(DecodePatch(bytes.substr(0, size), geometry, {0, 0, 0}).ok()) << size;
    }
  }
}

TEST(PatchRecord, APatchOfAnotherTileIsRefused) {
  const TableGeometry geometry = Geometry();
  std::string bytes;
  EncodePatch({{63, 0, 1}}, PatchValues::kBeforeAndAfter,
              &bytes);  // neuron 63: the second block has 6 neurons
  EXPECT_TRUE(DecodePatch(bytes, geometry, {0, 0, 0}).ok());
  EXPECT_FALSE(DecodePatch(bytes, geometry, {0, 0, 1}).ok());
  EncodePatch({{TileEntries(geometry, {0, 0, 0}), 0, 1}}, PatchValues::kBeforeAndAfter, &bytes);
  EXPECT_FALSE(DecodePatch(bytes, geometry, {0, 0, 0}).ok());
  EncodePatch({{0, 0, 200}}, PatchValues::kBeforeAndAfter, &bytes);
  EXPECT_FALSE(DecodePatch(bytes, Geometry(EntryType::kI8), {0, 0, 0}).ok());
}

TEST(PatchRecord, PlacesAndIndicesAgree) {
  const TableGeometry geometry = Geometry();
  for (uint32_t neuron = 0; neuron < geometry.neurons(); neuron += 13) {
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      const TileId tile = TileOf(geometry, 0, neuron, chunk);
      for (uint32_t code = 0; code < geometry.codes(chunk); ++code) {
        const auto place = PlaceOf(geometry, tile, DeltaIndex(geometry, neuron, chunk, code));
        ASSERT_EQ(place.neuron, neuron);
        ASSERT_EQ(place.chunk, chunk);
        ASSERT_EQ(place.code, code);
      }
    }
  }
}

// Folding commits one by one is applying them in order to a map.
TEST(PatchRecord, FoldingIsApplyingInOrder) {
  std::mt19937 random(3);
  std::map<uint32_t, int16_t> values;  // base: 0 everywhere
  TileDeltas state;
  for (int commit = 0; commit < 200; ++commit) {
    TileDeltas deltas;
    for (uint32_t index = random() % 5; index < 60; index += 1 + random() % 30) {
      const int16_t before = values[index];
      const auto after = static_cast<int16_t>(random() % 3);  // often back at 0
      if (before == after) continue;
      deltas.push_back({index, before, after});
      values[index] = after;
    }
    FoldInto(deltas, &state);
    TileDeltas expected;
    for (const auto& [index, value] : values) {
      if (value != 0) expected.push_back({index, 0, value});
    }
    ASSERT_EQ(state, expected);
  }
}

}  // namespace
}  // namespace lutdb
