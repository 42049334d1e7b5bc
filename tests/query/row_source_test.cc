#include "query/row_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>
#include <thread>

#include "base/file.h"
#include "db/store_files.h"
#include "tests/query/pinned_check.h"
#include "tests/query/small_store.h"

namespace lutdb {
namespace {

using testing::ExpectPinsRight;
using testing::ExpectRow;
using testing::ExpectSourceRight;
using testing::ManySpecs;
using testing::RandomCodes;
using testing::SmallStore;
using testing::SmallTable;
using testing::SpecOf;

constexpr uint64_t kTiny = 256 << 10;
constexpr uint64_t kHuge = uint64_t{1} << 30;

struct OpenedSource {
  std::unique_ptr<StoreReader> store;
  std::unique_ptr<RowSource> source;
  RowSource* operator->() const { return source.get(); }
};

OpenedSource OpenOrDie(const std::string& path, uint64_t arena_bytes, unsigned threads = 2) {
  OpenedSource opened;
  auto store = StoreReader::Open(path, 8 << 20);
  EXPECT_TRUE(store.ok()) << Message(store.status());
  opened.store = *std::move(store);
  auto source = RowSource::Create(*opened.store, {.arena_bytes = arena_bytes, .threads = threads});
  EXPECT_TRUE(source.ok()) << Message(source.status());
  opened.source = *std::move(source);
  return opened;
}

class RowSourceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { store_ = new SmallStore("rows", ManySpecs()); }
  static void TearDownTestSuite() {
    delete store_;
    store_ = nullptr;
  }
  void SetUp() override { ASSERT_TRUE(RemovePath(db::ArenaPath(store_->path())).ok()); }

