// Every damaged byte is found, and no damaged byte is ever read as data.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "db/rocks.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

using ::testing::HasSubstr;

// Flips bits of one byte; doing it twice restores the file.
void FlipByte(const std::string& path, uint64_t offset, char mask) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  char byte = 0;
  file.get(byte);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ mask));
  ASSERT_TRUE(file.good());
}

class VerifyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FillDatabase(path_, &filled_);
    auto rocks = Rocks::OpenForReading(path_, {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    files_ = (*rocks)->LiveFiles();
    for (const LiveFile& file : files_) ASSERT_TRUE((*rocks)->VerifyFile(file).ok());
  }

  std::unique_ptr<Rocks> OpenDamaged() {
    OpenOptions options;
    options.tolerate_damage = true;
    auto rocks = Rocks::OpenForReading(path_, options);
    EXPECT_TRUE(rocks.ok()) << rocks.status();
    return rocks.ok() ? *std::move(rocks) : nullptr;
  }

  LiveFile FileOf(Family family) const {
    for (const LiveFile& file : files_) {
      if (file.family == family) return file;
    }
    ADD_FAILURE();
    return {};
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_ / "db";
  std::map<Family, Records> filled_;
  std::vector<LiveFile> files_;
};

TEST_F(VerifyTest, EveryLiveFileHasItsChecksumAndFamily) {
  std::map<Family, int> count;
  for (const LiveFile& file : files_) {
    EXPECT_FALSE(file.checksum.empty()) << file.path;
    EXPECT_EQ(file.bytes, std::filesystem::file_size(file.path));
    ++count[file.family];
  }
  const std::map<Family, int> expected = {{Family::kDefault, 1},
                                          {Family::kTile, 2},
                                          {Family::kRow, 2},
                                          {Family::kWeights, 2},
                                          {Family::kHistory, 1}};
  EXPECT_EQ(count, expected);
}

TEST_F(VerifyTest, FindsEveryFlippedByte) {
  const auto rocks = OpenDamaged();
  std::mt19937_64 random(4);
  for (const LiveFile& file : files_) {
    // All of the end of the file, where its structure is, and steps through its blocks.
    for (uint64_t offset = 0; offset < file.bytes; offset += offset + 1500 < file.bytes ? 97 : 1) {
      // The highest bits hold what most misleads a reader: signs, flags, more to come.
      const auto mask = static_cast<char>(1 << (random() % 2 ? 7 : random() % 8));
      FlipByte(file.path, offset, mask);
      const absl::Status status = rocks->VerifyFile(file);
      ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << file.path << " at " << offset;
      ASSERT_THAT(Message(status), HasSubstr(file.path));
      FlipByte(file.path, offset, mask);
    }
    ASSERT_TRUE(rocks->VerifyFile(file).ok());
  }
}

TEST_F(VerifyTest, NeverReadsAFlippedByteAsData) {
  std::mt19937_64 random(5);
  const LiveFile file = FileOf(Family::kTile);
  const Records& records = filled_[Family::kTile];
  for (uint64_t offset = random() % 61; offset < file.bytes; offset += 911) {
    FlipByte(file.path, offset, 0x10);
    const auto rocks = OpenDamaged();  // opened anew: nothing is cached
    ASSERT_NE(rocks, nullptr);
    uint64_t lost = 0;
    for (const auto& [key, value] : records) {
      const auto got = rocks->Get(Family::kTile, key);
      if (got.ok()) {
        ASSERT_EQ(*got, value) << "at " << offset;
      } else {
        ASSERT_EQ(got.status().code(), absl::StatusCode::kDataLoss) << got.status();
        ++lost;
      }
    }
    Values values;
    std::vector<std::string> keys;
    for (const auto& record : records) keys.push_back(record.first);
    const absl::Status batch = rocks->MultiGet(Family::kTile, keys, &values);
    EXPECT_EQ(batch.ok(), lost == 0);
    FlipByte(file.path, offset, 0x10);
  }
}

TEST_F(VerifyTest, FindsTruncatedAndMissingFiles) {
  const LiveFile cut = FileOf(Family::kWeights);
  const LiveFile gone = FileOf(Family::kTile);
  std::filesystem::resize_file(cut.path, cut.bytes - 100);
  std::filesystem::remove(gone.path);
  const auto rocks = OpenDamaged();
  ASSERT_NE(rocks, nullptr);
  EXPECT_EQ(rocks->VerifyFile(cut).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(rocks->VerifyFile(gone).code(), absl::StatusCode::kDataLoss);
  // A lost file is damage, not an absent key.
  EXPECT_EQ(rocks->Get(Family::kTile, gone.first_key).status().code(), absl::StatusCode::kDataLoss);
  // Without tolerance: one line of DataLoss, or a database that answers as above.
  const auto plain = Rocks::OpenForReading(path_, {});
  if (!plain.ok()) {
    EXPECT_EQ(plain.status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(VerifyTest, DamagedFilesAreDroppedAndReplaced) {
  const Records& all = filled_[Family::kTile];
  std::vector<LiveFile> tiles;
  for (const LiveFile& file : files_) {
    if (file.family == Family::kTile) tiles.push_back(file);
  }
  ASSERT_EQ(tiles.size(), 2u);
  std::filesystem::resize_file(tiles[0].path, 10);
  std::filesystem::remove(tiles[1].path);
  OpenOptions options;
  options.tolerate_damage = true;
  auto rocks = Rocks::OpenForWriting(path_, options);
  ASSERT_TRUE(rocks.ok()) << rocks.status();
  for (const LiveFile& file : tiles) ASSERT_TRUE((*rocks)->DropFile(file).ok());
  WriteSst(Family::kTile, scratch_ / "new", all);
  const absl::Status ingested = (*rocks)->Ingest(Family::kTile, {scratch_ / "new"});
  ASSERT_TRUE(ingested.ok()) << ingested;
  rocks->reset();
  const auto again = Rocks::OpenForReading(path_, {});
  ASSERT_TRUE(again.ok()) << again.status();
  for (const LiveFile& file : (*again)->LiveFiles()) EXPECT_TRUE((*again)->VerifyFile(file).ok());
  for (const auto& [key, value] : all) EXPECT_EQ(*(*again)->Get(Family::kTile, key), value);
}

TEST_F(VerifyTest, LooseFilesAreCheckedWithoutTheDatabase) {
  std::filesystem::remove(path_ + "/CURRENT");
  ASSERT_FALSE(Rocks::OpenForReading(path_, {}).ok());
  const LiveFile bad = FileOf(Family::kRow);
  FlipByte(bad.path, 300, 1);
  size_t sound = 0;
  std::vector<std::string> damaged;
  ASSERT_TRUE(VerifyLooseFiles(path_, [&](const std::string& file, absl::Status status) {
                if (status.ok()) ++sound;
                if (!status.ok()) damaged.push_back(file);
              }).ok());
  EXPECT_EQ(sound, files_.size() - 1);
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_EQ(BaseName(damaged[0]), BaseName(bad.path));
  EXPECT_FALSE(VerifyLooseFiles(scratch_ / "absent", [](auto&&...) {}).ok());
}

// Compaction beside a reader takes files away that the reader listed: that is no damage, and a file
// that is gone and still belongs to the database is.
TEST_F(VerifyTest, FilesCompactedAwayAreNotMissing) {
  auto reader = Rocks::OpenForReading(path_, {});
  ASSERT_TRUE(reader.ok());
  bool gone = false;
  for (int round = 0; round < 200 && !gone; ++round) {
    {
      auto writer = Rocks::OpenForWriting(path_, {});
      ASSERT_TRUE(writer.ok()) << writer.status();
      const std::vector<Write> writes = {{Family::kHistory, "key", std::to_string(round)}};
      ASSERT_TRUE((*writer)->Apply(writes).ok());
    }
    reader = Rocks::OpenForReading(path_, {});
    ASSERT_TRUE(reader.ok());
    const std::vector<LiveFile> listed = (*reader)->LiveFiles();
    {
      auto writer = Rocks::OpenForWriting(path_, {});
      ASSERT_TRUE(writer.ok());
      const std::vector<Write> writes = {{Family::kHistory, "key", "again"}};
      ASSERT_TRUE((*writer)->Apply(writes).ok());
    }
    for (const LiveFile& file : listed) {
      const bool exists = std::filesystem::exists(file.path);
      gone = gone || !exists;
      EXPECT_EQ((*reader)->IsLive(file), exists) << file.path;
      EXPECT_TRUE((*reader)->VerifyFile(file).ok()) << file.path;
    }
  }
  EXPECT_TRUE(gone) << "nothing was compacted";
  const LiveFile lost = FileOf(Family::kTile);
  std::filesystem::remove(lost.path);
  EXPECT_TRUE(OpenDamaged()->IsLive(lost));
  EXPECT_THAT(std::string(OpenDamaged()->VerifyFile(lost).message()), HasSubstr("is missing"));
}

}  // namespace
}  // namespace lutdb::db
