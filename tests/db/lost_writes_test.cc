// Writes that were acknowledged and are gone are noticed; RocksDB's small files are put back.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/status.h"
#include "db/mend_manifest.h"
#include "db/rocks.h"
#include "db/store_files.h"
#include "db/write_mark.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

using ::testing::HasSubstr;

void FlipByte(const std::string& path, uint64_t at) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(at));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(byte ^ 0x10));
}

std::string FileWith(const std::string& folder, const std::string& part) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.find(part) != std::string::npos && entry.file_size() > 0) return entry.path();
  }
  return "";
}

class LostWritesTest : public ::testing::Test {
 protected:
  // Ten writes of a kilobyte each; closes: false: by a process that dies without closing.
  void Write(bool closes) {
    if (closes) {
      ASSERT_TRUE(WriteTen(/*closes=*/true));
      return;
    }
    const pid_t child = ::fork();
    if (child == 0) ::_exit(WriteTen(closes) ? 0 : 1);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  bool WriteTen(bool closes) {
    if (!MakeDirectory(path_).ok()) return false;
    auto rocks = Rocks::Create(path_, {});
    for (int i = 0; i < 10 && rocks.ok(); ++i) {
      const std::vector<db::Write> writes = {
          {Family::kHistory, fmt::format("key{}", i), std::string(1000, 'v')}};
      if (!(*rocks)->Apply(writes).ok()) return false;
    }
    if (!closes && rocks.ok()) (void)rocks->release();  // as a killed process leaves it
    return rocks.ok();
  }
  bool Holds(const Rocks& rocks, int key) {
    return rocks.Get(Family::kHistory, fmt::format("key{}", key)).ok();
  }

  ScratchDirectory scratch_;
  const std::string path_ = scratch_ / "db";
};

TEST_F(LostWritesTest, AKilledWriterLosesNothing) {
  Write(/*closes=*/false);
  EXPECT_GE(ReadWriteMark(path_), 10u);
  const auto rocks = Rocks::OpenForReading(path_, {});
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  EXPECT_TRUE(Holds(**rocks, 9));
}

TEST_F(LostWritesTest, ASpoiltLogIsRefusedUntilTheLossIsAccepted) {
  Write(/*closes=*/false);
  const std::string log = FileWith(path_, ".log");
  ASSERT_NE(log, "");
  FlipByte(log, std::filesystem::file_size(log) / 2);
  for (const auto open : {Rocks::OpenForReading, Rocks::OpenForWriting}) {
    const auto refused = open(path_, {});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(refused.status()), HasSubstr("lost the newest"));
    EXPECT_THAT(Message(refused.status()), HasSubstr(BaseName(log)));
  }
  OpenOptions history;
  history.history_only = true;
  EXPECT_FALSE(Rocks::OpenForReading(path_, history).ok());
  OpenOptions accepting;
  accepting.accept_lost_writes = true;
  {
    const auto rocks = Rocks::OpenForWriting(path_, accepting);
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    EXPECT_TRUE(Holds(**rocks, 0));
    EXPECT_FALSE(Holds(**rocks, 9));
    (*rocks)->AcceptLostWrites();
  }
  EXPECT_TRUE(Rocks::OpenForReading(path_, {}).ok());
}

TEST_F(LostWritesTest, AClosedDatabaseHasNothingInItsLog) {
  Write(/*closes=*/true);
  if (const std::string log = FileWith(path_, ".log"); log != "") std::filesystem::remove(log);
  const auto rocks = Rocks::OpenForReading(path_, {});
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  EXPECT_TRUE(Holds(**rocks, 9));
}

