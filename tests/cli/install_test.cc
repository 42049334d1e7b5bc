// `cmake --install`, and the example built against what it installed with find_package(lutdb).

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

void ExpectSuccess(const std::vector<std::string>& words) {
  const ProcessResult result = RunProcess(words);
  ASSERT_EQ(result.exit_code, 0) << words[0] << " " << words[1] << "\n" << result.out << result.err;
}

TEST(Install, AProgramOfOnesOwn) {
  // Sanitizers must be in the whole program; the example is built as a user would.
  if (std::string(LUTDB_SANITIZERS) != "") GTEST_SKIP() << "built with " << LUTDB_SANITIZERS;
  ScratchDirectory scratch;
  const std::string prefix = scratch / "prefix";
  ASSERT_NO_FATAL_FAILURE(
      ExpectSuccess({"cmake", "--install", LUTDB_BUILD_DIR, "--prefix", prefix}));
  EXPECT_TRUE(std::filesystem::exists(prefix + "/bin/lutdb"));
  EXPECT_TRUE(std::filesystem::exists(prefix + "/include/lutdb/store.h"));
  ASSERT_NO_FATAL_FAILURE(
      ExpectSuccess({"cmake", "-S", SourcePath("examples"), "-B", scratch / "build", "-G", "Ninja",
                     "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + prefix}));
  ASSERT_NO_FATAL_FAILURE(ExpectSuccess({"cmake", "--build", scratch / "build"}));

  ASSERT_NO_FATAL_FAILURE(ExpectSuccess(
      {prefix + "/bin/lutdb", "build", SourcePath("models/sums"), scratch / "s.lut"}));
  const ProcessResult answer = RunProcess({scratch / "build/ask", scratch / "s.lut", "347+285="});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
  EXPECT_NE(answer.out.find("347+285=632\n"), std::string::npos) << answer.out;
  EXPECT_NE(answer.out.find("code   0: entry"), std::string::npos) << answer.out;
  EXPECT_EQ(RunProcess({scratch / "build/ask", scratch / "none.lut", "1+1="}).exit_code, 1);
}

}  // namespace
}  // namespace lutdb
