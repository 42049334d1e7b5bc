// A full disk is an error that leaves everything readable, never an abort.

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/status.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

using ::testing::HasSubstr;

// A file system of 8 MiB in memory, seen by this process alone.
class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      GTEST_SKIP() << "needs a mount namespace of its own";
    }
    (void)::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("tmpfs", scratch_.path().c_str(), "tmpfs", 0, "size=8m") != 0) {
      GTEST_SKIP() << "needs leave to mount a tmpfs";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(scratch_.path().c_str(), MNT_DETACH);
  }

  ScratchDirectory scratch_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, WritesFailAndEarlierOnesStay) {
  const std::string path = scratch_ / "db";
  std::map<Family, Records> filled;
  FillDatabase(path, &filled);
  std::mt19937_64 random(1);
  Records written;
  {
    auto rocks = Rocks::OpenForWriting(path, {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    absl::Status status;
    for (int i = 0; i < 200 && status.ok(); ++i) {
      const std::string key = fmt::format("key {}", i);
      const std::vector<Write> writes = {{Family::kHistory, key, RandomBytes(random, 100000)}};
      status = (*rocks)->Apply(writes);
      if (status.ok()) written[key] = writes[0].value;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(Message(status), HasSubstr("disk is full"));
    EXPECT_GT(written.size(), 10u);
    // What is kept is enough to flush, again and again.
    EXPECT_TRUE((*rocks)->Flush().ok());
    const std::vector<Write> one = {{Family::kHistory, "one more", "small"}};
    for (int i = 0; i < 20 && (*rocks)->Apply(one).ok(); ++i) EXPECT_TRUE((*rocks)->Flush().ok());
  }
  {
    auto rocks = Rocks::OpenForWriting(path, {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    const std::vector<Write> less = {{Family::kHistory, "key 0", "", /*is_delete=*/true}};
    EXPECT_TRUE((*rocks)->Apply(less).ok());
    written.erase("key 0");
    EXPECT_FALSE((*rocks)->Get(Family::kHistory, "key 0").ok());
  }
  // Somebody else takes the rest.
  for (int i = 0;
       WriteFileAtomically(scratch_ / fmt::format("p{}", i), std::string(4096, 'x')).ok(); ++i) {
  }
  // It still opens and reads on the full disk.
  const auto rocks = Rocks::OpenForReading(path, {});
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  for (const auto& [key, value] : written) {
    const auto got = (*rocks)->Get(Family::kHistory, key);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(*got, value);
  }
  for (const auto& [key, value] : filled[Family::kTile]) {
    EXPECT_EQ(*(*rocks)->Get(Family::kTile, key), value);
  }
}

TEST_F(FullDiskTest, BulkFilesFail) {
  auto writer = SstWriter::Create(Family::kTile, scratch_ / "a.sst");
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::mt19937_64 random(2);
  absl::Status status;
  for (uint32_t i = 0; i < 500 && status.ok(); ++i) {
    status = (*writer)->Add(TileKey(0, i, 0), RandomBytes(random, 100000));
  }
  if (status.ok()) status = (*writer)->Finish().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  writer->reset();
  EXPECT_FALSE(PathExists(scratch_ / "a.sst"));
  // The place it took is free again.
  EXPECT_TRUE(WriteFileAtomically(scratch_ / "b", std::string(4 << 20, 'b')).ok());
  EXPECT_EQ(WriteFileAtomically(scratch_ / "c", std::string(5 << 20, 'c')).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(PathExists(scratch_ / "c"));
  EXPECT_FALSE(PathExists(scratch_ / "c.tmp"));
}

TEST_F(FullDiskTest, CreatingFailsCleanly) {
  ASSERT_FALSE(WriteFileAtomically(scratch_ / "c", std::string(9 << 20, 'c')).ok());
  ASSERT_TRUE(MakeDirectory(scratch_ / "db").ok());
  // Fill what is left, page by page.
  for (int i = 0; WriteFileAtomically(scratch_ / std::to_string(i), std::string(65536, 'x')).ok();
       ++i) {
  }
  for (int i = 0; WriteFileAtomically(scratch_ / fmt::format("p{}", i), "x").ok(); ++i) {
  }
  EXPECT_FALSE(Rocks::Create(scratch_ / "db", {}).ok());
}

}  // namespace
}  // namespace lutdb::db
