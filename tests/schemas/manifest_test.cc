#include "schemas/manifest.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "base/status.h"
#include "tests/schemas/random_specs.h"

namespace lutdb {
namespace {

using ::testing::HasSubstr;

TEST(Manifest, RoundTrips) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomSpecs specs(seed);
    Manifest manifest = specs.EmptyManifest();
    (void)specs.LanguageModel(&manifest, seed % 4);
    const std::string bytes = SerializeManifest(manifest);
    EXPECT_EQ(bytes, SerializeManifest(manifest));
    const auto parsed = ParseManifest(bytes);
    ASSERT_TRUE(parsed.ok()) << "seed " << seed << ": " << parsed.status();
    EXPECT_EQ(*parsed, manifest) << "seed " << seed;
  }
}

// Two tables: consecutive chunks, and chunks as lists.
Manifest TwoTables() {
  RandomSpecs specs(3);
  Manifest manifest = specs.EmptyManifest();
  for (const uint32_t id : {0u, 1u}) {
    TableSpec table;
    table.id = id;
    table.name = fmt::format("t{}", id);
    table.inputs = 4;
    table.neurons = 6;
    table.weight_tensor = specs.AddTensor(&manifest, 6, 4);
    table.bias_tensor = specs.AddTensor(&manifest, 1, 6);
    manifest.tables.push_back(table);
    manifest.stats.emplace_back();
  }
  const GridLevels four{.grid = Grid::kSigned, .bits = 4};
  manifest.tables[1].chunks = {{{0, 2}, {four, four}}, {{3, 1}, {four, four}}};
  return manifest;
}

TEST(Manifest, WhatIsWrongIsSaidInOneLine) {
  ASSERT_TRUE(ParseManifest(SerializeManifest(TwoTables())).ok());
  const struct {
    const char* says;
    std::function<void(Manifest&)> change;
  } wrongs[] = {
      {"version 0", [](Manifest& m) { m.format_version = 0; }},
      {"generation 0", [](Manifest& m) { m.generation = 0; }},
      {"sizes", [](Manifest& m) { m.stats.pop_back(); }},
      {"tensors", [](Manifest& m) { m.tensor_stored_bytes.pop_back(); }},
      {"called", [](Manifest& m) { m.tables[1].name = "t0"; }},
      {"nothing", [](Manifest& m) { m.tables[0].name = ""; }},
      {"entry type", [](Manifest& m) { m.tables[0].entry = EntryType{9}; }},
      {"layout", [](Manifest& m) { m.tables[0].layout = Layout{0}; }},
      {"codec", [](Manifest& m) { m.tables[0].codec = Codec{200}; }},
      {"0 inputs", [](Manifest& m) { m.tables[0].inputs = 0; }},
      {"neurons", [](Manifest& m) { m.tables[0].neurons = kNone; }},
      {"inputs", [](Manifest& m) { m.tables[0].inputs = kNone; }},
      {"input scale", [](Manifest& m) { m.tables[0].fixed_scale = INFINITY; }},
      {"needs tensor", [](Manifest& m) { m.tables[0].weight_tensor = 1; }},
      {"needs tensor", [](Manifest& m) { m.tables[0].bias_tensor = 99; }},
      {"levels", [](Manifest& m) { m.tables[0].levels.bits = 17; }},
      {"levels", [](Manifest& m) { m.tables[0].levels.grid = Grid{3}; }},
      {"chunks of 0", [](Manifest& m) { m.tables[0].chunk = 0; }},
      {"chunks of", [](Manifest& m) { m.tables[0].chunk = 1u << 31; }},
      {"16 bits", [](Manifest& m) { m.tables[0].chunk = 3; }},
      {"chunk 1", [](Manifest& m) { m.tables[1].chunks[1].inputs[0] = 4; }},
      {"chunk 0", [](Manifest& m) { m.tables[1].chunks[0].levels.pop_back(); }},
      {"chunk 0", [](Manifest& m) { m.tables[1].chunks[0].levels[1].bits = 16; }},
      {"chunk 0", [](Manifest& m) { m.tables[1].chunks[0] = {}; }},
      {"input 1", [](Manifest& m) { m.tables[1].chunks[1].inputs[1] = 3; }},
      {"element type", [](Manifest& m) { m.tensors[0].dtype = DType{0}; }},
      {"rows per record", [](Manifest& m) { m.tensors[0].rows_per_record = 0; }},
      {"x 0", [](Manifest& m) { m.tensors[0].cols = 0; }},
      {"tensor", [](Manifest& m) { m.tensors[0].rows = ~uint64_t{0}; }},
      {"tensor", [](Manifest& m) { m.tensors[0].rows = m.tensors[0].cols = 1u << 31; }},
  };
  for (const auto& wrong : wrongs) {
    Manifest manifest = TwoTables();
    wrong.change(manifest);
    const absl::Status status = ParseManifest(SerializeManifest(manifest)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << wrong.says << ": " << status;
    EXPECT_THAT(Message(status), HasSubstr(wrong.says));
    EXPECT_EQ(Message(status).find('\n'), std::string::npos);
  }
}

TEST(Manifest, TooManyChunksCouldOverflowASum) {
  Manifest manifest = TwoTables();
  TableSpec& table = manifest.tables[0];
  table.weight_tensor = table.bias_tensor = kNone;
  table.inputs = 65538;
  EXPECT_TRUE(ParseManifest(SerializeManifest(manifest)).ok());
  table.inputs = 65539;
  EXPECT_EQ(ParseManifest(SerializeManifest(manifest)).status().code(),
            absl::StatusCode::kDataLoss);
  table.chunk = 2;
  EXPECT_TRUE(ParseManifest(SerializeManifest(manifest)).ok());
}

TEST(Manifest, LargestCodeCountsFit) {
  Manifest manifest = TwoTables();
  TableSpec& table = manifest.tables[0];
  for (const auto& [chunk, bits] : {std::pair(1u, 16), std::pair(2u, 8), std::pair(16u, 1)}) {
    table.chunk = chunk;
    table.levels = {.grid = Grid::kUnsigned, .bits = static_cast<uint8_t>(bits)};
    EXPECT_TRUE(ParseManifest(SerializeManifest(manifest)).ok()) << chunk;
  }
}

TEST(Manifest, NewerVersionsAreNotMisread) {
  Manifest manifest = TwoTables();
  manifest.format_version = kFormatVersion + 1;
  manifest.tables[0].entry = EntryType{9};  // whatever a newer version may hold
  const absl::Status status = ParseManifest(SerializeManifest(manifest)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(status), HasSubstr("newer"));
}

}  // namespace
}  // namespace lutdb
