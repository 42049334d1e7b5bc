// Records of format version 1 as they were written when it was fixed: every later program must read
// them. Set LUTDB_WRITE_GOLDEN=1 to write the file anew, for a new format version only.
#include <cstdlib>
#include <fstream>
#include <map>

#include "coding/cell_hash.h"
#include "coding/tensor_record.h"
#include "gtest/gtest.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

const char kPath[] = LUTDB_SOURCE_DIR "/tests/coding/golden/records_v1.txt";

struct Golden {
  std::string name;
  SampleTable table;
};

std::vector<Golden> Tables() {
  std::vector<Golden> tables;
  const auto add = [&](const char* name, const TableSpec& spec) {
    tables.push_back({name, SampleTable(spec, static_cast<uint32_t>(tables.size()))});
  };
  add("i16-8bit", Spec(3, 2, 1, Grid::kSigned, 8, EntryType::kI16, false));
  add("i8-unsigned", Spec(2, 3, 1, Grid::kUnsigned, 4, EntryType::kI8, false));
  add("i16-pairs-mirrored", Spec(3, 2, 2, Grid::kSigned, 3, EntryType::kI16, true));
  add("i8-bits", Spec(5, 2, 4, Grid::kSigned, 1, EntryType::kI8, true));
  add("i16-10bit", Spec(1, 2, 1, Grid::kSigned, 10, EntryType::kI16, false));
  add("i16-lists", ListSpec(EntryType::kI16, true));
  return tables;
}

std::string ContentHash(const SampleTable& table) {
  Hash128 sum;
  CellHasher hasher(table.spec, table.geometry);
  for (uint32_t chunk = 0; chunk < table.geometry.chunks(); ++chunk) {
    for (uint32_t block = 0; block < table.geometry.neuron_blocks(); ++block) {
      const uint32_t first = block * kBlockNeurons;
      const uint32_t neurons = std::min(kBlockNeurons, table.spec.neurons - first);
      hasher.Begin(chunk, block, absl::MakeConstSpan(&table.steps[first], neurons));
      for (uint32_t code = 0; code < table.geometry.codes(chunk); ++code) {
        const std::string row = table.Row(chunk, code, block);
        hasher.Update(row.data(), row.size());
      }
      sum += hasher.Finish();
    }
  }
  return sum.Hex();
}

TensorSpec WeightsSpec(const SampleTable& table) {
  TensorSpec spec;
  spec.id = 1;
  spec.name = table.spec.name;
  spec.rows = table.spec.neurons;
  spec.cols = table.spec.inputs;
  spec.rows_per_record = RowsPerRecord(spec.dtype, spec.cols);
  return spec;
}

const TileId kTile = {.table = 1};

// What this program writes: content hashes of all, records of the codecs whose bytes do not depend
// on the version of a compression library.
std::map<std::string, std::string> Written() {
  std::map<std::string, std::string> lines;
  for (const Golden& golden : Tables()) {
    const SampleTable& table = golden.table;
    lines[golden.name + " content"] = ContentHash(table);
    lines[golden.name + " product"] = Hex(table.ProductRecord(kTile));
    if (golden.name == "i8-bits")
      lines[golden.name + " raw"] = Hex(table.EntryRecord(kTile, Codec::kRaw));
    if (golden.name != "i16-10bit") {
      lines[golden.name + " delta"] = Hex(table.EntryRecord(kTile, Codec::kDelta));
    }
    const TensorSpec spec = WeightsSpec(table);
    std::string record;
    EncodeTensorRows(spec, 0, reinterpret_cast<const uint8_t*>(table.weights.data()),
                     table.spec.neurons, &record);
    lines[golden.name + " weights"] = Hex(record);
  }
  return lines;
}

std::map<std::string, std::string> Kept() {
  std::map<std::string, std::string> lines;
  std::ifstream file(kPath);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) lines[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return lines;
}

std::string Unhex(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(Golden, HashesAndNamesAreAsKept) {
  const auto written = Written();
  if (std::getenv("LUTDB_WRITE_GOLDEN") != nullptr) {
    std::ofstream file(kPath);
    for (const auto& [name, hex] : written) file << name << ": " << hex << "\n";
  }
  const auto kept = Kept();
  ASSERT_EQ(kept.size(), written.size());
  for (const auto& [name, hex] : written) {
    ASSERT_TRUE(kept.contains(name)) << name;
    if (name.ends_with(" content") || name.ends_with(" raw")) {
      EXPECT_EQ(kept.at(name), hex) << name;
    }
    // Headers, with the checksum of the decoded payload, never change; compressed bodies may.
    EXPECT_EQ(kept.at(name).substr(0, 40), hex.substr(0, 40)) << name;
    EXPECT_EQ(kept.at(name).substr(48 < hex.size() ? 48 : 0, 16),
              hex.substr(48 < hex.size() ? 48 : 0, 16))
        << name;
  }
}

TEST(Golden, KeptRecordsStillDecode) {
  const auto kept = Kept();
  for (const Golden& golden : Tables()) {
    const SampleTable& table = golden.table;
    for (const char* codec : {" product", " delta", " raw"}) {
      if (!kept.contains(golden.name + codec)) continue;
      TileDecoder decoder;
      const std::string record = Unhex(kept.at(golden.name + codec));
      ASSERT_TRUE(decoder.Open(table.geometry, kTile, record).ok()) << golden.name << codec;
      EXPECT_TRUE(decoder.VerifyChecksum().ok());
      std::string payload;
      for (uint32_t c = decoder.shape().chunk_begin; c < decoder.shape().chunk_end; ++c) {
        for (uint32_t i = 0; i < table.geometry.stored_codes(c); ++i) {
          alignas(64) char row[128];
          decoder.Row(c, table.geometry.CodeOfStored(c, i), row);
          payload.append(row, size_t{kBlockNeurons} * EntryBytes(table.spec.entry));
        }
      }
      EXPECT_EQ(payload, table.Payload(kTile)) << golden.name << codec;
    }
    std::string rows;
    ASSERT_TRUE(
        DecodeTensorRows(WeightsSpec(table), 0, Unhex(kept.at(golden.name + " weights")), &rows)
            .ok());
    const std::string expected(reinterpret_cast<const char*>(table.weights.data()),
                               table.weights.size() * sizeof(float));
    EXPECT_EQ(rows, expected);
  }
}

}  // namespace
}  // namespace lutdb