TEST_F(LostWritesTest, SmallFilesAreMended) {
  Write(/*closes=*/true);
  const auto mended = [&] {
    EXPECT_FALSE(Rocks::OpenForReading(path_, {}).ok());
    const auto done = MendManifest(path_);
    EXPECT_TRUE(done.ok() && *done) << done.status();
    const auto rocks = Rocks::OpenForReading(path_, {});
    return rocks.ok() && Holds(**rocks, 9);
  };
  const std::string manifest = FileWith(path_, "MANIFEST-");
  FlipByte(manifest, std::filesystem::file_size(manifest) / 2);
  EXPECT_TRUE(mended());
  FlipByte(path_ + "/CURRENT", 3);
  EXPECT_TRUE(mended());
  FlipByte(path_ + "/CURRENT", 12);  // a MANIFEST that is not there
  EXPECT_TRUE(mended());
  // Torn: without the copy, the end is cut off.
  std::filesystem::remove(path_ + "/current");
  std::ofstream(manifest, std::ios::binary | std::ios::app)
      << std::string("\x01\x02\x03\x04\x03\0\1abc", 10);
  EXPECT_TRUE(mended());
  const auto again = MendManifest(path_);
  EXPECT_TRUE(again.ok() && !*again);
}

// RocksDB alone reads some of these as the end of the file, and deletes what the rest named.
TEST_F(LostWritesTest, AWriterDeletesNothingBecauseOfASpoiltManifest) {
  Write(/*closes=*/true);
  const std::string manifest = FileWith(path_, "MANIFEST-");
  const uint64_t size = std::filesystem::file_size(manifest);
  for (uint64_t byte = 0; byte < size; ++byte) {
    FlipByte(manifest, byte);
    for (const auto open : {Rocks::OpenForWriting, Rocks::OpenForReading}) {
      const absl::Status refused = open(path_, {}).status();
      EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << byte;
      EXPECT_THAT(Message(refused), HasSubstr(BaseName(manifest)));
    }
    FlipByte(manifest, byte);
  }
  // Nor where no copy was kept, unless the damage is in the last record.
  std::filesystem::remove(path_ + "/current");
  for (const uint64_t byte : {uint64_t{4}, uint64_t{6}, size / 4, size / 2}) {
    FlipByte(manifest, byte);
    EXPECT_FALSE(Rocks::OpenForWriting(path_, {}).ok()) << byte;
    FlipByte(manifest, byte);
  }
  const auto rocks = Rocks::OpenForReading(path_, {});
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  EXPECT_TRUE(Holds(**rocks, 0) && Holds(**rocks, 9));
}

TEST(Generation, ASpoiltDigitIsNoOtherGeneration) {
  const ScratchDirectory scratch;
  EXPECT_EQ(*ReadGeneration(scratch.path()), 1u);
  ASSERT_TRUE(AnnounceGeneration(scratch.path(), 3).ok());
  EXPECT_EQ(*ReadGeneration(scratch.path()), 3u);
  const std::string path = GenerationFile(scratch.path());
  const auto size = std::filesystem::file_size(path);
  for (uint64_t byte = 0; byte < size; ++byte) {
    FlipByte(path, byte);
    EXPECT_EQ(ReadGeneration(scratch.path()).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_FALSE(PathExists(RocksPath(scratch.path())));
    FlipByte(path, byte);
  }
  ASSERT_TRUE(WriteFileAtomically(path, "2\n").ok());
  EXPECT_EQ(*ReadGeneration(scratch.path()), 2u);
}

TEST(Generation, ALostFileIsMissed) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(MakeDirectory(scratch / "db").ok());
  EXPECT_EQ(*ReadGeneration(scratch.path()), 1u);
  ASSERT_TRUE(MakeDirectory(scratch / "db.2.partial").ok());  // of a bake that goes on
  EXPECT_EQ(*ReadGeneration(scratch.path()), 1u);
  ASSERT_TRUE(MakeDirectory(scratch / "db.2").ok());
  EXPECT_EQ(ReadGeneration(scratch.path()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ListGenerations(scratch.path()), (std::vector<uint32_t>{1, 2}));
  for (const uint32_t generation : {1u, 2u}) {
    ASSERT_TRUE(AnnounceGeneration(scratch.path(), generation).ok());
    EXPECT_EQ(*ReadGeneration(scratch.path()), generation);
  }
}

}  // namespace
}  // namespace lutdb::db
