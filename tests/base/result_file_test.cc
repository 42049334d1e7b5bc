#include "base/result_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/file.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

TEST(ResultFile, AppearsWholeOrNotAtAll) {
  ScratchDirectory scratch;
  const std::string path = scratch / "result";
  {
    const auto file = ResultFile::Create(path);
    ASSERT_TRUE(file.ok()) << file.status();
    (*file)->Write("half", 4);
    EXPECT_FALSE(PathExists(path));
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  ASSERT_TRUE(WriteResultFile(path, "before").ok());
  ASSERT_TRUE(WriteResultFile(path, "whole").ok());
  const auto text = ReadFile(path, 100);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "whole");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(ResultFile, PipesAndDevicesAreWrittenToAndStay) {
  ScratchDirectory scratch;
  const std::string path = scratch / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] {
    std::ifstream pipe(path);
    got.assign(std::istreambuf_iterator<char>(pipe), {});
  });
  EXPECT_TRUE(WriteResultFile(path, "through").ok());
  reader.join();
  EXPECT_EQ(got, "through");
  EXPECT_TRUE(std::filesystem::is_fifo(path));
  EXPECT_FALSE(WriteResultFile("/dev/full", "x").ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(ResultFile, PlacesThatCannotBeWrittenAreNamed) {
  ScratchDirectory scratch;
  const std::string path = scratch / "none/result";
  const absl::Status status = WriteResultFile(path, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(status.message()).find(path), std::string::npos);
}

}  // namespace
}  // namespace lutdb
