// A backup that is interrupted goes on, one beside a writer is of one moment, and damage is found.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "db/manifest.h"
#include "lutdb/history.h"
#include "tests/ingest/built_stores.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BackupStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    hash_ =
        BuildAndVerify(WriteTinyLlama(directory_, {.hidden = 640, .intermediate = 64, .layers = 1}),
                       store_, {.input_bits = 5});
    options_.copy = true;
  }
  void ExpectWhole(const std::string& copy) {
    const auto report = VerifyStore(copy, {.deep = true});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->problems, IsEmpty());
    EXPECT_GT(report->files_checked, 3u);
  }
  absl::Status CommitOne(int32_t value) {
    auto history = History::Open(store_, {.write = true, .wait_seconds = 0});
    if (!history.ok()) return history.status();
    const EntryEdit edit = {.table = 0, .neuron = 1, .chunk = 2, .code = 3, .value = value};
    return (*history)->Commit("main", {edit}, {.message = "meanwhile"}).status();
  }
  size_t Commits(const std::string& store) {
    const auto history = History::Open(store, {});
    return history.ok() ? (*history)->Log("main", 100)->size() : 0;
  }
  std::vector<std::string> Tables(const std::string& store) {
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(store + "/db")) {
      if (entry.path().extension() == ".sst") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  // Beside what it is made of when nobody uses it.
  void ExpectNothingStaged() {
    for (const auto& entry : fs::directory_iterator(store_)) {
      EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("backup")));
    }
  }

  TestDirectory directory_;
  const std::string store_ = directory_.At("s"), copy_ = directory_.At("c");
  Hash128 hash_;
  BackupOptions options_;
};

TEST_F(BackupStoreTest, WritersGoOnWhileFilesAreCopied) {
  ASSERT_TRUE(CommitOne(5).ok());
  absl::Status meanwhile = absl::UnknownError("not called");
  bool called = false;
  options_.progress = [&](const Progress&) {
    if (!std::exchange(called, true)) meanwhile = CommitOne(6);
  };
  const auto report = BackupStore(store_, copy_, options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(meanwhile.ok()) << meanwhile;
  EXPECT_EQ(report->content_hash, hash_);
  EXPECT_EQ(report->linked_bytes, 0u);
  EXPECT_EQ(Commits(store_), 2u);
  EXPECT_EQ(Commits(copy_), 1u);
  ExpectWhole(copy_);
  ExpectNothingStaged();
}

TEST_F(BackupStoreTest, AnInterruptedOneIsKeptAndGoesOn) {
  std::atomic<bool> stop{false};
  options_.cancel = &stop;
  options_.progress = [&](const Progress&) { stop = true; };
  EXPECT_EQ(BackupStore(store_, copy_, options_).status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(copy_));
  EXPECT_TRUE(fs::exists(copy_ + ".copying"));
  ExpectNothingStaged();
  stop = false;
  options_.progress = {};
  ASSERT_TRUE(CommitOne(5).ok());  // of which the next one knows
  ASSERT_TRUE(BackupStore(store_, copy_, options_).ok());
  EXPECT_FALSE(fs::exists(copy_ + ".copying"));
  EXPECT_EQ(Commits(copy_), 1u);
  ExpectWhole(copy_);
}

// What one that was killed may leave, and worse.
TEST_F(BackupStoreTest, KeepsWhatIsWholeAndCopiesTheRestAnew) {
  ASSERT_TRUE(BackupStore(store_, directory_.At("first"), options_).ok());
  fs::rename(directory_.At("first"), copy_ + ".copying");
  const std::vector<std::string> tables = Tables(copy_ + ".copying");
  ASSERT_GE(tables.size(), 4u);
  struct stat kept, after;
  ASSERT_EQ(::stat(tables[0].c_str(), &kept), 0);
  fs::resize_file(tables[1], fs::file_size(tables[1]) / 2);
  fs::remove(tables[2]);
  {
    std::fstream file(tables[3], std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(100);
    file.put('\x5a').put('\x5b').put('\x5c');
  }
  fs::create_directory(copy_ + ".copying/db.7");
  directory_.Write("c.copying/db/999999.sst", "of another store");
  fs::create_directory(store_ + "/db.backup-1");  // a killed one's
  ASSERT_TRUE(BackupStore(store_, copy_, options_).ok());
  ExpectWhole(copy_);
  ExpectNothingStaged();
  EXPECT_EQ(Tables(copy_).size(), tables.size());
  EXPECT_FALSE(fs::exists(copy_ + "/db.7"));
  ASSERT_EQ(::stat((copy_ + "/db/" + BaseName(tables[0])).c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, kept.st_ino);
}

TEST_F(BackupStoreTest, LeavesAlone) {
  // What another backup is writing, or copying from.
  fs::create_directory(copy_ + ".copying");
  const auto use = FileLock::ShareDirectory(copy_ + ".copying");
  EXPECT_THAT(BackupStore(store_, copy_, options_).status().ToString(),
              HasSubstr("another backup is writing"));
  EXPECT_TRUE(fs::exists(copy_ + ".copying"));
  fs::create_directory(store_ + "/db.backup-1");
  const auto staged = FileLock::ShareDirectory(store_ + "/db.backup-1");
  ASSERT_TRUE(BackupStore(store_, directory_.At("d"), options_).ok());
  EXPECT_TRUE(fs::exists(store_ + "/db.backup-1"));
}

TEST_F(BackupStoreTest, ADamagedStoreIsNotCopied) {
  const std::string table = Tables(store_).back();
  {
    std::fstream file(table, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(fs::file_size(table) / 2));
    file.put('\x5a').put('\x5b').put('\x5c');
  }
  const absl::Status copied = BackupStore(store_, copy_, options_).status();
  EXPECT_EQ(copied.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(copied.ToString(), HasSubstr("repair"));
  EXPECT_FALSE(fs::exists(copy_ + ".copying"));
}

TEST_F(BackupStoreTest, ADamagedCopyOfTheManifestIsFoundAndMadeAnew) {
  for (const char* name : {"/db/current", "/db/blobs"}) {
    ASSERT_TRUE(fs::exists(store_ + name));
    fs::resize_file(store_ + name, fs::file_size(store_ + name) - 1);
    const auto found = VerifyStore(store_, {.deep = true});
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->problems.size(), 1u) << name;
    const auto repaired = RepairStore(store_, {});
    ASSERT_TRUE(repaired.ok()) << repaired.status();
    EXPECT_EQ(repaired->files_rebuilt, 1u) << name;
    ExpectWhole(store_);
  }
}

// It can be mended like any store: the manifest's copies are there.
TEST_F(BackupStoreTest, ACopyHasCopiesOfWhatNothingElseHolds) {
  for (const bool copy : {false, true}) {
    options_.copy = copy;
    const std::string path = copy_ + (copy ? "1" : "0");
    ASSERT_TRUE(BackupStore(store_, path, options_).ok());
    for (const auto& entry : fs::directory_iterator(path + "/db")) {
      if (entry.path().filename().string().starts_with("MANIFEST")) fs::resize_file(entry, 40);
    }
    ASSERT_TRUE(RepairStore(path, {}).ok());
    ExpectWhole(path);
  }
}

}  // namespace
}  // namespace lutdb
