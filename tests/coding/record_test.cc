#include "coding/record.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/hash.h"
#include "gmock/gmock.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

bool AllZero(Slopes slopes, const TileShape& shape) {
  const size_t count = size_t{shape.positions} * kBlockNeurons;
  for (size_t i = 0; i < count; ++i) {
    if (slopes.narrow != nullptr ? slopes.narrow[i] != 0 : slopes.wide[i] != 0) return false;
  }
  return true;
}

using testing::HasSubstr;

std::vector<TileId> TilesOf(const SampleTable& table) {
  std::vector<TileId> tiles;
  for (uint32_t group = 0; group < table.geometry.chunk_groups(); ++group) {
    for (uint32_t block = 0; block < table.geometry.neuron_blocks(); ++block) {
      tiles.push_back({.table = 3, .group = group, .neuron_block = block});
    }
  }
  return tiles;
}

std::vector<std::string> RecordsOf(const SampleTable& table, const TileId& tile) {
  return {table.ProductRecord(tile), table.EntryRecord(tile, Codec::kDelta),
          table.EntryRecord(tile, Codec::kRaw)};
}

TEST(TileRecord, EveryCodecYieldsTheEntriesOfTheDefinition) {
  for (const SampleTable& table : SampleTables()) {
    const auto row_bytes = size_t{kBlockNeurons} * EntryBytes(table.spec.entry);
    for (const TileId& tile : TilesOf(table)) {
      uint64_t checksum = 0;
      for (const std::string& record : RecordsOf(table, tile)) {
        TileDecoder decoder;
        ASSERT_TRUE(decoder.Open(table.geometry, tile, record).ok());
        EXPECT_TRUE(decoder.VerifyChecksum().ok());
        if (checksum == 0) checksum = decoder.checksum();
        EXPECT_EQ(decoder.checksum(), checksum) << "checksums depend on the codec";
        for (uint32_t c = decoder.shape().chunk_begin; c < decoder.shape().chunk_end; ++c) {
          const uint32_t codes = table.geometry.codes(c);
          alignas(64) char row[128];
          std::vector<char> all(codes * 160);
          decoder.Codes(c, 0, codes, all.data(), 160);
          for (uint32_t code = 0; code < codes; ++code) {
            const std::string expected = table.Row(c, code, tile.neuron_block);
            decoder.Row(c, code, row);
            ASSERT_EQ(std::memcmp(row, expected.data(), row_bytes), 0) << "code " << code;
            ASSERT_EQ(std::memcmp(&all[code * 160], expected.data(), row_bytes), 0);
          }
        }
      }
    }
  }
}

TEST(TileRecord, ChecksumIsOfThePayload) {
  for (const SampleTable& table : SampleTables()) {
    const TileId tile = {.table = 3};
    const std::string payload = table.Payload(tile);
    TileDecoder decoder;
    ASSERT_TRUE(decoder.Open(table.geometry, tile, table.ProductRecord(tile)).ok());
    EXPECT_EQ(decoder.checksum(), Hash64Of(payload.data(), payload.size()));
  }
}

TEST(TileRecord, SlopesComeBack) {
  for (const SampleTable& table : SampleTables()) {
    for (const TileId& tile : TilesOf(table)) {
      TileDecoder decoder;
      ASSERT_TRUE(decoder.Open(table.geometry, tile, table.ProductRecord(tile)).ok());
      const Slopes slopes = decoder.slopes();
      for (uint32_t c = decoder.shape().chunk_begin; c < decoder.shape().chunk_end; ++c) {
        for (uint32_t p = 0; p < table.geometry.positions(c).size(); ++p) {
          for (uint32_t n = 0; n < kBlockNeurons; ++n) {
            const size_t i = size_t{decoder.position_offset(c) + p} * kBlockNeurons + n;
            const int64_t slope = slopes.wide != nullptr ? slopes.wide[i] : slopes.narrow[i];
            ASSERT_EQ(slope, table.Slope(c, p, tile.neuron_block * kBlockNeurons + n));
          }
        }
      }
    }
  }
}

