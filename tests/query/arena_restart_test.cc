// What an arena leaves behind: used again when it is right, never believed when it is not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/file.h"
#include "db/store_files.h"
#include "query/arena.h"
#include "query/arena_index.h"
#include "query/row_source.h"
#include "tests/query/pinned_check.h"
#include "tests/query/small_store.h"

namespace lutdb {
namespace {

using testing::ExpectSourceRight;
using testing::SmallStore;
using testing::SpecOf;

constexpr uint64_t kHuge = uint64_t{1} << 30;
constexpr uint64_t kPart = 1 << 20;

std::vector<TableSpec> Specs() {
  return {
      SpecOf({.name = "wide", .inputs = 24, .neurons = 1500, .bits = 5}),
      SpecOf({.name = "mirrored", .inputs = 10, .neurons = 700, .bits = 6, .mirror = true}),
      SpecOf({.name = "stored", .inputs = 6, .neurons = 2100, .bits = 4, .layout = Layout::kRow})};
}

class ArenaRestart : public ::testing::TestWithParam<uint64_t> {
 protected:
  ArenaRestart() : store_("restart", Specs()) {}

  // Opens, checks every table `rounds` times, closes; gives what the arena counted.
  ArenaStats Use(int rounds = 3) { return UseOf(store_, rounds); }
  ArenaStats UseOf(const SmallStore& store, int rounds) {
    auto reader = StoreReader::Open(store.path(), 8 << 20);
    EXPECT_TRUE(reader.ok());
    auto source = RowSource::Create(**reader, {.arena_bytes = GetParam(), .threads = 2});
    EXPECT_TRUE(source.ok());
    ExpectSourceRight(source->get(), store, rounds, 21);
    return (*source)->stats();
  }
  std::string arena() const { return db::ArenaPath(store_.path()); }
  std::string index() const { return JoinPath(arena(), "index"); }
  std::string rows(uint32_t table) const { return ArenaFilePath(store_.path(), table); }

  SmallStore store_;
};

TEST_P(ArenaRestart, RowsAreFoundAgain) {
  const ArenaStats first = Use();
  EXPECT_GT(first.fills, 0u);
  EXPECT_TRUE(PathExists(index()));
  const ArenaStats second = Use();
  EXPECT_LT(second.fills, first.fills / 2);
  EXPECT_GT(second.hits, 0u);
  EXPECT_LE(second.used_bytes, second.limit_bytes);
}

TEST_P(ArenaRestart, WithoutAnIndexItStartsEmpty) {
  const ArenaStats first = Use();
  ASSERT_TRUE(RemovePath(index()).ok());
  const ArenaStats second = Use();
  EXPECT_EQ(second.fills, first.fills);
}

TEST_P(ArenaRestart, DeletedArenaIsMadeAnew) {
  Use();
  ASSERT_TRUE(RemovePath(arena()).ok());
  EXPECT_GT(Use().fills, 0u);
}

TEST_P(ArenaRestart, NoiseInTheRowsIsNoticed) {
  Use();
  for (uint32_t table = 0; table < 3; ++table) {
    std::fstream file(rows(table), std::ios::in | std::ios::out | std::ios::binary);
    std::mt19937 random(table);
    const auto bytes = std::filesystem::file_size(rows(table));
    for (uint64_t at = 0; at < bytes; at += 512) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(random()));
    }
  }
  Use();
}

TEST_P(ArenaRestart, ShortLongAndMissingFilesAreMadeAnew) {
  Use();
  std::filesystem::resize_file(rows(0), 5000);
  std::filesystem::resize_file(rows(1), 100 << 20);
  ASSERT_TRUE(RemovePath(rows(2)).ok());
  Use();
}

TEST_P(ArenaRestart, HolesWhereRowsShouldBeAreNoticed) {
  Use();
  for (uint32_t table = 0; table < 3; ++table) {
    const auto bytes = std::filesystem::file_size(rows(table));
    std::filesystem::resize_file(rows(table), 0);
    std::filesystem::resize_file(rows(table), bytes);
  }
  Use();
}

TEST_P(ArenaRestart, DamagedIndexIsIgnored) {
  Use();
  const auto good = ReadFile(index(), 1 << 20);
  ASSERT_TRUE(good.ok());
  std::mt19937 random(3);
  for (int i = 0; i < 12; ++i) {
    std::string bad = *good;
    if (i % 3 == 0) {
      bad.resize(random() % bad.size());
    } else {
      bad[random() % bad.size()] ^= static_cast<char>(1 + random() % 255);
    }
    EXPECT_FALSE(ParseArenaIndex(bad).ok());
    ASSERT_TRUE(WriteFileAtomically(index(), bad).ok());
    Use(1);
  }
}

