// A store of models/digits to edit, and the program's answers as JSON: what the tests of editing
// share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class EditScenes : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const ProcessResult built =
        Lutdb({"build", SourcePath("models/digits/digits.safetensors"), *scratch_ / "built.lut",
               "--graph", SourcePath("models/digits/digits.graph.json")});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  // Every test has a store of its own, fresh from the build.
  void SetUp() override {
    std::filesystem::remove_all(Store());
    std::filesystem::copy(*scratch_ / "built.lut", Store(),
                          std::filesystem::copy_options::recursive);
    built_hash_ = Hash();
  }

  static std::string Store() { return *scratch_ / "d.lut"; }
  static std::string File(const std::string& name) { return *scratch_ / name; }
  // `command STORE words`
  static ProcessResult On(const std::string& command, Words words) {
    words.insert(words.begin(), {command, Store()});
    return Lutdb(words);
  }
  static Json OnJson(const std::string& command, Words words) {
    words.emplace_back("--json");
    const ProcessResult result = On(command, words);
    EXPECT_EQ(result.exit_code, 0) << command << ": " << result.err;
    const Json json = Json::parse(result.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << result.out;
    return json;
  }
  static std::string Hash(const std::string& at = "main") {
    return OnJson("info", {"--at", at}).value("content_hash", "");
  }
  static int Entry(const std::string& address, const std::string& at = "main") {
    return OnJson("get", {address, "--at", at}).at("entries")[0][0][0];
  }
  static std::string Commit(const std::string& command, Words words) {
    words.insert(words.end(), {"-m", "a test"});
    return OnJson(command, words).value("id", "");
  }
  static std::string Patch(const std::string& name, const std::string& lines) {
    WriteWholeFile(File(name), lines);
    return File(name);
  }
  // Refused with the exit status, one line that has `part` in it, nothing on standard output, and
  // the store as it was.
  static void ExpectRefused(const std::string& command, const Words& words, int exit_code,
                            const std::string& part) {
    const Json log_before = OnJson("log", {}).at("commits");
    const std::string hash = Hash();
    const ProcessResult result = On(command, words);
    std::string what = command;
    for (const std::string& word : words) what += " " + word;
    EXPECT_EQ(result.exit_code, exit_code) << what << "\n" << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << what << "\n" << result.err;
    EXPECT_EQ(result.err.rfind("lutdb: ", 0), 0u) << what << "\n" << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(OnJson("log", {}).at("commits"), log_before) << what;
    EXPECT_EQ(Hash(), hash) << what;
  }

  static inline ScratchDirectory* scratch_ = nullptr;
  std::string built_hash_;
};

}  // namespace lutdb