TEST(TileRecord, DeltaOfAStraightLineIsSmallAndRawIsChosenWhenDeltaLoses) {
  const SampleTable table(Spec(8, 64, 1, Grid::kSigned, 8, EntryType::kI16, false), 5);
  const TileId tile = {};
  const std::string payload = table.Payload(tile);
  EXPECT_LT(table.EntryRecord(tile, Codec::kDelta).size(), payload.size() / 7);
  EXPECT_LT(table.ProductRecord(tile).size(), payload.size() / 80);
  std::mt19937 random(1);
  std::string noise(payload.size(), 0);
  for (char& c : noise) c = static_cast<char>(random());
  std::string record;
  EncodeEntryTile(table.geometry, tile, noise.data(), Codec::kSmallest, &record);
  TileDecoder decoder;
  ASSERT_TRUE(decoder.Open(table.geometry, tile, record).ok());
  EXPECT_EQ(decoder.codec(), Codec::kRaw);
  EncodeEntryTile(table.geometry, tile, payload.data(), Codec::kSmallest, &record);
  ASSERT_TRUE(decoder.Open(table.geometry, tile, record).ok());
  EXPECT_EQ(decoder.codec(), Codec::kDelta);
}

// What tuning leaves behind: entries that depart from products, few or all, by multiples of
// 2^shift.
TEST(TileRecord, EditedTilesComeBackWithTheirSlopes) {
  std::mt19937 random(3);
  for (const SampleTable& table : SampleTables()) {
    for (const TileId& tile : TilesOf(table)) {
      TileDecoder product, decoder;
      ASSERT_TRUE(product.Open(table.geometry, tile, table.ProductRecord(tile)).ok());
      for (const uint32_t one_in : {1u, 10u, 1000u}) {
        std::string payload = table.Payload(tile);
        const bool narrow = table.spec.entry == EntryType::kI8;
        const size_t width = narrow ? 1 : 2;
        for (size_t i = 0; i < payload.size(); i += width) {
          if (random() % one_in != 0) continue;
          if (narrow) {
            payload[i] = static_cast<char>(static_cast<int>(random() % 255) - 127);
          } else {
            const auto entry = static_cast<uint16_t>(static_cast<int>(random() % 65535) - 32767);
            payload[i] = static_cast<char>(entry);
            payload[i + 1] = static_cast<char>(entry >> 8);
          }
        }
        std::string record;
        EncodeEditedTile(table.geometry, tile, product.slopes(), payload.data(), &record);
        const absl::Status opened = decoder.Open(table.geometry, tile, record);
        ASSERT_TRUE(opened.ok()) << Message(opened);
        EXPECT_TRUE(decoder.VerifyChecksum().ok());
        EXPECT_EQ(decoder.checksum(), Hash64Of(payload.data(), payload.size()));
        const TileShape& shape = decoder.shape();
        std::string row(kBlockNeurons * width, 0), found;
        for (uint32_t c = shape.chunk_begin; c < shape.chunk_end; ++c) {
          for (uint32_t i = 0; i < table.geometry.stored_codes(c); ++i) {
            decoder.Row(c, table.geometry.CodeOfStored(c, i), row.data());
            found += row;
          }
        }
        EXPECT_TRUE(found == payload);
        const Slopes base = decoder.base_slopes();
        if (base.narrow == nullptr && base.wide == nullptr) continue;  // plain differences won
        if (!AllZero(base, shape)) {  // they are where that takes less room
          EXPECT_EQ(PayloadChecksum(table.geometry, tile, base), product.checksum());
        }
        for (size_t cut = 0; cut < record.size(); cut += 1 + record.size() / 50) {
          std::string damaged = record.substr(0, cut);
          EXPECT_FALSE(decoder.Open(table.geometry, tile, damaged).ok());
        }
        for (int flip = 0; flip < 20; ++flip) {
          std::string damaged = record;
          damaged[kRecordHeaderBytes + random() % (record.size() - kRecordHeaderBytes)] ^=
              static_cast<char>(1 << random() % 8);
          if (!decoder.Open(table.geometry, tile, damaged).ok()) continue;
          decoder.VerifyChecksum().IgnoreError();  // read within bounds is all that is asked
        }
      }
    }
  }
}

