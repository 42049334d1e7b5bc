// Sums of one vector and of many against the definition of every entry, in every state of the
// arena, with and without edits.
#include "engine/look_up_add.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "db/store_files.h"
#include "lutdb/history.h"
#include "query/branch_view.h"
#include "tests/query/small_store.h"

namespace lutdb {
namespace {

using testing::ManySpecs;
using testing::SmallStore;
using testing::SmallTable;

using Key = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;  // table, chunk, code, neuron
using Values = std::map<Key, int16_t>;

// Half of the codes are edited ones, so that edits are met and rows shared.
std::vector<uint16_t> CodesOf(const SmallTable& table, uint32_t number, size_t vectors,
                              const Values& edited, std::mt19937* random) {
  const TableGeometry& geometry = table.geometry();
  std::vector<uint16_t> codes(vectors * geometry.chunks());
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto chunk = static_cast<uint32_t>(i % geometry.chunks());
    codes[i] = static_cast<uint16_t>((*random)() % geometry.codes(chunk));
    const auto it = edited.lower_bound({number, chunk, (*random)() % geometry.codes(chunk), 0});
    if ((*random)() % 2 == 0 && it != edited.end() && std::get<0>(it->first) == number &&
        std::get<1>(it->first) == chunk) {
      codes[i] = static_cast<uint16_t>(std::get<2>(it->first));
    }
  }
  return codes;
}

std::vector<int32_t> ExpectedSums(const SmallTable& table, uint32_t number, size_t vectors,
                                  const std::vector<uint16_t>& codes, const Values& edited) {
  const TableGeometry& geometry = table.geometry();
  std::vector<int32_t> acc(vectors * geometry.neurons());
  for (size_t v = 0; v < vectors; ++v) {
    for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
      const uint32_t code = codes[v * geometry.chunks() + chunk];
      for (uint32_t n = 0; n < geometry.neurons(); ++n) {
        const auto it = edited.find({number, chunk, code, n});
        acc[v * geometry.neurons() + n] +=
            it != edited.end() ? it->second : table.Expected(n, chunk, code);
      }
    }
  }
  return acc;
}

void ExpectSumsRight(const SmallStore& store, const Values& edited, size_t vectors_max = 530) {
  auto reader = StoreReader::Open(store.path(), 1 << 20);
  ASSERT_TRUE(reader.ok());
  auto view = BranchView::Open(**reader, "main");
  ASSERT_TRUE(view.ok()) << Message(view.status());
  const auto edits = (*view)->Current();
  ASSERT_TRUE(edits.ok());
  std::mt19937 random(3);
  for (const uint64_t arena_bytes : {uint64_t{0}, uint64_t{256} << 10, uint64_t{64} << 20}) {
    auto rows = RowSource::Create(**reader, {.arena_bytes = arena_bytes, .threads = 2});
    ASSERT_TRUE(rows.ok());
    for (const unsigned threads : {1u, 3u}) {
      ThreadTeam team(threads);
      LookUpAdd sums(**reader, **rows, team);
      sums.Use(*edits);
      for (uint32_t table = 0; table < store.tables().size(); ++table) {
        for (const size_t vectors : {size_t{0}, size_t{1}, size_t{2}, size_t{37}, size_t{530}}) {
          if (vectors > vectors_max) continue;
          if (vectors > 100 && table != 0 && table != 4) continue;  // more than one group
          const std::vector<uint16_t> codes =
              CodesOf(store.table(table), table, vectors, edited, &random);
          const std::vector<int32_t> expected =
              ExpectedSums(store.table(table), table, vectors, codes, edited);
          std::vector<int32_t> acc(expected.size(), 77);
          const absl::Status status = sums.SumsOfMany(table, vectors, codes, acc.data());
          ASSERT_TRUE(status.ok()) << Message(status);
          ASSERT_EQ(acc, expected) << store.table(table).spec().name << ", " << vectors;
        }
      }
    }
  }
}

TEST(LookUpAdd, ManyVectorsGetTheSumsOfEach) {
  const SmallStore store("look_up_add", ManySpecs());
  ExpectSumsRight(store, {});
}

// More chunks than 16-bit sums of int8 entries can take, in more batches than one.
TEST(LookUpAdd, ManyChunksOfNarrowEntriesDoNotOverflow) {
  const SmallStore store(
      "look_up_add_long",
      {testing::SpecOf({.name = "long", .inputs = 700, .neurons = 70, .entry = EntryType::kI8})});
  ExpectSumsRight(store, {});
}

// Enough work for several threads, in rows too short to be cut: each thread takes some of the rows.
TEST(LookUpAdd, ThreadsThatShareOutRowsGetTheSameSums) {
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    const SmallStore store("look_up_add_shared",
                           {testing::SpecOf({.name = "short",
                                             .inputs = 1403,
                                             .neurons = 200,
                                             .chunk = 2,
                                             .entry = entry,
                                             .mirror = entry == EntryType::kI8})});
    ASSERT_GE(uint64_t{store.table(0).geometry().chunks()} * 200, ThreadTeam::kWorkMin);
    ExpectSumsRight(store, {}, 2);
  }
}

// Single entries, and rows so full of edits that they are replaced; both codes of mirrored pairs.
TEST(LookUpAdd, EditedEntriesCountForEveryVectorThatMeetsThem) {
  const SmallStore store("look_up_add_edited", ManySpecs());
  std::mt19937 random(9);
  Values edited;
  std::vector<EntryEdit> edits;
  for (uint32_t table = 0; table < store.tables().size(); ++table) {
    const TableGeometry& geometry = store.table(table).geometry();
    for (int i = 0; i < 4; ++i) {
      const uint32_t chunk = random() % geometry.chunks();
      const uint32_t code = random() % geometry.codes(chunk);
      const uint32_t neurons = i == 0 ? geometry.neurons() : 1;
      for (uint32_t n = 0; n < neurons; ++n) {
        for (const uint32_t other : {code, geometry.codes(chunk) - 1 - code}) {
          const auto value = static_cast<int16_t>(static_cast<int>(random() % 255) - 127);
          if (edited.emplace(Key{table, chunk, other, n}, value).second) {
            edits.push_back({table, n, chunk, other, value});
          }
        }
      }
    }
  }
  auto history = History::Open(store.path(), {.write = true});
  ASSERT_TRUE(history.ok()) << Message(history.status());
  ASSERT_TRUE((*history)->Commit("main", edits, {.message = "edits"}).ok());
  history->reset();
  ExpectSumsRight(store, edited);
}

}  // namespace
}  // namespace lutdb
