// What RocksDB would believe without a look at its checksum is refused before RocksDB sees it.
#include "db/table_guard.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/status.h"
#include "base/varint.h"
#include "tests/db/filled_database.h"
#include "tests/scratch_directory.h"

namespace lutdb::db {
namespace {

// A file in memory, which reads of one place can be misled to another.
class MemoryFile : public rocksdb::FSRandomAccessFile {
 public:
  explicit MemoryFile(const std::string* bytes) : bytes_(bytes) {}
  rocksdb::IOStatus Read(uint64_t offset, size_t bytes, const rocksdb::IOOptions&,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext*) const override {
    if (offset > bytes_->size()) return rocksdb::IOStatus::IOError("beyond the end");
    *result = rocksdb::Slice(scratch, bytes_->copy(scratch, bytes, offset));
    return rocksdb::IOStatus::OK();
  }

 private:
  const std::string* bytes_;
};

class TableGuardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = scratch_ / "table.sst";
    WriteSst(Family::kTile, path, MakeRecords(Family::kTile, 0, 20, 50, 3));
    auto bytes = ReadFile(path, 1 << 20);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    bytes_ = *std::move(bytes);
    name_at_ = bytes_.find("rocksdb.block.based.table.index.type");
    ASSERT_NE(name_at_, std::string::npos);
  }

  // Opens `bytes` under guard and reads all of them at once, as a prefetch does.
  static rocksdb::IOStatus ReadAll(const std::string& bytes) {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file = std::make_unique<MemoryFile>(&bytes);
    const rocksdb::IOStatus guarded = GuardTable("here", bytes.size(), &file);
    if (!guarded.ok()) return guarded;
    std::string scratch(bytes.size(), '\0');
    rocksdb::Slice result;
    return file->Read(0, bytes.size(), {}, &result, scratch.data(), nullptr);
  }

  ScratchDirectory scratch_;
  std::string bytes_;
  size_t name_at_ = 0;  // within the properties
};

TEST_F(TableGuardTest, PassesWhatIsWhole) { EXPECT_TRUE(ReadAll(bytes_).ok()); }

TEST_F(TableGuardTest, FindsEverySpoiltBitOfTheProperties) {
  for (size_t at = name_at_; at < name_at_ + 200; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string spoilt = bytes_;
      spoilt[at] = static_cast<char>(spoilt[at] ^ (1 << bit));
      EXPECT_TRUE(ReadAll(spoilt).IsCorruption()) << at << " bit " << bit;
    }
  }
}

// Elsewhere RocksDB looks itself; the guard must only survive it.
TEST_F(TableGuardTest, SurvivesEverySpoiltBitAndEveryLength) {
  for (size_t at = 0; at < bytes_.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string spoilt = bytes_;
      spoilt[at] = static_cast<char>(spoilt[at] ^ (1 << bit));
      const rocksdb::IOStatus status = ReadAll(spoilt);
      EXPECT_TRUE(status.ok() || status.IsCorruption()) << at << " bit " << bit;
    }
    const rocksdb::IOStatus cut = ReadAll(bytes_.substr(0, at));
    EXPECT_TRUE(cut.ok() || cut.IsCorruption()) << at;
  }
}

TEST_F(TableGuardTest, FindsAReadFromTheWrongPlace) {
  // What is read at first is whole; then the file "moves" by a byte below the guard.
  std::string now = bytes_;
  std::unique_ptr<rocksdb::FSRandomAccessFile> file = std::make_unique<MemoryFile>(&now);
  ASSERT_TRUE(GuardTable("here", now.size(), &file).ok());
  std::string scratch(now.size(), '\0');
  rocksdb::Slice result;
  now.insert(now.begin(), 'x');
  EXPECT_TRUE(file->Read(0, bytes_.size(), {}, &result, scratch.data(), nullptr).IsCorruption());
  // A read that leaves the properties out is nobody's business.
  EXPECT_TRUE(file->Read(0, name_at_ / 2, {}, &result, scratch.data(), nullptr).ok());
}

TEST(Varint, IsReadBackAndRefusedWhenTooLong) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{UINT32_MAX},
                               uint64_t{UINT32_MAX} + 1, UINT64_MAX}) {
    std::string bytes;
    AppendVarint(value, &bytes);
    size_t at = 0;
    uint64_t wide = 1;
    EXPECT_TRUE(ReadVarint(bytes, &at, &wide) && wide == value && at == bytes.size()) << value;
    at = 0;
    uint32_t narrow = 1;
    EXPECT_EQ(ReadVarint(bytes, &at, &narrow), value <= UINT32_MAX) << value;
    at = 0;
    EXPECT_FALSE(ReadVarint(std::string_view(bytes).substr(0, bytes.size() - 1), &at, &wide));
  }
  size_t at = 0;
  uint64_t value = 0;
  EXPECT_FALSE(ReadVarint(std::string(11, '\x80'), &at, &value));
}

}  // namespace
}  // namespace lutdb::db