// A smooth correction in coarse units takes few bits, an edit here and there next to none.
TEST(TileRecord, SmoothCorrectionsAndFewEditsAreSmall) {
  const SampleTable table(Spec(8, 64, 1, Grid::kSigned, 8, EntryType::kI16, false), 5);
  const TileId tile = {};
  TileDecoder product;
  const std::string straight = table.ProductRecord(tile);
  ASSERT_TRUE(product.Open(table.geometry, tile, straight).ok());
  std::string payload = table.Payload(tile), record;
  const size_t entries = payload.size() / 2;
  const auto add = [&](size_t i, int correction) {
    const int entry = static_cast<int16_t>(static_cast<uint8_t>(payload[2 * i]) |
                                           static_cast<uint8_t>(payload[2 * i + 1]) << 8);
    const int now = std::clamp(entry + correction, -32767, 32767);
    payload[2 * i] = static_cast<char>(now);
    payload[2 * i + 1] = static_cast<char>(now >> 8);
  };
  std::mt19937 random(2);
  for (size_t i = 0; i < entries; i += 1 + random() % 200) add(i, 300);
  EncodeEditedTile(table.geometry, tile, product.slopes(), payload.data(), &record);
  EXPECT_LT(record.size(), straight.size() + entries / 32);  // a little over 2 bytes an edit
  payload = table.Payload(tile);
  for (size_t i = 0; i < entries; ++i) {
    const double code = static_cast<double>(i / kBlockNeurons % 255);
    add(i, 64 * static_cast<int>(20 * std::sin(code / 20 + static_cast<double>(i % 64))));
  }
  EncodeEditedTile(table.geometry, tile, product.slopes(), payload.data(), &record);
  EXPECT_LT(record.size() * 8, 3 * entries);
}

// Entries that are all multiples of a power of two are kept without slopes, a few bits each.
TEST(TileRecord, RoundedEntriesNeedNoSlopes) {
  const SampleTable table(Spec(8, 64, 1, Grid::kUnsigned, 3, EntryType::kI16, false), 5);
  const TileId tile = {};
  TileDecoder decoder;
  const std::string straight = table.ProductRecord(tile);
  ASSERT_TRUE(decoder.Open(table.geometry, tile, straight).ok());
  std::string payload = table.Payload(tile), record, row(2 * kBlockNeurons, 0);
  for (size_t i = 1; i < payload.size(); i += 2) {
    payload[i - 1] = 0;
    payload[i] = static_cast<char>(payload[i] & ~7);
  }
  EncodeEditedTile(table.geometry, tile, decoder.slopes(), payload.data(), &record);
  EXPECT_LT(record.size() * 8, 4 * payload.size() / 2);
  EXPECT_LT(record.size(), straight.size());
  ASSERT_TRUE(decoder.Open(table.geometry, tile, record).ok());
  EXPECT_TRUE(AllZero(decoder.base_slopes(), decoder.shape()));
  decoder.Row(1, 7, row.data());
  EXPECT_EQ(row, payload.substr((8 + 7) * row.size(), row.size()));
}

TEST(TileRecord, ARecordAtAnotherKeyIsNoticed) {
  const SampleTable table(Spec(20, 130, 1, Grid::kSigned, 4, EntryType::kI16, false), 6);
  const TileId tile = {.table = 3, .group = 1, .neuron_block = 1};
  const std::string record = table.ProductRecord(tile);
  TileDecoder decoder;
  EXPECT_TRUE(decoder.Open(table.geometry, tile, record).ok());
  for (const TileId& other : {TileId{4, 1, 1}, TileId{3, 0, 1}, TileId{3, 1, 0}, TileId{3, 2, 1}}) {
    EXPECT_EQ(decoder.Open(table.geometry, other, record).code(), absl::StatusCode::kDataLoss);
  }
  TableSpec mirrored = table.spec;
  mirrored.mirror = true;
  const auto geometry = TableGeometry::Create(mirrored).value();
  EXPECT_EQ(decoder.Open(geometry, tile, record).code(), absl::StatusCode::kDataLoss);
}

TEST(TileRecord, NewerVersionsAndCodecsAreNotGuessedAt) {
  const SampleTable table(Spec(2, 2, 1, Grid::kSigned, 4, EntryType::kI16, false), 7);
  std::string record = table.ProductRecord({});
  TileDecoder decoder;
  record[2] = 2;
  EXPECT_EQ(decoder.Open(table.geometry, {}, record).code(), absl::StatusCode::kUnimplemented);
  record[2] = 1;
  for (const char codec : {0, 4, 77}) {
    record[3] = codec;
    EXPECT_EQ(decoder.Open(table.geometry, {}, record).code(), absl::StatusCode::kUnimplemented);
  }
}

