// Damage is found, and what weights can restore is restored.

#include <filesystem>

#include "db/manifest.h"
#include "db/store_files.h"
#include "tests/ingest/built_stores.h"

namespace lutdb {
namespace {

VerifyReport Verified(const std::string& store) {
  VerifyOptions options;
  options.deep = true;
  const auto report = VerifyStore(store, options);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.ok() ? *report : VerifyReport();
}

std::vector<std::string> FilesOf(const std::string& store, db::Family family) {
  const auto opened = db::OpenStore(store, db::Access::kRead, {});
  EXPECT_TRUE(opened.ok()) << opened.status();
  std::vector<std::string> files;
  for (const db::LiveFile& file : opened->rocks->LiveFiles()) {
    if (file.family == family) files.push_back(file.path);
  }
  return files;
}

void FlipByte(const std::string& path, uint64_t at) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(byte ^ 0x40));
}

class RepairTest : public testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    options_.layout = GetParam();
    options_.input_bits = 5;
    // Larger than one visit's columns, so that a rebuilt file reads the weights more than once.
    model_ = WriteTinyLlama(directory_, {.hidden = 640, .intermediate = 64, .layers = 1});
    hash_ = BuildAndVerify(model_, store_, options_);
  }

  TestDirectory directory_;
  const std::string store_ = directory_.At("s");
  std::string model_;
  BuildOptions options_;
  Hash128 hash_;
};

TEST_P(RepairTest, RestoresEveryDamagedTableFile) {
  const auto files =
      FilesOf(store_, GetParam() == Layout::kTile ? db::Family::kTile : db::Family::kRow);
  ASSERT_GE(files.size(), 4u);
  FlipByte(files[0], std::filesystem::file_size(files[0]) / 2);
  FlipByte(files[1], std::filesystem::file_size(files[1]) - 20);  // the footer
  std::filesystem::resize_file(files[2], 100);
  std::filesystem::remove(files[3]);
  const VerifyReport found = Verified(store_);
  EXPECT_FALSE(found.clean);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_THAT(
        found.problems,
        testing::Contains(testing::HasSubstr(std::filesystem::path(files[i]).filename().string())));
  }
  const auto repaired = RepairStore(store_, {});
  ASSERT_TRUE(repaired.ok()) << repaired.status();
  EXPECT_EQ(repaired->files_rebuilt, 4u);
  EXPECT_THAT(repaired->unrecoverable, testing::IsEmpty());
  EXPECT_THAT(Verified(store_).problems, testing::IsEmpty());
  const auto opened = db::OpenStore(store_, db::Access::kRead, {});
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->manifest.content_hash, hash_);
  // Nothing is left to do.
  const auto again = RepairStore(store_, {});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->files_rebuilt, 0u);
}

TEST_P(RepairTest, SaysWhenTheWeightsThemselvesAreDamaged) {
  const auto files = FilesOf(store_, db::Family::kWeights);
  ASSERT_EQ(files.size(), 1u);
  FlipByte(files[0], std::filesystem::file_size(files[0]) / 2);
  EXPECT_FALSE(Verified(store_).clean);
  const auto repaired = RepairStore(store_, {});
  ASSERT_TRUE(repaired.ok()) << repaired.status();
  EXPECT_EQ(repaired->files_rebuilt, 0u);
  EXPECT_THAT(repaired->unrecoverable, testing::Contains(testing::HasSubstr("kept weights")));
}

// The manifest, the graph, the tokenizer: no weights say what they were, but a copy does.
TEST_P(RepairTest, PutsBackTheFilesOfBlobs) {
  const auto files = FilesOf(store_, db::Family::kDefault);
  ASSERT_EQ(files.size(), 1u);
  const uint64_t size = std::filesystem::file_size(files[0]);
  const auto mended = [&] {
    const auto repaired = RepairStore(store_, {});
    EXPECT_TRUE(repaired.ok()) << repaired.status();
    if (!repaired.ok()) return false;
    EXPECT_EQ(repaired->files_rebuilt, 1u);
    EXPECT_THAT(repaired->unrecoverable, testing::IsEmpty());
    EXPECT_THAT(Verified(store_).problems, testing::IsEmpty());
    const auto opened = db::OpenStore(store_, db::Access::kRead, {});
    return opened.ok() && opened->manifest.content_hash == hash_;
  };
  for (uint64_t at = 7; at < size; at += size / 9) {
    FlipByte(files[0], at);
    EXPECT_TRUE(mended()) << "byte " << at;
  }
  std::filesystem::resize_file(files[0], size / 2);
  EXPECT_TRUE(mended());
  std::filesystem::remove(files[0]);
  EXPECT_TRUE(mended());
  // Without a copy, or with a damaged one, repair says that it can do nothing, and does nothing.
  FlipByte(db::RocksPath(store_) + "/blobs", 100);
  FlipByte(files[0], size - 300);  // its properties: the database does not open
  const absl::Status beyond = RepairStore(store_, {}).status();
  EXPECT_EQ(beyond.code(), absl::StatusCode::kDataLoss) << beyond;
  EXPECT_THAT(std::string(beyond.message()), testing::HasSubstr("copy a backup back"));
  EXPECT_THAT(std::string(beyond.message()), testing::Not(testing::HasSubstr("lutdb repair")));
  FlipByte(files[0], size - 300);
  EXPECT_THAT(Verified(store_).problems, testing::ElementsAre(testing::HasSubstr("blobs")));
  FlipByte(db::RocksPath(store_) + "/blobs", 100);
  EXPECT_THAT(Verified(store_).problems, testing::IsEmpty());
  // Nor of a MANIFEST without its copy.
  const std::string database = db::RocksPath(store_);
  std::filesystem::rename(database + "/current", database + "/aside");
  std::string manifest;
  for (const auto& entry : std::filesystem::directory_iterator(database)) {
    const std::string name = entry.path().filename();
    if (name.rfind("MANIFEST-", 0) == 0) manifest = entry.path();
  }
  FlipByte(manifest, 20);
  const absl::Status without = RepairStore(store_, {}).status();
  EXPECT_EQ(without.code(), absl::StatusCode::kDataLoss) << without;
  EXPECT_THAT(std::string(without.message()), testing::HasSubstr("copy a backup back"));
  EXPECT_THAT(std::string(without.message()), testing::Not(testing::HasSubstr("lutdb repair")));
  FlipByte(manifest, 20);
  std::filesystem::rename(database + "/aside", database + "/current");
  // The next writer makes the copy again.
  ASSERT_TRUE(RepairStore(store_, {}).ok());
  FlipByte(files[0], size / 2);
  EXPECT_TRUE(mended());
}

INSTANTIATE_TEST_SUITE_P(Layouts, RepairTest, testing::Values(Layout::kTile, Layout::kRow),
                         [](const auto& param_info) {
                           return std::string(Name(param_info.param));
                         });

}  // namespace
}  // namespace lutdb
