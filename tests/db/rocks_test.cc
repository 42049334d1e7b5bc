#include "db/rocks.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "base/status.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

using ::testing::HasSubstr;

Records ReadAll(const Rocks& rocks, Family family, std::string_view begin = "",
                std::string_view end = "") {
  Records records;
  Cursor cursor = rocks.Scan(family, begin, end);
  for (; cursor.Valid(); cursor.Next()) {
    records.emplace(std::string(cursor.key()), std::string(cursor.value()));
  }
  EXPECT_TRUE(cursor.status().ok()) << cursor.status();
  return records;
}

// Name, size and time of change of everything in a directory.
std::vector<std::string> Listing(const std::string& path) {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    lines.push_back(fmt::format("{} {} {}", entry.path().string(), entry.file_size(),
                                entry.last_write_time().time_since_epoch().count()));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

class RocksTest : public ::testing::Test {
 protected:
  void SetUp() override { FillDatabase(path_, &filled_); }
  std::unique_ptr<Rocks> Open() {
    auto rocks = Rocks::OpenForReading(path_, {});
    EXPECT_TRUE(rocks.ok()) << rocks.status();
    return *std::move(rocks);
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_ / "db";
  std::map<Family, Records> filled_;
};

TEST_F(RocksTest, HoldsWhatWasIngestedAndWritten) {
  const auto rocks = Open();
  for (const auto& [family, records] : filled_) EXPECT_EQ(ReadAll(*rocks, family), records);
  const auto& [key, value] = *filled_[Family::kTile].begin();
  EXPECT_EQ(*rocks->Get(Family::kTile, key), value);
  EXPECT_EQ(rocks->Get(Family::kTile, "no such key").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(rocks->Get(Family::kRow, key).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RocksTest, ScansARangeOfATable) {
  const auto rocks = Open();
  const Records& all = filled_[Family::kTile];
  const Records second = ReadAll(*rocks, Family::kTile, TileKey(1, 0, 0), TableEnd(1));
  EXPECT_EQ(second.size(), 60u);
  EXPECT_EQ(second, Records(all.lower_bound(TileKey(1, 0, 0)), all.end()));
  EXPECT_TRUE(ReadAll(*rocks, Family::kTile, TileKey(2, 0, 0), TableEnd(2)).empty());

  Cursor cursor = rocks->Scan(Family::kTile, TileKey(0, 0, 0), TableEnd(0), 1 << 20);
  cursor.Seek(TileKey(0, 3, 0));
  ASSERT_TRUE(cursor.Valid());
  EXPECT_EQ(cursor.key(), all.lower_bound(TileKey(0, 3, 0))->first);
  Cursor moved = std::move(cursor);
  moved.Next();
  EXPECT_TRUE(moved.Valid());
  moved.Seek(TileKey(1, 0, 0));  // beyond the end
  EXPECT_FALSE(moved.Valid());
}

TEST_F(RocksTest, MultiGetAnswersLikeAMap) {
  const auto rocks = Open();
  std::mt19937_64 random(3);
  Values values;
  for (int round = 0; round < 60; ++round) {
    const Family family = round % 2 == 0 ? Family::kTile : Family::kRow;
    const Records& records = filled_[family];
    std::vector<std::string> present;
    for (const auto& record : records) present.push_back(record.first);
    std::vector<std::string> keys(random() % 200);  // unsorted, with duplicates
    for (std::string& key : keys) {
      key = present[random() % present.size()];
      if (random() % 3 == 0) key.back() = static_cast<char>(key.back() + 1);  // absent
      if (random() % 20 == 0) key.resize(random() % key.size());
    }
    if (round % 5 == 0) std::sort(keys.begin(), keys.end());
    ASSERT_TRUE(rocks->MultiGet(family, keys, &values).ok());
    ASSERT_EQ(values.size(), keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto expected = records.find(keys[i]);
      ASSERT_EQ(values.found(i), expected != records.end());
      if (values.found(i)) {
        ASSERT_EQ(values[i], expected->second);
      }
    }
  }
}

TEST_F(RocksTest, AppliesBatchesAndKeepsThemWhenReopened) {
  {
    auto rocks = Rocks::OpenForWriting(path_, {});
    ASSERT_TRUE(rocks.ok()) << rocks.status();
    const std::vector<Write> writes = {{Family::kDefault, "graph", "", true},
                                       {Family::kDefault, "manifest", "new"},
                                       {Family::kHistory, "commit", "second"}};
    ASSERT_TRUE((*rocks)->Apply(writes).ok());
    EXPECT_EQ(*(*rocks)->Get(Family::kDefault, "manifest"), "new");
  }  // closed without a flush: the synced log has it
  const auto rocks = Open();
  EXPECT_EQ(ReadAll(*rocks, Family::kDefault), (Records{{"manifest", "new"}}));
  EXPECT_EQ(ReadAll(*rocks, Family::kHistory), (Records{{"commit", "second"}}));
  EXPECT_EQ(ReadAll(*rocks, Family::kTile), filled_[Family::kTile]);
}

TEST_F(RocksTest, ReadingNeverWrites) {
  {
    auto rocks = Rocks::OpenForWriting(path_, {});  // leaves a log to replay
    ASSERT_TRUE(rocks.ok());
    const std::vector<Write> writes = {{Family::kDefault, "k", "v"}};
    ASSERT_TRUE((*rocks)->Apply(writes).ok());
  }
  const auto before = Listing(path_);
  {
    const auto rocks = Open();
    EXPECT_EQ(ReadAll(*rocks, Family::kTile), filled_[Family::kTile]);
    EXPECT_EQ(*rocks->Get(Family::kDefault, "k"), "v");
    for (const LiveFile& file : rocks->LiveFiles()) EXPECT_TRUE(rocks->VerifyFile(file).ok());
  }
  EXPECT_EQ(Listing(path_), before);
}

TEST_F(RocksTest, CanBeMovedAndHoldsNoAbsolutePath) {
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    const auto bytes = ReadFile(entry.path().string(), 1 << 24);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(bytes->find(scratch_.path()), std::string::npos) << entry.path();
  }
  ASSERT_TRUE(RenamePath(path_, scratch_ / "moved").ok());
  path_ = scratch_ / "moved";
  EXPECT_EQ(ReadAll(*Open(), Family::kTile), filled_[Family::kTile]);
  EXPECT_TRUE(Rocks::OpenForWriting(path_, {}).ok());
}

TEST_F(RocksTest, ValuesOutliveTheDatabase) {
  Values values;
  const std::string key = filled_[Family::kTile].begin()->first;
  for (int round = 0; round < 2; ++round) {
    const auto rocks = Open();
    ASSERT_TRUE(rocks->MultiGet(Family::kTile, {key}, &values).ok());
  }
  EXPECT_EQ(values[0], filled_[Family::kTile][key]);
}

TEST_F(RocksTest, ReadersAndAWriterLiveSideBySide) {
  auto writer = Rocks::OpenForWriting(path_, {});
  ASSERT_TRUE(writer.ok());
  const auto first = Open();
  const auto second = Open();
  EXPECT_EQ(ReadAll(*second, Family::kRow), filled_[Family::kRow]);
  const auto another = Rocks::OpenForWriting(path_, {});
  EXPECT_EQ(another.status().code(), absl::StatusCode::kFailedPrecondition) << another.status();
}

TEST_F(RocksTest, RefusesToIngestOverWhatIsThere) {
  auto rocks = Rocks::OpenForWriting(path_, {});
  ASSERT_TRUE(rocks.ok());
  const std::string file = scratch_ / "again";
  WriteSst(Family::kTile, file, {{TileKey(0, 3, 7), "x"}});  // between others of table 0
  EXPECT_EQ((*rocks)->Ingest(Family::kTile, {file}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadAll(**rocks, Family::kTile), filled_[Family::kTile]);
  EXPECT_TRUE(PathExists(file));
  // The same range is free in another family.
  EXPECT_TRUE((*rocks)->Ingest(Family::kRow, {file}).ok());
  EXPECT_FALSE(PathExists(file));  // moved
  EXPECT_FALSE((*rocks)->Ingest(Family::kTile, {scratch_ / "absent"}).ok());
}

TEST_F(RocksTest, TakesFilesInAnyOrderOfTables) {
  auto rocks = Rocks::OpenForWriting(path_, {});
  ASSERT_TRUE(rocks.ok());
  for (const uint32_t table : {9u, 5u, 7u}) {
    const Records records = MakeRecords(Family::kTile, table, 10, 100, table);
    const std::string file = scratch_ / std::to_string(table);
    WriteSst(Family::kTile, file, records);
    ASSERT_TRUE((*rocks)->Ingest(Family::kTile, {file}).ok());
    filled_[Family::kTile].insert(records.begin(), records.end());
  }
  EXPECT_EQ(ReadAll(**rocks, Family::kTile), filled_[Family::kTile]);
}

TEST_F(RocksTest, DropsAFileWholeAndTakesItsRangeAnew) {
  auto rocks = Rocks::OpenForWriting(path_, {});
  ASSERT_TRUE(rocks.ok());
  for (const LiveFile& file : (*rocks)->LiveFiles()) {
    if (file.family != Family::kTile || file.first_key < TileKey(1, 0, 0)) continue;
    ASSERT_TRUE((*rocks)->DropFile(file).ok());
    EXPECT_FALSE(PathExists(file.path));
  }
  const Records& all = filled_[Family::kTile];
  const Records first(all.begin(), all.lower_bound(TileKey(1, 0, 0)));
  EXPECT_EQ(ReadAll(**rocks, Family::kTile), first);
  const Records second(all.lower_bound(TileKey(1, 0, 0)), all.end());
  WriteSst(Family::kTile, scratch_ / "second", second);
  ASSERT_TRUE((*rocks)->Ingest(Family::kTile, {scratch_ / "second"}).ok());
  EXPECT_EQ(ReadAll(**rocks, Family::kTile), all);
}

TEST(Rocks, SaysWhatIsNotADatabase) {
  const ScratchDirectory scratch;
  for (const auto& opened : {Rocks::OpenForReading(scratch.path(), {}).status(),
                             Rocks::OpenForReading(scratch / "absent", {}).status(),
                             Rocks::OpenForWriting(scratch.path(), {}).status()}) {
    EXPECT_FALSE(opened.ok());
    EXPECT_NE(opened.code(), absl::StatusCode::kInvalidArgument);  // not the caller's words
    EXPECT_THAT(Message(opened), HasSubstr(scratch.path()));
    EXPECT_EQ(Message(opened).find('\n'), std::string::npos);
  }
}

TEST(Rocks, ARowRecordTakesOneAlignedBlock) {
  const ScratchDirectory scratch;
  constexpr size_t kRecords = 500;
  Records records;
  for (size_t i = 0; i < kRecords; ++i) {
    records[RowKey(0, 0, static_cast<uint16_t>(i), 0)] = std::string(4032, static_cast<char>(i));
  }
  WriteSst(Family::kRow, scratch / "rows", records);
  // Without alignment to 4 KiB, or with two blocks a record, this would be twice as much.
  EXPECT_LT(std::filesystem::file_size(scratch / "rows"), kRecords * (4096 + 64) + 8192);
}

TEST(SstWriter, DeletesWhatIsNotFinishedAndRefusesDisorder) {
  const ScratchDirectory scratch;
  {
    auto writer = SstWriter::Create(Family::kTile, scratch / "a");
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Add("b", "1").ok());
    EXPECT_FALSE((*writer)->Add("a", "1").ok());
  }
  EXPECT_FALSE(PathExists(scratch / "a"));
  {
    auto writer = SstWriter::Create(Family::kTile, scratch / "empty");
    ASSERT_TRUE(writer.ok());
    EXPECT_FALSE((*writer)->Finish().ok());
  }
  EXPECT_FALSE(PathExists(scratch / "empty"));
  EXPECT_FALSE(SstWriter::Create(Family::kTile, scratch / "no/such").ok());
}

}  // namespace
}  // namespace lutdb::db