  static SmallStore* store_;
};
SmallStore* RowSourceTest::store_ = nullptr;

TEST_F(RowSourceTest, RightWithTheArenaOff) {
  const OpenedSource source = OpenOrDie(store_->path(), 0);
  ExpectSourceRight(source.source.get(), *store_, 2, 1);
  EXPECT_FALSE(source->stats().owned);
  EXPECT_EQ(source->stats().used_bytes, 0u);
  EXPECT_FALSE(PathExists(db::ArenaPath(store_->path())));
}

TEST_F(RowSourceTest, RightWhenEverythingIsResident) {
  const OpenedSource source = OpenOrDie(store_->path(), kHuge);
  ExpectSourceRight(source.source.get(), *store_, 3, 2);
  const ArenaStats stats = source->stats();
  EXPECT_TRUE(stats.owned);
  EXPECT_GT(stats.hits, 0u);
  EXPECT_GT(stats.fills, 0u);
  EXPECT_EQ(stats.evictions, 0u);
  EXPECT_LE(stats.used_bytes, stats.limit_bytes);
}

// While table 0 is looked up, table 1 is filled by itself.
TEST_F(RowSourceTest, TheNextTableIsFilledAhead) {
  const OpenedSource source = OpenOrDie(store_->path(), kHuge);
  std::mt19937 random(4);
  PinnedRows pinned;
  ExpectPinsRight(source.source.get(), store_->table(0),
                  RandomCodes(store_->table(0).geometry(), &random, false), &pinned);
  for (int i = 0; i < 500 && source->RowsPerPin(1) != std::numeric_limits<uint64_t>::max(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const uint64_t misses = source->stats().misses;
  ExpectPinsRight(source.source.get(), store_->table(1),
                  RandomCodes(store_->table(1).geometry(), &random, false), &pinned);
  EXPECT_EQ(source->stats().misses, misses);
}

TEST_F(RowSourceTest, RightWhenRowsComeAndGo) {
  const OpenedSource source = OpenOrDie(store_->path(), kTiny);
  for (uint32_t round = 0; round < 12; ++round) {
    ExpectSourceRight(source.source.get(), *store_, 1, round);
    EXPECT_LE(source->stats().used_bytes, kTiny);
  }
  EXPECT_GT(source->stats().hits, 0u);
  EXPECT_GT(source->stats().evictions, 0u);
}

TEST_F(RowSourceTest, RightWithoutRoomForASingleRow) {
  const OpenedSource source = OpenOrDie(store_->path(), 1);
  ExpectSourceRight(source.source.get(), *store_, 2, 5);
  EXPECT_EQ(source->stats().used_bytes, 0u);
}

TEST_F(RowSourceTest, ZeroRowsAreNotRead) {
  for (const uint64_t arena_bytes : {uint64_t{0}, kTiny, kHuge}) {
    const OpenedSource source = OpenOrDie(store_->path(), arena_bytes);
    PinnedRows pinned;
    const SmallTable& table = store_->table(0);
    const uint16_t zero = static_cast<uint16_t>(table.geometry().ZeroCode(0));
    ASSERT_TRUE(source->Pin(0, 0, {zero, zero, 1}, &pinned).ok());
    EXPECT_EQ(pinned.rows()[0], nullptr);
    EXPECT_EQ(pinned.rows()[1], nullptr);
    EXPECT_NE(pinned.rows()[2], nullptr);
  }
}

TEST_F(RowSourceTest, ManyThreadsPinAtOnce) {
  for (const uint64_t arena_bytes : {uint64_t{0}, kTiny, kHuge}) {
    const OpenedSource source = OpenOrDie(store_->path(), arena_bytes);
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] { ExpectSourceRight(source.source.get(), *store_, 2, 40 + t); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(source->stats().used_bytes, source->stats().limit_bytes);
  }
}

TEST_F(RowSourceTest, WrongPinsAreRefused) {
  const OpenedSource source = OpenOrDie(store_->path(), kTiny);
  PinnedRows pinned;
  const uint32_t tables = static_cast<uint32_t>(store_->tables().size());
  EXPECT_TRUE(absl::IsInvalidArgument(source->Pin(tables, 0, {0}, &pinned)));
  EXPECT_TRUE(absl::IsOutOfRange(source->Pin(0, 6, {0}, &pinned)));
  EXPECT_TRUE(absl::IsOutOfRange(source->Pin(0, 5, {0, 0}, &pinned)));
  EXPECT_TRUE(absl::IsOutOfRange(source->Pin(0, 0, {49}, &pinned)));
  EXPECT_EQ(pinned.size(), 0u);
  EXPECT_TRUE(source->Pin(0, 6, {}, &pinned).ok());
}

// Tables whose rows are a page and more, so that pages come and go with single rows.
std::vector<TableSpec> LargeRows() {
  return {
      SpecOf({.name = "large", .inputs = 24, .neurons = 3000, .bits = 5}),
      SpecOf({.name = "mirrored", .inputs = 10, .neurons = 2048, .bits = 6, .mirror = true}),
      SpecOf({.name = "stored", .inputs = 6, .neurons = 4100, .bits = 4, .layout = Layout::kRow})};
}

TEST(RowSourceLarge, PinnedRowsOutliveEviction) {
  const SmallStore store("pinned", LargeRows());
  const OpenedSource source = OpenOrDie(store.path(), 1 << 20);
  std::mt19937 random(9);
  const SmallTable& table = store.table(0);
  PinnedRows kept;
  PinnedRows other;
  const std::vector<uint16_t> codes = RandomCodes(table.geometry(), &random, false);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(source->Pin(0, 0, codes, &kept).ok());
  EXPECT_GT(source->stats().hits, 0u);
  // Other rows are asked for often enough to displace everything that is not pinned.
  for (int round = 0; round < 6; ++round) {
    std::mt19937 again(77);
    for (int i = 0; i < 20; ++i) {
      ExpectPinsRight(source.source.get(), table, RandomCodes(table.geometry(), &again, false),
                      &other);
    }
  }
  EXPECT_GT(source->stats().evictions, 0u);
  for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
    ExpectRow(table, kept, chunk, chunk, codes[chunk]);
  }
  EXPECT_LE(source->stats().used_bytes, source->stats().limit_bytes);
}

// Everything once a round, in the same order, with room for a part: the part that is resident keeps
// serving, where a cache by recency would never hit.
TEST(RowSourceLarge, ScansDoNotCycleTheArena) {
  const SmallStore store("scan", {LargeRows()[0]});
  const SmallTable& table = store.table(0);
  const OpenedSource source = OpenOrDie(store.path(), 1 << 20);
  PinnedRows pinned;
  const auto scan = [&] {
    for (uint16_t code = 0; code < table.geometry().codes(0); ++code) {
      const std::vector<uint16_t> codes(table.geometry().chunks(), code);
      ASSERT_TRUE(source->Pin(0, 0, codes, &pinned).ok());
    }
  };
  for (int round = 0; round < 4; ++round) scan();
  const ArenaStats before = source->stats();
  EXPECT_GT(before.used_bytes, before.limit_bytes / 2);
  scan();
  const ArenaStats after = source->stats();
  const uint64_t resident_rows = before.limit_bytes / 6016;
  EXPECT_GE(after.hits - before.hits, resident_rows / 2);
}

TEST(RowSourceLarge, FrequentRowsTakeThePlaceOfRareOnes) {
  const SmallStore store("skew", {LargeRows()[0]});
  const SmallTable& table = store.table(0);
  const OpenedSource source = OpenOrDie(store.path(), 1 << 20);  // about 170 of 720 rows
  PinnedRows pinned;
  std::mt19937 random(4);
  for (int i = 0; i < 40; ++i) {  // rare rows fill it first
    ASSERT_TRUE(source->Pin(0, 0, RandomCodes(table.geometry(), &random, false), &pinned).ok());
  }
  const std::vector<uint16_t> favourites(table.geometry().chunks(), 3);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(source->Pin(0, 0, favourites, &pinned).ok());
  const ArenaStats before = source->stats();
  ASSERT_TRUE(source->Pin(0, 0, favourites, &pinned).ok());
  EXPECT_EQ(source->stats().hits - before.hits, favourites.size());
}

TEST(RowSourceLarge, RightInEveryState) {
  const SmallStore store("large", LargeRows());
  for (const uint64_t arena_bytes : {uint64_t{0}, uint64_t{1} << 20, kHuge}) {
    const OpenedSource source = OpenOrDie(store.path(), arena_bytes);
    ExpectSourceRight(source.source.get(), store, 4, 8);
  }
}

}  // namespace
}  // namespace lutdb
