// Tables that read the same value lie side by side in the arena and are summed in one walk, with
// the sums that each has alone.
#include <algorithm>
#include <random>

#include "engine/look_up_add.h"
#include "lutdb/history.h"
#include "query/branch_view.h"
#include "query/row_places.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

constexpr uint64_t kPlenty = uint64_t{512} << 20;

// Rows of query, key and value are of different lengths, and none fills its last cache line.
constexpr TinyLlama kLlama = {.hidden = 120, .intermediate = 100, .heads = 4, .kv_heads = 1};

struct Coding {
  const char* name;
  uint32_t bits, chunk;
  EntryType entry;
};

class Panels : public ::testing::TestWithParam<Coding> {
 protected:
  void SetUp() override {
    BuildOptions options;
    options.input_bits = GetParam().bits;
    options.chunk = GetParam().chunk;
    options.entry = GetParam().entry;
    store_ = scratch_ / "store.lut";
    BuildOrFail(WriteLlama(scratch_, "llama", kLlama), store_, options);
    Open(kPlenty);
  }
  void Open(uint64_t arena_bytes) {
    rows_ = nullptr;
    reader_ = *StoreReader::Open(store_, 8 << 20);
    rows_ = *RowSource::Create(*reader_, {.arena_bytes = arena_bytes, .threads = 2});
  }

  uint32_t Table(const std::string& name) const {
    for (const TableSpec& spec : reader_->manifest().tables) {
      if (spec.name.ends_with(name)) return spec.id;
    }
    ADD_FAILURE() << "no table " << name;
    return 0;
  }
  std::vector<uint32_t> Tables(const std::vector<std::string>& names) const {
    std::vector<uint32_t> tables;
    for (const std::string& name : names) tables.push_back(Table("layers.1." + name));
    return tables;
  }
  std::vector<uint16_t> RandomCodes(uint32_t table) {
    const TableGeometry& geometry = reader_->geometry(table);
    std::vector<uint16_t> codes(geometry.chunks());
    for (uint32_t c = 0; c < codes.size(); ++c) {
      codes[c] = static_cast<uint16_t>(random_() % geometry.codes(c));
    }
    return codes;
  }
  std::vector<int32_t> Alone(LookUpAdd& sums, uint32_t table, const std::vector<uint16_t>& codes) {
    std::vector<int32_t> acc(reader_->geometry(table).neurons());
    EXPECT_TRUE(sums.Sums(table, codes, acc.data()).ok());
    return acc;
  }
  // Looks up until all rows of the table are in the arena, which fills as time allows.
  void Warm(LookUpAdd& sums, uint32_t table) {
    for (int i = 0; i < 1000 && rows_->SideBySide(absl::MakeConstSpan(&table, 1)) == 0; ++i) {
      Alone(sums, table, RandomCodes(table));
    }
  }
  // Sums of all tables, cut into one list per table; empty when they were not made together.
  std::vector<std::vector<int32_t>> Together(LookUpAdd& sums, const std::vector<uint32_t>& tables,
                                             const std::vector<uint16_t>& codes) {
    size_t width = 0;
    for (const uint32_t table : tables) width += Stride(table);
    const AlignedArray<int32_t> acc = MakeAligned<int32_t>(width);
    const auto made = sums.SumsTogether(tables, codes, acc.get());
    EXPECT_TRUE(made.ok());
    if (!made.ok() || !*made) return {};
    std::vector<std::vector<int32_t>> all;
    const int32_t* at = acc.get();
    for (const uint32_t table : tables) {
      all.emplace_back(at, at + reader_->geometry(table).neurons());
      at += Stride(table);
    }
    return all;
  }
  size_t Stride(uint32_t table) const {
    const TableGeometry& geometry = reader_->geometry(table);
    return RowStrideBytes(geometry) / EntryBytes(geometry.entry());
  }

  ScratchDirectory scratch_;
  std::string store_;
  std::unique_ptr<StoreReader> reader_;
  std::unique_ptr<RowSource> rows_;
  std::mt19937 random_{5};
};

