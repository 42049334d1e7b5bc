#include "base/memory_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text << "\n";
}

TEST(CgroupMemoryLimit, IsUnlimitedWhereNothingIsSaid) {
  const ScratchDirectory root;
  EXPECT_EQ(CgroupMemoryLimit("", root.path()), kUnlimited);
  EXPECT_EQ(CgroupMemoryLimit("4:memory:/a/b\n0::/\n", root.path()), kUnlimited);
  EXPECT_EQ(CgroupMemoryLimit("garbage\n::::\n:\n", root.path()), kUnlimited);
}

TEST(CgroupMemoryLimit, ReadsVersion1AndItsAncestors) {
  const ScratchDirectory root;
  Write(root / "memory/memory.limit_in_bytes", "9223372036854771712");
  Write(root / "memory/a/memory.limit_in_bytes", "1000");
  Write(root / "memory/a/b/memory.limit_in_bytes", "2000");
  EXPECT_EQ(CgroupMemoryLimit("5:cpu,memory:/a/b\n", root.path()), 1000u);
  EXPECT_EQ(CgroupMemoryLimit("5:memory:/\n", root.path()), 9223372036854771712u);
  EXPECT_EQ(CgroupMemoryLimit("5:memoryless:/a\n", root.path()), kUnlimited);
}

TEST(CgroupMemoryLimit, ReadsVersion2) {
  const ScratchDirectory root;
  Write(root / "a/memory.max", "max");
  Write(root / "a/b/memory.max", "3000");
  EXPECT_EQ(CgroupMemoryLimit("0::/a/b", root.path()), 3000u);
  EXPECT_EQ(CgroupMemoryLimit("0::/a", root.path()), kUnlimited);
  Write(root / "unified/c/memory.max", "77");
  EXPECT_EQ(CgroupMemoryLimit("0::/c", root.path()), 77u);
}

TEST(CgroupMemoryLimit, CountsTheFoldersThatAreMounted) {
  const ScratchDirectory root;  // in a container the group's own path may not be visible
  Write(root / "memory/memory.limit_in_bytes", "500");
  EXPECT_EQ(CgroupMemoryLimit("5:memory:/docker/0123\n", root.path()), 500u);
}

TEST(UsableMemoryBytes, IsAMachinesWorth) {
  EXPECT_GT(UsableMemoryBytes(), 1u << 20);
  EXPECT_LT(UsableMemoryBytes(), kUnlimited);
}

}  // namespace
}  // namespace lutdb
