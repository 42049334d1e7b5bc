// Edits that must be refused: all or nothing, one clear line, the old state intact.

#include "tests/cli/edit_scenes.h"

namespace lutdb {
namespace {

class EditErrors : public EditScenes {};

TEST_F(EditErrors, WordsOfSet) {
  const auto refused = [](const std::string& address, const std::string& value, int exit_code,
                          const std::string& part) {
    ExpectRefused("set", {address, value, "-m", "x"}, exit_code, part);
  };
  refused("outptu[0, 0, 0]", "1", 1, "outptu");
  refused("output[0, 64, 0]", "1", 1, "64");
  refused("output[0, 0", "1", 2, "output[0, 0");
  refused("output[5:5]", "1", 1, "selects no entry");
  refused("output[99999999999999999999]", "1", 1, "not one that far");
  for (const char* value :
       {"nan", "inf", "-inf", "one", "", "raw:", "raw:1.5", "raw:99999999999"}) {
    refused("output[0, 0, 0]", value, 2, "");
  }
  refused("output[0, 0, 0]", "raw:32768", 1, "(raw -32767 .. 32767)");
  refused("output[0, 0, 0]", "1e9", 1, "(raw -32767 .. 32767)");
  ExpectRefused("set", {"output[0, 0, 0]", "raw:1"}, 2, "message");
  ExpectRefused("set", {"output[0, 0, 0]", "raw:1", "-m", " "}, 2, "message is empty");
  ExpectRefused("set", {"output[0, 0, 0]", "raw:1", "-m", "x", "--branch", "none"}, 1,
                "there is no branch \"none\"");
  ExpectRefused(
      "set",
      {"output[0, 0, 0]", "raw:1", "-m", "x", "--eval-images", "none", "--eval-labels", "none"}, 1,
      "none");
}

TEST_F(EditErrors, SelectionsOfNothing) {
  ExpectRefused("ablate", {"--neurons", "5:5"}, 1, "no entry is selected");
  ExpectRefused("ablate", {"--fraction", "1e-12"}, 1, "no entry is selected");
}

// What a message has for a terminal to obey is shown, not sent.
TEST_F(EditErrors, ControlCharactersOfMessages) {
  const std::string message = "a\x1b[2Jb\tc\x7f\xc2\x9b\u00e9";
  const std::string shown = "a\\x1b[2Jb\tc\\x7f\\x9b\u00e9";
  const ProcessResult set = On("set", {"output[0, 0, 1]", "raw:3", "-m", message});
  ASSERT_EQ(set.exit_code, 0) << set.err;
  EXPECT_NE(set.out.find(shown), std::string::npos) << set.out;
  EXPECT_NE(On("log", {}).out.find(shown), std::string::npos);
  EXPECT_NE(On("blame", {"output[0, 0, 1]"}).out.find(shown), std::string::npos);
  EXPECT_EQ(Json::parse(On("log", {"--json"}).out)["commits"][0]["message"], message);
}

TEST_F(EditErrors, LinesOfAPatch) {
  struct Case {
    std::string line;
    std::string part;
  };
  const std::string at = "\"address\": \"output[0, 0, 2]\"";
  const std::vector<Case> cases = {
      {"{" + at + ", \"raw\": }", "line 2: not JSON"},
      {"{" + at + ", \"raw\": NaN}", "line 2: not JSON"},
      {"{" + at + ", \"value\": 1e999}", "line 2: a number is beyond"},
      {"{" + at + ", \"raw\": 1.5}", "line 2: \"raw\" must be a whole number"},
      {"{" + at + ", \"raw\": 32768}", "line 2: output[0, 0, 2] cannot be"},
      {"{" + at + ", \"value\": 1e12}", "(raw -32767 .. 32767)"},
      {"{" + at + ", \"scale\": 1e300}", "(raw -32767 .. 32767)"},
      {"{" + at + "}", "line 2: nothing to do"},
      {"{" + at + ", \"raw\": 1, \"value\": 1}", "line 2: only one of"},
      {"{" + at + ", \"raw\": 1, \"raw\": 1}", "line 2: \"raw\" comes twice"},
      {"{" + at + ", \"raw\": \"1\"}", "line 2: \"raw\" cannot be text"},
      {"{" + at + ", \"raw\": [1]}", "line 2: \"raw\" cannot be a list"},
      {"{" + at + ", \"new\": 1}", "line 2: \"new\" is no part of a patch"},
      {"{" + at + ", \"neuron\": 1, \"raw\": 1}", "line 2: \"address\" stands for"},
      {"{\"raw\": 1}", "line 2: no entry"},
      {"[1]", "line 2: an object is expected"},
      {"{\"store\": \"00\"}", "line 2: \"store\" belongs on the first line"},
      {"{\"address\": \"output[0, 0]\", \"raw\": 1}", "line 2: \"output[0, 0]\" does not name one"},
      {"{\"address\": \"output[0, 0, :]\", \"raw\": 1}", "does not name one entry"},
      {"{\"address\": \"none[0, 0, 0]\", \"raw\": 1}", "line 2: there is no table \"none\""},
      {"{\"address\": \"output[10, 0, 0]\", \"raw\": 1}", "line 2: "},
      {"{\"table\": 2, \"neuron\": 0, \"chunk\": 0, \"code\": 0, \"raw\": 1}", "no table 2"},
      {"{\"table\": 0, \"neuron\": 0, \"chunk\": 0, \"code\": 255, \"raw\": 1}", "no code 255"},
      {"{\"table\": 0, \"neuron\": -1, \"chunk\": 0, \"code\": 0, \"raw\": 1}", "no neuron -1"},
      {"{\"address\": \"output[0, 0, 1]\", \"raw\": 2}", "given twice"},
      {std::string(70000, ' ') + "{}", "line 2: longer than"},
  };
  // The line before is good; nothing of it may remain.
  const std::string good = "{\"address\": \"output[0, 0, 1]\", \"raw\": 17}\n";
  for (const Case& bad : cases) {
    const std::string patch = Patch("bad.jsonl", good + bad.line + "\n");
    ExpectRefused("edit", {patch, "-m", "x"}, 1, bad.part);
  }
}

TEST_F(EditErrors, WholePatches) {
  ExpectRefused("edit", {Patch("e.jsonl", ""), "-m", "x"}, 1, "the patch is empty");
  ExpectRefused("edit", {Patch("e.jsonl", "\n \n"), "-m", "x"}, 1, "the patch is empty");
  ExpectRefused("edit", {File("none.jsonl"), "-m", "x"}, 1, "there is no such file");
  ExpectRefused("edit", {*scratch_ / "", "-m", "x"}, 1, "a directory");
  ExpectRefused("edit", {Patch("e.npz", "PK"), "-m", "x"}, 1, "not a .npz file");
  const std::string entry = "{\"address\": \"output[0, 0, 1]\", \"raw\": 17}\n";
  ExpectRefused("edit", {Patch("w.jsonl", "{\"store\": \"0123\"}\n" + entry), "-m", "x"}, 1,
                "was made for the store 0123");
  // The hash of the store itself is welcome, also after commits.
  const std::string header = "{\"store\": \"" + built_hash_ + "\"}\n";
  Commit("edit", {Patch("w.jsonl", header + entry)});
  ExpectRefused("edit", {Patch("w.jsonl", header + entry), "-m", "x"}, 1, "nothing changes");
  Commit("edit", {Patch("w.jsonl", "{\"store\": \"" + Hash() +
                                       "\"}\n{\"address\": \"output[0, 0, 1]\", \"raw\": 18}\n")});
}

TEST_F(EditErrors, Refs) {
  const std::string first = Commit("set", {"output[0, 0, 1]", "raw:1"});
  ExpectRefused("diff", {"none", "main"}, 1, "none");
  ExpectRefused("diff", {"main", first.substr(0, 3)}, 1, first.substr(0, 3));  // too short
  ExpectRefused("revert", {"none"}, 1, "none");
  ExpectRefused("merge", {"none"}, 1, "none");
  for (const char* name : {"../x", "a/b", ".", "a b", "..", "/etc"}) {
    ExpectRefused("branch", {name}, 2, "cannot name a branch or tag");
    ExpectRefused("tag", {name}, 2, "cannot name a branch or tag");
  }
  ExpectRefused("branch", {"main"}, 1, "already");
  ExpectRefused("branch", {"main", "--delete"}, 2, "cannot be deleted");
  ExpectRefused("branch", {"none", "--delete"}, 1, "none");
  ExpectRefused("tag", {"none", "--delete"}, 1, "none");
  ExpectRefused("branch", {"new", "none"}, 1, "none");
  OnJson("branch", {"new", first.substr(0, 12)});
  OnJson("branch", {"new", "--delete"});
}

TEST_F(EditErrors, RevertOfWhatALaterCommitChanged) {
  const std::string first = Commit("set", {"output[0, 0, 1]", "raw:1"});
  const std::string second = Commit("set", {"output[0, 0, 1]", "raw:2"});
  ExpectRefused("revert", {first}, 1, "output[0, 0, 1]");
  OnJson("revert", {second});
  OnJson("revert", {first});
  EXPECT_EQ(Hash(), built_hash_);
}

}  // namespace
}  // namespace lutdb
