// The examples of README.md and docs/editing.md, run as they stand, in order, in a directory of
// their own: every line that starts with "$ " in a console block. Lines below a command are what it
// must print; a command without such lines must succeed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

struct Example {
  std::string command;
  std::string expected;  // empty: anything
};

// The commands of all console blocks, in order.
std::vector<Example> ExamplesOf(const std::string& text) {
  std::vector<Example> examples;
  std::istringstream stream(text);
  bool inside = false;
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = line == "```console";
    } else if (inside && line.rfind("$ ", 0) == 0) {
      examples.push_back({line.substr(2), ""});
    } else if (inside && !examples.empty()) {
      examples.back().expected += line + "\n";
    }
  }
  return examples;
}

TEST(Readme, ScannerFindsCommandsAndTheirOutput) {
  const auto examples =
      ExamplesOf("$ no\n```console\n$ a b\nx\ny\n$ c\n```\n$ no\n```sh\n$ no\n```");
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[0].command, "a b");
  EXPECT_EQ(examples[0].expected, "x\ny\n");
  EXPECT_EQ(examples[1].command, "c");
  EXPECT_EQ(examples[1].expected, "");
}

// Runs the examples of a page, in order, in one directory.
void RunExamples(const std::string& page, const ScratchDirectory& scratch, size_t count_min) {
  std::filesystem::create_symlink(SourcePath("models"), scratch / "models");
  const std::string binary_folder = std::filesystem::path(LUTDB_BINARY).parent_path();
  const auto examples = ExamplesOf(ReadWholeFile(SourcePath(page)));
  ASSERT_GE(examples.size(), count_min);
  for (const Example& example : examples) {
    // The example that sets PATH is right for a build in build/release; this one may be elsewhere.
    if (example.command.rfind("export PATH=", 0) == 0) continue;
    const ProcessResult result =
        RunProcess({"bash", "-c", "PATH='" + binary_folder + "':\"$PATH\"; " + example.command},
                   {.directory = scratch.path()});
    EXPECT_EQ(result.exit_code, 0) << example.command << "\n" << result.err;
    const std::string expected = example.expected.empty() ? result.out : example.expected;
    EXPECT_EQ(result.out, expected) << example.command;
  }
}

TEST(Readme, EveryExampleWorks) {
  ScratchDirectory scratch;
  RunExamples("README.md", scratch, 8);
  EXPECT_TRUE(std::filesystem::exists(scratch / "hidden5.npy"));
}

TEST(Docs, EveryExampleOfEditingWorks) {
  ScratchDirectory scratch;
  RunExamples("docs/editing.md", scratch, 30);
}

// The C++ of the README is a part of what examples/ask.cc does; that it compiles is tested with the
// installed library. Here: the table of headers is complete, by what git tracks.
TEST(Readme, NamesEveryPublicHeader) {
  const ProcessResult listed =
      RunProcess({"git", "-C", SourcePath("."), "ls-files", "include/lutdb"});
  if (listed.exit_code != 0) GTEST_SKIP() << "the sources are not a git checkout";
  const std::string text = ReadWholeFile(SourcePath("README.md"));
  std::istringstream paths(listed.out);
  int count = 0;
  for (std::string path; std::getline(paths, path); ++count) {
    std::string name = "`";
    name.append(path, std::string("include/").size()).append("`");
    EXPECT_TRUE(text.find(name) != std::string::npos) << name;
  }
  EXPECT_GE(count, 6);
}

}  // namespace
}  // namespace lutdb