TEST_P(Panels, SumsAreThoseOfEachTableAlone) {
  for (const auto& names : std::vector<std::vector<std::string>>{
           {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
           {"self_attn.k_proj", "self_attn.v_proj"},
           {"mlp.gate_proj", "mlp.up_proj"}}) {
    const std::vector<uint32_t> tables = Tables(names);
    for (const unsigned threads : {1u, 3u}) {
      ThreadTeam team(threads);
      LookUpAdd sums(*reader_, *rows_, team);
      Warm(sums, tables.front());
      for (int i = 0; i < 5; ++i) {
        const std::vector<uint16_t> codes = RandomCodes(tables.front());
        std::vector<std::vector<int32_t>> expected;
        for (const uint32_t table : tables) expected.push_back(Alone(sums, table, codes));
        EXPECT_EQ(Together(sums, tables, codes), expected) << names.front();
      }
    }
  }
}

TEST_P(Panels, OthersAreNotSideBySide) {
  for (const uint32_t table : Tables({"self_attn.q_proj", "self_attn.o_proj"})) {
    ThreadTeam team(1);
    LookUpAdd sums(*reader_, *rows_, team);
    Warm(sums, table);
  }
  EXPECT_GT(rows_->SideBySide(Tables({"self_attn.q_proj"})), 0u);
  EXPECT_EQ(rows_->SideBySide(Tables({"self_attn.q_proj", "self_attn.v_proj"})), 0u);
  EXPECT_EQ(rows_->SideBySide(Tables({"self_attn.q_proj", "self_attn.o_proj"})), 0u);
  EXPECT_EQ(rows_->SideBySide({}), 0u);
  Open(0);
  EXPECT_EQ(rows_->SideBySide(Tables({"self_attn.q_proj", "self_attn.k_proj"})), 0u);
}

TEST_P(Panels, AnEditedTableIsSummedAlone) {
  const std::vector<uint32_t> tables =
      Tables({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
  const std::vector<uint16_t> codes = RandomCodes(tables[0]);
  ThreadTeam team(1);
  LookUpAdd sums(*reader_, *rows_, team);
  Warm(sums, tables[0]);
  const std::vector<int32_t> before = Alone(sums, tables[1], codes);
  {
    auto history = History::Open(store_, {.write = true});
    ASSERT_TRUE(history.ok());
    const EntryEdit edit = {tables[1], 3, 0, codes[0], 101};
    ASSERT_TRUE((*history)->Commit("main", {edit}, {.message = "one entry"}).ok());
  }
  auto view = BranchView::Open(*reader_, "main");
  ASSERT_TRUE(view.ok());
  sums.Use(*(*view)->Current());
  EXPECT_TRUE(Together(sums, tables, codes).empty());
  EXPECT_NE(Alone(sums, tables[1], codes), before);
  sums.Use(std::shared_ptr<const Edits>());
  const auto together = Together(sums, tables, codes);
  ASSERT_EQ(together.size(), tables.size());
  EXPECT_EQ(together[1], before);
}

TEST_P(Panels, AreFoundAgainByTheNextProcess) {
  const std::vector<uint32_t> tables = Tables({"mlp.gate_proj", "mlp.up_proj"});
  const std::vector<uint16_t> codes = RandomCodes(tables[0]);
  ThreadTeam team(1);
  std::vector<std::vector<int32_t>> first;
  {
    LookUpAdd sums(*reader_, *rows_, team);
    // All of them: what is missing, the next process may fill in the background.
    for (const TableSpec& spec : reader_->manifest().tables) Warm(sums, spec.id);
    first = Together(sums, tables, codes);
    ASSERT_FALSE(first.empty());
  }
  Open(kPlenty);
  LookUpAdd sums(*reader_, *rows_, team);
  EXPECT_EQ(Alone(sums, tables[1], codes), first[1]);
  EXPECT_EQ(rows_->stats().fills, 0u);
  EXPECT_EQ(Together(sums, tables, codes), first);
}

INSTANTIATE_TEST_SUITE_P(Codings, Panels,
                         ::testing::Values(Coding{"wide", 8, 1, EntryType::kI16},
                                           Coding{"narrow", 6, 1, EntryType::kI8},
                                           Coding{"pairs", 4, 2, EntryType::kI8}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace lutdb
