// Signals, closed pipes and full disks around the real program.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Raw records of 1,023 codes: large enough that a build takes a moment.
std::vector<std::string> SlowBuild(const std::string& store) {
  return {LUTDB_BINARY, "build",        SourcePath("models/sums"),
          store,        "--input-bits", "10",
          "--codec",    "raw",          "--threads",
          "1"};
}

TEST(Interrupt, ABuildStopsCleanlyAndResumes) {
  ScratchDirectory scratch;
  const std::string store = scratch / "s.lut";
  RunningProcess build(SlowBuild(store), scratch / "err");
  // Wait until it is at work; a build that is through before that fails the test below.
  for (int i = 0; i < 500 && !fs::exists(store + ".partial"); ++i) usleep(2000);
  build.Signal(SIGINT);
  const ProcessResult stopped = build.Wait();
  if (stopped.exit_code == 0) GTEST_SKIP() << "the build was too fast to be interrupted";
  EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
  EXPECT_NE(stopped.err.find("lutdb: interrupted"), std::string::npos) << stopped.err;
  EXPECT_NE(stopped.err.find("resume"), std::string::npos) << stopped.err;
  EXPECT_FALSE(fs::exists(store));

  EXPECT_EQ(Lutdb({"info", store}).exit_code, 1) << "a half-built store must not open";
  const ProcessResult resumed = RunProcess(SlowBuild(store));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  ASSERT_EQ(RunProcess(SlowBuild(scratch / "whole.lut")).exit_code, 0);
  const Json info = Json::parse(Lutdb({"info", store, "--json"}).out);
  const Json whole = Json::parse(Lutdb({"info", scratch / "whole.lut", "--json"}).out);
  EXPECT_EQ(info.at("content_hash"), whole.at("content_hash"));
  EXPECT_FALSE(fs::exists(store + ".partial"));
}

TEST(Interrupt, AClosedPipeIsSuccess) {
  ScratchDirectory scratch;
  ASSERT_EQ(Lutdb({"build", SourcePath("models/digits/digits.safetensors"), scratch / "d.lut",
                   "--graph", SourcePath("models/digits/digits.graph.json")})
                .exit_code,
            0);
  // The table is far longer than a pipe holds; `head` leaves after one line.
  const std::string command = std::string("set -o pipefail; '") + LUTDB_BINARY + "' get '" +
                              (scratch / "d.lut") + "' hidden --csv | head -n 1";
  const ProcessResult result = RunProcess({"bash", "-c", command});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "neuron,chunk,code,entry,value\n");
  EXPECT_EQ(result.err, "");
}

TEST(Interrupt, AFullDiskUnderTheOutput) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  const ProcessResult result = Lutdb({"--help"}, {.out_path = "/dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("standard output"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace lutdb
