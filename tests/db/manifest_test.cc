#include "db/manifest.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/status.h"
#include "db/keys.h"
#include "db/store_files.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class OpenStoreTest : public ::testing::Test {
 protected:
  // Makes a store whose manifest has these bytes.
  void MakeStore(const std::string& manifest) {
    ASSERT_TRUE(MakeDirectory(store_).ok());
    ASSERT_TRUE(MakeDirectory(RocksPath(store_)).ok());
    auto rocks = Rocks::Create(RocksPath(store_), {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    const std::vector<Write> writes = {{Family::kDefault, kManifestKey, manifest}};
    ASSERT_TRUE((*rocks)->Apply(writes).ok());
    ASSERT_TRUE((*rocks)->Flush().ok());
  }
  absl::Status Open(Access access = Access::kRead, double wait_seconds = 0) {
    OpenOptions options;
    options.wait_seconds = wait_seconds;
    return OpenStore(store_, access, options).status();
  }

  ScratchDirectory scratch_;
  std::string store_ = scratch_ / "model.lut";
};

Manifest SmallManifest() {
  Manifest manifest;
  manifest.source_name = "digits";
  TableSpec table;
  table.name = "l1";
  table.inputs = 3;
  table.neurons = 5;
  manifest.tables.push_back(table);
  manifest.stats.push_back({.records = 1});
  return manifest;
}

TEST_F(OpenStoreTest, GivesTheManifest) {
  MakeStore(SerializeManifest(SmallManifest()));
  for (const Access access : {Access::kRead, Access::kWrite}) {
    const auto opened = OpenStore(store_, access, {});
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->manifest, SmallManifest());
    EXPECT_EQ(opened->lock != nullptr, access == Access::kWrite);
  }
}

TEST_F(OpenStoreTest, SaysThatThereIsNone) {
  EXPECT_EQ(Open().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(Open()), AllOf(HasSubstr(store_), HasSubstr("lutdb build MODEL")));
}

TEST_F(OpenStoreTest, SaysThatItIsHalfBuilt) {
  ASSERT_TRUE(MakeDirectory(PartialPath(store_)).ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(Open()), AllOf(HasSubstr("half-built"), HasSubstr("resume")));
}

TEST_F(OpenStoreTest, SaysThatItIsNoStore) {
  ASSERT_TRUE(WriteFileAtomically(store_, "a text").ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(Open()), HasSubstr("not a lutdb store"));
  ASSERT_TRUE(RemovePath(store_).ok());
  ASSERT_TRUE(MakeDirectory(store_).ok());
  EXPECT_THAT(Message(Open()), HasSubstr("not a lutdb store"));
  ASSERT_TRUE(MakeDirectory(RocksPath(store_)).ok());  // and an empty database folder
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(OpenStoreTest, SaysThatTheVersionIsNewer) {
  Manifest manifest = SmallManifest();
  manifest.format_version = kFormatVersion + 1;
  MakeStore(SerializeManifest(manifest));
  EXPECT_EQ(Open().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(Open()), AllOf(HasSubstr(store_), HasSubstr("newer")));
}

TEST_F(OpenStoreTest, SaysThatTheManifestIsDamagedOrAbsent) {
  MakeStore(SerializeManifest(SmallManifest()).substr(1));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  auto rocks = Rocks::OpenForWriting(RocksPath(store_), {});
  ASSERT_TRUE(rocks.ok());
  const std::vector<Write> writes = {{Family::kDefault, kManifestKey, "", true}};
  ASSERT_TRUE((*rocks)->Apply(writes).ok());
  rocks->reset();
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(Open()), HasSubstr("no manifest"));
}

TEST_F(OpenStoreTest, OpensAlthoughATableFileIsDamagedOrMissing) {
  MakeStore(SerializeManifest(SmallManifest()));
  std::vector<std::string> files;
  {
    auto rocks = Rocks::OpenForWriting(RocksPath(store_), {});
    ASSERT_TRUE(rocks.ok());
    for (const uint32_t table : {1u, 2u}) {
      const std::string file = scratch_ / std::to_string(table);
      WriteSst(Family::kTile, file, MakeRecords(Family::kTile, table, 20, 100, table));
      ASSERT_TRUE((*rocks)->Ingest(Family::kTile, {file}).ok());
    }
    for (const LiveFile& file : (*rocks)->LiveFiles()) {
      if (file.family == Family::kTile) files.push_back(file.path);
    }
  }
  ASSERT_EQ(files.size(), 2u);
  std::filesystem::resize_file(files[0], 20);
  for (int round = 0; round < 2; ++round) {
    for (const Access access : {Access::kRead, Access::kWrite}) {
      const auto opened = OpenStore(store_, access, {});
      ASSERT_TRUE(opened.ok()) << opened.status();
      for (const LiveFile& file : opened->rocks->LiveFiles()) {
        const bool damaged = file.path == files[0] || (round == 1 && file.path == files[1]);
        EXPECT_EQ(opened->rocks->VerifyFile(file).ok(), !damaged);
        EXPECT_EQ(opened->rocks->Get(file.family, file.first_key).status().code(),
                  damaged ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk);
      }
    }
    std::filesystem::remove(files[1]);
  }
}

TEST_F(OpenStoreTest, WritersWaitForEachOtherAndReadersForNobody) {
  MakeStore(SerializeManifest(SmallManifest()));
  auto writer = OpenStore(store_, Access::kWrite, {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ(Open(Access::kWrite, 0.05).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Open(Access::kRead).ok());
  std::thread closes([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    OpenedStore done = *std::move(writer);
  });
  EXPECT_TRUE(Open(Access::kWrite, 30).ok());
  closes.join();
}

TEST_F(OpenStoreTest, SurvivesAWriterKilledAfterItsCommit) {
  MakeStore(SerializeManifest(SmallManifest()));
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = OpenStore(store_, Access::kWrite, {});
    const std::vector<Write> writes = {{Family::kHistory, "commit", "done"}};
    const bool written = writer.ok() && writer->rocks->Apply(writes).ok();
    ::_exit(written ? 7 : 8);  // nothing is closed
  }
  int result = 0;
  ::waitpid(child, &result, 0);
  ASSERT_EQ(WEXITSTATUS(result), 7);
  for (const Access access : {Access::kRead, Access::kWrite}) {
    const auto opened = OpenStore(store_, access, {});
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(*opened->rocks->Get(Family::kHistory, "commit"), "done");
  }
}

}  // namespace
}  // namespace lutdb::db
