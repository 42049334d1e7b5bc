// Wrong words: exit 2, one line on standard error that starts with "lutdb: ", nothing on standard
// output. Things that are not there or not what they claim: the same line, exit 1.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Words = std::vector<std::string>;

void ExpectRefused(const Words& words, int exit_code, const std::string& part = "") {
  const ProcessResult result = Lutdb(words);
  std::string command;
  for (const std::string& word : words) command += " " + word;
  EXPECT_EQ(result.exit_code, exit_code) << command << "\n" << result.err;
  EXPECT_EQ(result.out, "") << command;
  EXPECT_EQ(result.err.rfind("lutdb: ", 0), 0u) << command << "\n" << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << command << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << command << "\n" << result.err;
}

TEST(Usage, HelpListsEveryCommand) {
  for (const char* word : {"--help", "-h", "help"}) {
    const ProcessResult result = Lutdb({word});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    for (const char* command :
         {"plan", "build", "info", "get", "run", "eval", "verify", "repair", "version"}) {
      EXPECT_NE(result.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
      const ProcessResult help = Lutdb({command, "--help"});
      EXPECT_EQ(help.exit_code, 0) << command;
      EXPECT_NE(help.out.find("--json"), std::string::npos) << command;
    }
  }
}

TEST(Usage, VersionNamesTheInstructionSet) {
  const ProcessResult result = Lutdb({"version", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("format_version"), 1);
  EXPECT_TRUE(json.at("version").is_string());
  const std::vector<std::string> available = json.at("isa_available");
  EXPECT_NE(std::find(available.begin(), available.end(), json.at("isa")), available.end());
  for (const std::string& isa : available) {
    const ProcessResult forced =
        Lutdb({"version", "--json"}, {.environment = {"LUTDB_FORCE_ISA=" + isa}});
    ASSERT_EQ(forced.exit_code, 0) << forced.err;
    EXPECT_EQ(nlohmann::json::parse(forced.out).at("isa"), isa);
  }
  EXPECT_EQ(Lutdb({"version"}, {.environment = {"LUTDB_FORCE_ISA=abacus"}}).exit_code, 2);
  EXPECT_EQ(Lutdb({"--version"}).exit_code, 0);
}

TEST(Usage, WrongWords) {
  ExpectRefused({}, 2, "--help");
  ExpectRefused({"frobnicate"}, 2, "frobnicate");
  ExpectRefused({"--json"}, 2);
  ExpectRefused({"get"}, 2, "STORE");
  ExpectRefused({"get", "s.lut"}, 2, "ADDRESS");
  ExpectRefused({"build", "m"}, 2, "STORE");
  ExpectRefused({"info", "a", "b"}, 2, "'b'");
  ExpectRefused({"info", "s.lut", "--colour"}, 2, "--colour");
  ExpectRefused({"info", "s.lut", "--json", "--json"}, 2, "--json");
  ExpectRefused({"info", "s.lut", "--threads", "0"}, 2, "--threads");
  ExpectRefused({"info", "s.lut", "--threads", "-1"}, 2, "--threads");
  ExpectRefused({"info", "s.lut", "--threads", "two"}, 2, "--threads");
  ExpectRefused({"info", "s.lut", "--at"}, 2, "--at");
  ExpectRefused({"repair", "s.lut", "--wait", "-1"}, 2, "--wait");
}

TEST(Usage, WrongSizes) {
  for (const char* size : {"12KB", "-1", "", "1.5GiB", "99999999999TiB", "many"}) {
    ExpectRefused({"info", "s.lut", "--arena", size}, 2, "--arena");
    ExpectRefused({"build", "m", "s.lut", "--memory", size}, 2, "--memory");
  }
  ExpectRefused({"build", "m", "s.lut", "--memory", "off"}, 2, "--memory");
}

TEST(Usage, WrongBuildOptions) {
  for (const Words& words : std::vector<Words>{{"--input-bits", "0"},
                                               {"--input-bits", "17"},
                                               {"--grid", "cubic"},
                                               {"--entry", "i32"},
                                               {"--layout", "heap"},
                                               {"--codec", "zip"},
                                               {"--chunk", "0"},
                                               {"--chunk", "x"}}) {
    Words command = {"plan", SourcePath("models/sums")};
    command.insert(command.end(), words.begin(), words.end());
    ExpectRefused(command, 2, words[0]);
  }
  // Each is fine alone; together they contradict each other.
  ExpectRefused({"plan", SourcePath("models/sums"), "--layout", "row", "--codec", "product"}, 2);
  ExpectRefused({"plan", SourcePath("models/sums"), "--input-bits", "9", "--chunk", "2"}, 2);
}

TEST(Usage, EmptyValuesOfOptions) {
  ExpectRefused({"get", "s.lut", "a", "--npy", ""}, 2, "--npy");
  ExpectRefused({"get", "s.lut", "a", "--npy="}, 2, "--npy");
  ExpectRefused({"run", "s.lut", "--prompt", "a", "--stop", ""}, 2, "--stop");
  ExpectRefused({"set", "s.lut", "a", "1", "-m", "x", "--require", ""}, 2, "--require");
  ExpectRefused({"log", "s.lut", "--at="}, 2, "--at");
}

TEST(Usage, ContradictoryOptions) {
  ExpectRefused({"get", "s.lut", "a", "--json", "--csv"}, 2);
  ExpectRefused({"get", "s.lut", "a", "--csv", "--npy", "x"}, 2);
  ExpectRefused({"run", "s.lut", "--prompt", "a", "--tokens", "b"}, 2, "--tokens");
  ExpectRefused({"run", "s.lut", "--prompt", "a", "--input", "b", "--output", "c"}, 2);
  ExpectRefused({"run", "s.lut", "--input", "b"}, 2, "--output");
  ExpectRefused({"run", "s.lut", "--temperature", "-1"}, 2, "--temperature");
  ExpectRefused({"run", "s.lut", "--temperature", "nan"}, 2, "--temperature");
  ExpectRefused({"run", "s.lut", "--top-p", "0"}, 2, "--top-p");
  ExpectRefused({"eval", "s.lut"}, 2, "--text");
  ExpectRefused({"eval", "s.lut", "--text", "a", "--tokens", "b"}, 2);
  ExpectRefused({"eval", "s.lut", "--images", "a"}, 2, "--labels");
  ExpectRefused({"verify", "s.lut", "--exact", "0"}, 2, "--exact");
  ExpectRefused({"verify", "s.lut", "--exact", "1.5"}, 2, "--exact");
  ExpectRefused({"verify", "s.lut", "--exact", "nan"}, 2, "--exact");
  ExpectRefused({"verify", "s.lut", "--seed", "-1"}, 2, "--seed");
  ExpectRefused({"verify", "s.lut", "--wait", "nan"}, 2, "--wait");
  ExpectRefused({"explain", "s.lut", "--images", "a", "--index", "-1"}, 2, "--row");
  ExpectRefused({"log", "s.lut", "-n", "99999999999999999999"}, 2, "--max");
}

// Messages that nobody can read change nothing: neither how a command ends, nor any file that is
// opened while standard error is closed.
TEST(Usage, StandardErrorThatCannotBeWritten) {
  ScratchDirectory scratch;
  const std::string store = scratch / "s.lut";
  const std::string build =
      fmt::format("build {} {} --graph {}", SourcePath("models/digits/digits.safetensors"), store,
                  SourcePath("models/digits/digits.graph.json"));
  for (const char* nowhere : {"2>/dev/full", "2>&-", "0<&- 2>&-"}) {
    const auto run = [&](const std::string& words) { return LutdbInShell(words + " " + nowhere); };
    EXPECT_EQ(run("info " + (scratch / "none.lut")).exit_code, 1) << nowhere;
    EXPECT_EQ(run(build).exit_code, 0) << nowhere;
    EXPECT_EQ(run("verify --deep " + store).exit_code, 0) << nowhere;
    std::filesystem::remove_all(store);
  }
}

TEST(Usage, WhatIsNotThere) {
  ScratchDirectory scratch;
  for (const char* command : {"info", "run", "verify", "repair"}) {
    ExpectRefused({command, scratch / "none.lut"}, 1, "none.lut");
  }
  ExpectRefused({"get", scratch / "none.lut", "a"}, 1, "none.lut");
  ExpectRefused({"plan", scratch / "none"}, 1, "none");
  ExpectRefused({"build", scratch / "none", scratch / "s.lut"}, 1, "none");
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "a failed build left something behind";
}

TEST(Usage, WhatIsNoStoreAndNoModel) {
  ScratchDirectory scratch;
  WriteWholeFile(scratch / "file", "not a store");
  std::filesystem::create_directory(scratch / "folder");
  ExpectRefused({"info", scratch / "file"}, 1, "file");
  ExpectRefused({"info", scratch / "folder"}, 1, "folder");
  ExpectRefused({"plan", scratch / "file"}, 1, "file");
  ExpectRefused({"plan", scratch / "folder"}, 1, "folder");
  ExpectRefused({"build", scratch / "file", scratch / "s.lut"}, 1, "file");
  EXPECT_FALSE(std::filesystem::exists(scratch / "s.lut"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "s.lut.partial"));
}

}  // namespace
}  // namespace lutdb