TEST(TileRecord, AWrongChecksumIsFound) {
  const SampleTable table(Spec(2, 2, 1, Grid::kSigned, 4, EntryType::kI16, false), 8);
  for (std::string record : RecordsOf(table, {.table = 3})) {
    record[30] = static_cast<char>(record[30] ^ 1);
    TileDecoder decoder;
    ASSERT_TRUE(decoder.Open(table.geometry, {.table = 3}, record).ok());
    const absl::Status status = decoder.VerifyChecksum();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(status), HasSubstr("table 3"));
  }
}

// Whatever happened to the bytes: an error, or entries whose checksum is right.
void ExpectErrorOrSame(const SampleTable& table, const TileId& tile, const std::string& payload,
                       const std::string& bytes, TileDecoder* decoder) {
  // A copy of exactly this size, so that a sanitizer sees every read beyond it.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  if (!decoder->Open(table.geometry, tile, {exact.data(), exact.size()}).ok()) return;
  std::string found;
  for (uint32_t c = decoder->shape().chunk_begin; c < decoder->shape().chunk_end; ++c) {
    for (uint32_t i = 0; i < table.geometry.stored_codes(c); ++i) {
      alignas(64) char row[128];
      decoder->Row(c, table.geometry.CodeOfStored(c, i), row);
      found.append(row, size_t{kBlockNeurons} * EntryBytes(table.spec.entry));
    }
  }
  EXPECT_TRUE(!decoder->VerifyChecksum().ok() || found == payload);
}

TEST(TileRecord, DamagedBytesNeverCrash) {
  std::mt19937 random(9);
  for (const SampleTable& table : SampleTables()) {
    const TileId tile = {.table = 3};
    const std::string payload = table.Payload(tile);
    TileDecoder decoder;
    for (const std::string& record : RecordsOf(table, tile)) {
      const size_t step = record.size() > 4000 ? record.size() / 1000 : 1;
      for (size_t size = 0; size < record.size(); size += step) {
        EXPECT_FALSE(decoder.Open(table.geometry, tile, record.substr(0, size)).ok());
        std::string patched = record.substr(0, size);  // with a header that owns up to it
        if (size < kRecordHeaderBytes) continue;
        StoreLittle(static_cast<uint32_t>(size - kRecordHeaderBytes), patched.data() + 20);
        ExpectErrorOrSame(table, tile, payload, patched, &decoder);
      }
      EXPECT_FALSE(decoder.Open(table.geometry, tile, record + "x").ok());
      for (int i = 0; i < 150; ++i) {
        std::string damaged = record;
        for (uint32_t flips = 1 + random() % 3; flips > 0; --flips) {
          damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
        }
        ExpectErrorOrSame(table, tile, payload, damaged, &decoder);
      }
    }
  }
}

TEST(RowRecord, RoundTripAndRefusals) {
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    const SampleTable table(Spec(2, 4100, 1, Grid::kSigned, 2, entry, false), 10);
    const TableGeometry& geometry = table.geometry;
    ASSERT_GE(geometry.row_blocks(), 2u);
    for (uint32_t block = 0; block < geometry.row_blocks(); ++block) {
      const uint32_t first = block * geometry.row_neurons();
      const uint32_t neurons = std::min(geometry.row_neurons(), geometry.neurons() - first);
      std::string entries(size_t{neurons} * EntryBytes(entry), 0);
      std::mt19937 random(block);
      for (char& c : entries) c = static_cast<char>(random());
      const RowId row = {.table = 9, .chunk = 1, .code = 2, .neuron_block = block};
      std::string record;
      EncodeRow(geometry, row, entries.data(), &record);
      EXPECT_LE(record.size(), 4032u) << "must fit one 4 KiB block";
      const auto opened = OpenRow(geometry, row, record, true);
      ASSERT_TRUE(opened.ok());
      EXPECT_EQ(*opened, entries);
      for (size_t size = 0; size < record.size(); size += 7) {
        EXPECT_FALSE(OpenRow(geometry, row, record.substr(0, size), false).ok());
      }
      std::string damaged = record;
      damaged.back() = static_cast<char>(damaged.back() ^ 4);
      EXPECT_FALSE(OpenRow(geometry, row, damaged, true).ok());
      EXPECT_TRUE(OpenRow(geometry, row, damaged, false).ok());
      for (const RowId& other :
           {RowId{8, 1, 2, block}, RowId{9, 0, 2, block}, RowId{9, 1, 1, block}}) {
        EXPECT_FALSE(OpenRow(geometry, other, record, false).ok());
      }
    }
  }
}

}  // namespace
}  // namespace lutdb
