#include "engine/idx_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdio>
#include <fstream>

#include "base/file.h"

namespace lutdb {
namespace {

class IdxFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = JoinPath(testing::TempDir(), "idx_test_" + name);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string WriteGzip(const std::string& name, const std::string& bytes) {
    const std::string path = JoinPath(testing::TempDir(), "idx_test_" + name);
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return path;
  }
  const std::string images_ =
      std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03", 16) + std::string("abcdefghijkl");
};

TEST_F(IdxFileTest, ReadsPlainAndGzipped) {
  for (const std::string& path : {Write("plain", images_), WriteGzip("packed.gz", images_)}) {
    auto file = IdxFile::Open(path);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->count(), 2u);
    EXPECT_EQ((*file)->item_bytes(), 6u);
    std::vector<uint8_t> item(6);
    ASSERT_TRUE((*file)->Read(absl::MakeSpan(item)).ok());
    ASSERT_TRUE((*file)->Read(absl::MakeSpan(item)).ok());
    EXPECT_EQ(std::string(item.begin(), item.end()), "ghijkl");
    EXPECT_TRUE((*file)->ExpectEnd().ok());
  }
}

TEST_F(IdxFileTest, RefusesWhatItIsNot) {
  EXPECT_TRUE(absl::IsNotFound(IdxFile::Open("/nowhere/at/all").status()));
  EXPECT_TRUE(absl::IsDataLoss(IdxFile::Open(testing::TempDir()).status()));
  EXPECT_TRUE(absl::IsDataLoss(IdxFile::Open(Write("empty", "")).status()));
  EXPECT_TRUE(absl::IsDataLoss(IdxFile::Open(Write("text", "hello, world")).status()));
  const std::string floats("\0\0\x0d\x01\0\0\0\x01\0\0\0\0", 12);
  EXPECT_TRUE(absl::IsDataLoss(IdxFile::Open(Write("floats", floats)).status()));
  const std::string absurd("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16);
  EXPECT_TRUE(absl::IsDataLoss(IdxFile::Open(Write("absurd", absurd)).status()));
}

TEST_F(IdxFileTest, NoticesBothWrongLengths) {
  std::vector<uint8_t> items(12);
  auto shorter = IdxFile::Open(Write("short", images_.substr(0, 20)));
  ASSERT_TRUE(shorter.ok());
  EXPECT_TRUE(absl::IsDataLoss((*shorter)->Read(absl::MakeSpan(items))));
  auto longer = IdxFile::Open(Write("long", images_ + "!"));
  ASSERT_TRUE(longer.ok());
  EXPECT_TRUE((*longer)->Read(absl::MakeSpan(items)).ok());
  EXPECT_TRUE(absl::IsDataLoss((*longer)->ExpectEnd()));
}

TEST_F(IdxFileTest, NoticesDamagedCompression) {
  const std::string packed = WriteGzip("damaged.gz", images_ + std::string(5000, 'x'));
  std::string bytes = *ReadFile(packed, 1 << 20);
  auto cut = IdxFile::Open(Write("cut.gz", bytes.substr(0, bytes.size() - 9)));
  std::vector<uint8_t> items(5012);
  EXPECT_FALSE(cut.ok() && (*cut)->Read(absl::MakeSpan(items)).ok() && (*cut)->ExpectEnd().ok());
  bytes[bytes.size() - 6] ^= 0x55;  // in the CRC
  auto flipped = IdxFile::Open(Write("flipped.gz", bytes));
  EXPECT_FALSE(flipped.ok() && (*flipped)->Read(absl::MakeSpan(items)).ok() &&
               (*flipped)->ExpectEnd().ok());
}

}  // namespace
}  // namespace lutdb
