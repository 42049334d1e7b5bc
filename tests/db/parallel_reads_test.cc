// Batched reads give the same records through io_uring and through threads, from many threads at
// once, and say what is wrong with a file that became shorter.
#include "db/parallel_reads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/status.h"
#include "db/read_plan.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

class ParallelReads : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectory(path_).ok());
    auto rocks = Rocks::Create(path_, {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    records_ = MakeRecords(Family::kRow, 0, 3000, 4000, 5);
    WriteSst(Family::kRow, path_ + ".sst", records_);
    ASSERT_TRUE((*rocks)->Ingest(Family::kRow, {path_ + ".sst"}).ok());
  }

  // Reads every record and as many keys that are not there, in a random order; a cache too small to
  // keep anything.
  void ExpectAllRead(uint64_t seed) {
    auto rocks = Rocks::OpenForReading(path_, {.cache_bytes = 1 << 10});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    std::vector<std::string> keys;
    for (const auto& [key, value] : records_) {
      keys.push_back(key);
      keys.push_back(key + "x");
    }
    std::shuffle(keys.begin(), keys.end(), std::mt19937_64(seed));
    Values values;
    const absl::Status status = (*rocks)->MultiGet(Family::kRow, keys, &values);
    ASSERT_TRUE(status.ok()) << Message(status);
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto expected = records_.find(keys[i]);
      ASSERT_EQ(values.found(i), expected != records_.end());
      if (values.found(i)) {
        ASSERT_EQ(values[i], expected->second);
      }
    }
  }

  // Cuts the file of the records in half under an open database.
  void ExpectShorterFileRefused() {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      if (entry.path().extension() != ".sst") continue;
      auto rocks = Rocks::OpenForReading(path_, {.cache_bytes = 1 << 10});
      ASSERT_TRUE(rocks.ok()) << rocks.status();
      std::vector<std::string> keys;
      for (const auto& [key, value] : records_) keys.push_back(key);
      Values values;
      ASSERT_TRUE((*rocks)->MultiGet(Family::kRow, keys, &values).ok());  // the file is open now
      std::filesystem::resize_file(entry.path(), entry.file_size() / 2);
      EXPECT_FALSE((*rocks)->MultiGet(Family::kRow, keys, &values).ok());
    }
  }

  ScratchDirectory scratch_;
  const std::string path_ = scratch_ / "db";
  Records records_;
};

TEST_F(ParallelReads, EveryRecordFromManyThreads) {
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([this, seed] { ExpectAllRead(seed); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ParallelReads, AShorterFileIsAnError) { ExpectShorterFileRefused(); }

TEST_F(ParallelReads, PlannedReadsGiveTheSame) {
  ForcePlannedReads(Planning::kAlways);
  ExpectAllRead(3);
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([this, seed] { ExpectAllRead(seed); });
  }
  for (std::thread& thread : threads) thread.join();
  // What a plan cannot read is an error as well.
  ExpectShorterFileRefused();
  ForcePlannedReads(Planning::kWhenSlow);
}

// A plan reads the blocks that RocksDB has not cached, and no others.
TEST_F(ParallelReads, APlanReadsWhatIsNotCached) {
  if (BatchedReadMode() != ReadMode::kIoUring) GTEST_SKIP() << "no io_uring";
  ForcePlannedReads(Planning::kNever);  // the plan below is the only one
  auto rocks = Rocks::OpenForReading(path_, {.cache_bytes = 64 << 20});
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  std::vector<std::string> keys;
  for (const auto& [key, value] : records_) keys.push_back(key);
  Values values;
  const auto blocks_read = [&] {
    ReadPlan plan;
    plan.Run(keys.size(), [&](size_t begin, size_t end, bool) {
      (void)(*rocks)->MultiGet(Family::kRow, absl::MakeConstSpan(keys).subspan(begin, end - begin),
                               &values);
    });
    return plan.blocks();
  };
  EXPECT_GE(blocks_read(), records_.size() / 2);
  ASSERT_TRUE((*rocks)->MultiGet(Family::kRow, keys, &values).ok());
  EXPECT_EQ(blocks_read(), 0u);
  ForcePlannedReads(Planning::kWhenSlow);
}

// The last of this program: from here on no ring is used.
TEST_F(ParallelReads, ThreadsWhereThereIsNoRing) {
  ForceThreadedReads();
  ASSERT_EQ(BatchedReadMode(), ReadMode::kThreads);
  ExpectAllRead(9);
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([this, seed] { ExpectAllRead(seed); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace lutdb::db
