#include "coding/cell_hash.h"

#include <xxhash.h>

#include <cstring>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

Hash128 HashOf(const SampleTable& table, uint32_t chunk, uint32_t block, uint64_t piece) {
  CellHasher hasher(table.spec, table.geometry);
  const uint32_t first = block * kBlockNeurons;
  const uint32_t neurons = std::min(kBlockNeurons, table.spec.neurons - first);
  hasher.Begin(chunk, block, absl::MakeConstSpan(&table.steps[first], neurons));
  std::string entries;
  for (uint32_t code = 0; code < table.geometry.codes(chunk); ++code) {
    entries += table.Row(chunk, code, block);
  }
  for (size_t at = 0; at < entries.size(); at += piece) {
    const std::string part = entries.substr(at, piece);
    hasher.Update(part.data(), part.size());
  }
  return hasher.Finish();
}

// The bytes of docs/format.md, "Content hash", put together a second time.
Hash128 HashByHand(const SampleTable& table, uint32_t chunk, uint32_t block) {
  std::string bytes;
  AppendLittle(static_cast<uint32_t>(table.spec.name.size()), &bytes);
  bytes += table.spec.name;
  AppendLittle(table.spec.inputs, &bytes);
  AppendLittle(table.spec.neurons, &bytes);
  bytes.push_back(table.spec.entry == EntryType::kI8 ? 1 : 2);
  AppendLittle(chunk, &bytes);
  const auto positions = table.geometry.positions(chunk);
  AppendLittle(static_cast<uint32_t>(positions.size()), &bytes);
  for (uint32_t p = 0; p < positions.size(); ++p) {
    AppendLittle(table.geometry.InputAt(chunk, p), &bytes);
    AppendLittle(positions[p].range.min, &bytes);
    AppendLittle(positions[p].range.max, &bytes);
    AppendLittle(positions[p].range.stride, &bytes);
  }
  AppendLittle(block, &bytes);
  for (uint32_t n = block * kBlockNeurons; n < (block + 1) * kBlockNeurons; ++n) {
    AppendLittle(n < table.spec.neurons ? table.steps[n] : 0.0f, &bytes);
  }
  for (uint32_t code = 0; code < table.geometry.codes(chunk); ++code) {
    bytes += table.Row(chunk, code, block);
  }
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {.low = hash.low64, .high = hash.high64};
}

TEST(CellHasher, HashesTheBytesOfTheFormat) {
  for (const SampleTable& table : SampleTables()) {
    for (uint32_t chunk = 0; chunk < table.geometry.chunks(); ++chunk) {
      for (uint32_t block = 0; block < table.geometry.neuron_blocks(); ++block) {
        ASSERT_EQ(HashOf(table, chunk, block, 1 << 20), HashByHand(table, chunk, block));
      }
    }
  }
}

TEST(CellHasher, PiecesDoNotMatter) {
  const SampleTable table(Spec(3, 70, 1, Grid::kSigned, 5, EntryType::kI16, false), 2);
  for (const uint64_t piece : {1, 7, 128, 1000}) {
    EXPECT_EQ(HashOf(table, 1, 1, piece), HashOf(table, 1, 1, 1 << 20));
  }
}

TEST(CellHasher, MirroringDoesNotMatterAndEverythingElseDoes) {
  const SampleTable table(Spec(3, 70, 1, Grid::kSigned, 5, EntryType::kI16, false), 2);
  const Hash128 hash = HashOf(table, 1, 1, 1 << 20);
  EXPECT_EQ(hash, HashOf(SampleTable(Spec(3, 70, 1, Grid::kSigned, 5, EntryType::kI16, true), 2), 1,
                         1, 1 << 20));
  EXPECT_NE(hash, HashOf(table, 0, 1, 1 << 20));
  EXPECT_NE(hash, HashOf(table, 1, 0, 1 << 20));
  SampleTable renamed = table;
  renamed.spec.name = "other";
  EXPECT_NE(hash, HashOf(renamed, 1, 1, 1 << 20));
  SampleTable stepped = table;
  stepped.steps[69] *= 2;
  EXPECT_NE(hash, HashOf(stepped, 1, 1, 1 << 20));
}

}  // namespace
}  // namespace lutdb