TEST_P(ArenaRestart, ArenaOfAnotherStoreIsIgnored) {
  const SmallStore other("restart", Specs(), 2);
  UseOf(other, 3);
  Use();
  ASSERT_TRUE(RemovePath(arena()).ok());
  std::filesystem::copy(db::ArenaPath(other.path()), arena());
  const ArenaStats stats = Use();
  EXPECT_GT(stats.fills, 0u);
}

// The index of one budget read under the other: residency of another kind counts as none.
TEST_P(ArenaRestart, OtherBudgetStaysRight) {
  Use();
  auto reader = StoreReader::Open(store_.path(), 8 << 20);
  ASSERT_TRUE(reader.ok());
  for (const uint64_t bytes : {uint64_t{64} << 10, kHuge, kPart / 2, kPart}) {
    auto source = RowSource::Create(**reader, {.arena_bytes = bytes, .threads = 1});
    ASSERT_TRUE(source.ok());
    ExpectSourceRight(source->get(), store_, 2, 5);
    EXPECT_LE((*source)->stats().used_bytes, (*source)->stats().limit_bytes);
  }
}

TEST_P(ArenaRestart, SecondProcessRunsWithout) {
  int ready[2];
  int done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  ASSERT_TRUE(MakeDirectory(arena()).ok());
  const pid_t child = ::fork();
  if (child == 0) {  // owns the arena until told to stop
    auto lock = FileLock::Acquire(JoinPath(arena(), "lock"), 0);
    char byte = lock.ok() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 1) ::_exit(1);
    ::_exit(0);
  }
  ::close(done[0]);
  char byte = 'n';
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_FALSE(Use(1).owned);
  ASSERT_EQ(::write(done[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(Use(1).owned);
}

TEST_P(ArenaRestart, TwoSourcesOfOneProcessDoNotShare) {
  auto reader = StoreReader::Open(store_.path(), 8 << 20);
  ASSERT_TRUE(reader.ok());
  auto first = RowSource::Create(**reader, {.arena_bytes = GetParam(), .threads = 2});
  auto second = RowSource::Create(**reader, {.arena_bytes = GetParam(), .threads = 2});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE((*first)->stats().owned);
  EXPECT_FALSE((*second)->stats().owned);
  for (int round = 0; round < 2; ++round) {
    ExpectSourceRight(first->get(), store_, 1, 1);
    ExpectSourceRight(second->get(), store_, 1, 1);
  }
}

// A process that dies leaves rows without an index.
TEST_P(ArenaRestart, KilledOwnerLeavesNothingBelieved) {
  Use();
  const pid_t child = ::fork();
  if (child == 0) {
    auto reader = StoreReader::Open(store_.path(), 8 << 20);
    auto source = RowSource::Create(**reader, {.arena_bytes = GetParam(), .threads = 1});
    PinnedRows pinned;
    const std::vector<uint16_t> codes(24, 2);
    (void)(*source)->Pin(0, 0, codes, &pinned);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(PathExists(index()));
  EXPECT_GT(Use().fills, 0u);
}

TEST_P(ArenaRestart, WhereNoDirectoryCanBeMadeRowsLieInMemory) {
  std::ofstream(arena()) << "in the way";
  const ArenaStats stats = Use();
  EXPECT_GT(stats.hits, 0u);
  EXPECT_LE(stats.used_bytes, stats.limit_bytes);
}

INSTANTIATE_TEST_SUITE_P(Budgets, ArenaRestart, ::testing::Values(kPart, kHuge));

TEST(ArenaIndexFormat, RoundTripsAndRefusesAbsurdCounts) {
  ArenaIndex index;
  index.content_hash = {.low = 1, .high = 2};
  index.generation = 3;
  index.tables.push_back({Residency::kRows, 100, 128, {{5, 6}, {7, 8}}});
  index.tables.push_back({Residency::kWhole, 10, 64, {}});
  const std::string bytes = SerializeArenaIndex(index);
  const auto parsed = ParseArenaIndex(bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, index);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(ParseArenaIndex(std::string_view(bytes).substr(0, i)).ok());
  }
}

}  // namespace
}  // namespace lutdb
