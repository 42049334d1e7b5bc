// set, edit, ablate, log, diff, blame, revert, branch, tag and merge through the real program.

#include <algorithm>
#include <thread>

#include "tests/cli/edit_scenes.h"

namespace lutdb {
namespace {

const char kImages[] = "models/digits/test-images.idx3.gz";
const char kLabels[] = "models/digits/test-labels.idx1.gz";

class Edit : public EditScenes {};

TEST_F(Edit, SetInRealUnitsAndAsAnEntry) {
  const Json before = OnJson("get", {"output[3, 5, 100]"});
  const double step = before["step"][0];
  const Json set = OnJson("set", {"output[3, 5, 100]", std::to_string(step * 123), "-m", "by value",
                                  "--author", "A. Person"});
  EXPECT_EQ(set["entries"], 1);
  EXPECT_EQ(set["branch"], "main");
  EXPECT_EQ(set["author"], "A. Person");
  EXPECT_EQ(Entry("output[3, 5, 100]"), 123);
  Commit("set", {"output[3, 5, 100]", "raw:-7"});
  EXPECT_EQ(Entry("output[3, 5, 100]"), -7);
  Commit("set", {"output[3, 5, 100]", "-0.0"});  // a negative number is no option
  EXPECT_EQ(Entry("output[3, 5, 100]"), 0);
  // Several at once; one commit.
  const Json block = OnJson("set", {"output[0:2, 5:7, 10:13]", "raw:9", "-m", "a block"});
  EXPECT_EQ(block["entries"], 12);
  const Json after = OnJson("get", {"output[0:2, 5:7, 10:13]"});
  for (const Json& neuron : after["entries"]) {
    for (const Json& chunk : neuron) EXPECT_EQ(chunk, Json({9, 9, 9}));
  }
}

TEST_F(Edit, LogTellsWhoWhenAndWhy) {
  const std::string first = Commit("set", {"output[3, 5, 100]", "raw:1"});
  const std::string second =
      OnJson("set", {"output[3, 5, 101]", "raw:2", "-m", "second\nwith a body"}).at("id");
  const Json commits = OnJson("log", {}).at("commits");
  ASSERT_EQ(commits.size(), 2u);
  EXPECT_EQ(commits[0]["id"], second);
  EXPECT_EQ(commits[0]["parents"], Json({first}));
  EXPECT_EQ(commits[0]["message"], "second\nwith a body");
  EXPECT_GT(commits[0]["time"].get<int64_t>(), 1700000000);
  EXPECT_NE(commits[0]["author"].get<std::string>(), "");
  EXPECT_EQ(commits[1]["parents"], Json::array());
  EXPECT_EQ(OnJson("log", {"-n", "1"}).at("commits").size(), 1u);
  const std::string text = On("log", {}).out;
  EXPECT_NE(text.find("commit " + second + "\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    with a body\n"), std::string::npos) << text;
}

TEST_F(Edit, AuthorFromTheEnvironment) {
  const ProcessResult set =
      Lutdb({"set", Store(), "output[3, 5, 100]", "raw:1", "-m", "x", "--json"},
            {.environment = {"LUTDB_AUTHOR=somebody"}});
  ASSERT_EQ(set.exit_code, 0) << set.err;
  EXPECT_EQ(Json::parse(set.out).at("author"), "somebody");
}

TEST_F(Edit, PatchesInEveryWay) {
  Commit("set", {"output[0, 0, 0:6]", "raw:100"});
  const double step = OnJson("get", {"output[0, 0, 0]"})["step"][0];
  const std::string patch =
      Patch("all.jsonl",
            "{\"address\": \"output[0, 0, 0]\", \"raw\": 7}\n"
            "{\"address\": \"output[0,0,1]\", \"add_raw\": -30}\r\n"
            "\n"
            "{\"table\": \"output\", \"neuron\": 0, \"chunk\": 0, \"code\": 2, \"scale\": 0.5}\n"
            "{\"table\": 1, \"neuron\": 0, \"chunk\": 0, \"code\": 3, \"add\": " +
                std::to_string(10 * step) +
                "}\n"
                "{\"value\": " +
                std::to_string(-55 * step) + ", \"address\": \"output[0, 0, 4]\"}");
  EXPECT_EQ(OnJson("edit", {patch, "-m", "five ways"}).at("entries"), 5);
  EXPECT_EQ(OnJson("get", {"output[0, 0, 0:6]"})["entries"][0][0],
            Json({7, 70, 50, 110, -55, 100}));
}

// What NumPy writes: stored with savez, deflated with savez_compressed.
TEST_F(Edit, PatchesAsArrays) {
  const std::string script =
      "import numpy as np\n"
      "np.savez('" +
      File("a.npz") +
      "', table=np.array(['output', 'hidden', 'output']),\n"
      "  neuron=[1, 2, 3], chunk=[4, 5, 6], code=[7, 8, 9], raw=np.array([10, -11, 12]))\n"
      "np.savez_compressed('" +
      File("b.npz") +
      "', table='output', neuron=np.arange(10),\n"
      "  chunk=0, code=np.zeros(10, int), scale=0.5)\n"
      "np.savez('" +
      File("c.npz") +
      "', table=0, neuron=[1, 64], chunk=0, code=0, raw=1)\n"
      "np.savez('" +
      File("d.npz") + "', table=0, neuron=1, chunk=0, code=0, value=np.nan)\n";
  if (RunProcess({"/usr/bin/python3", "-c", script}).exit_code != 0 &&
      RunProcess({"python3", "-c", script}).exit_code != 0) {
    GTEST_SKIP() << "no NumPy here";
  }
  EXPECT_EQ(Commit("edit", {File("a.npz")}).size(), 32u);
  EXPECT_EQ(Entry("output[1, 4, 7]"), 10);
  EXPECT_EQ(Entry("hidden[2, 5, 8]"), -11);
  EXPECT_EQ(Entry("output[3, 6, 9]"), 12);
  const Json before = OnJson("get", {"output[:, 0, 0]"})["entries"];
  Commit("edit", {File("b.npz")});
  const Json after = OnJson("get", {"output[:, 0, 0]"})["entries"];
  for (size_t n = 0; n < 10; ++n) {
    EXPECT_EQ(after[n][0][0].get<int>(), std::round(before[n][0][0].get<int>() * 0.5)) << n;
  }
  ExpectRefused("edit", {File("c.npz"), "-m", "x"}, 1, "entry 1: table hidden has no neuron 64");
  ExpectRefused("edit", {File("d.npz"), "-m", "x"}, 1, "not a finite number");
  const std::string whole = ReadWholeFile(File("a.npz"));
  Patch("cut.npz", whole.substr(0, whole.size() / 2));
  ExpectRefused("edit", {File("cut.npz"), "-m", "x"}, 1, "not a .npz file");
}

TEST_F(Edit, RevertingEveryCommitGivesTheFreshStore) {
  std::vector<std::string> commits;
  commits.push_back(Commit("set", {"output[3, 5, 100]", "raw:1"}));
  commits.push_back(Commit("ablate", {"hidden[7]"}));
  commits.push_back(Commit("set", {"output[3, 5, 100:110]", "raw:2"}));
  commits.push_back(Commit("ablate", {"--fraction", "0.001", "--mode", "flip", "--seed", "5"}));
  EXPECT_NE(Hash(), built_hash_);
  for (auto commit = commits.rbegin(); commit != commits.rend(); ++commit) {
    const Json reverted = OnJson("revert", {commit->substr(0, 10)});
    EXPECT_NE(reverted.value("message", "").find("a test"), std::string::npos);
  }
  EXPECT_EQ(Hash(), built_hash_);
  EXPECT_EQ(OnJson("info", {}).at("edited_entries"), 0);
  EXPECT_EQ(OnJson("log", {}).at("commits").size(), 8u);
}

TEST_F(Edit, DiffAsAPatchMakesAnotherBranchTheSame) {
  OnJson("branch", {"other"});
  Commit("set", {"output[3, 5, 100]", "raw:1"});
  Commit("ablate", {"hidden", "--fraction", "0.0005", "--mode", "scale=-0.5"});
  const ProcessResult patch = On("diff", {"other", "main", "--patch"});
  ASSERT_EQ(patch.exit_code, 0) << patch.err;
  const std::string pipe = "'" + std::string(LUTDB_BINARY) + "' diff '" + Store() +
                           "' other main --patch | '" + std::string(LUTDB_BINARY) + "' edit '" +
                           Store() + "' - --branch other -m piped";
  const ProcessResult piped = RunProcess({"bash", "-c", pipe});
  ASSERT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(Hash("other"), Hash("main"));
  EXPECT_EQ(OnJson("diff", {"main", "other"}).at("entries"), 0);
  for (const char* table : {"hidden", "output"}) {
    for (const char* at : {"main", "other"}) {
      ASSERT_EQ(On("get", {table, "--at", at, "--npy", File(std::string(at) + ".npy")}).exit_code,
                0);
    }
    EXPECT_EQ(ReadWholeFile(File("main.npy")), ReadWholeFile(File("other.npy"))) << table;
  }
}

TEST_F(Edit, DiffTellsWhatChanged) {
  const int before = Entry("output[3, 5, 100]");
  OnJson("tag", {"start"});
  Commit("set", {"output[3, 5, 100]", "raw:77"});
  const Json diff = OnJson("diff", {"start", "main"});
  EXPECT_EQ(diff["entries"], 1);
  const Json& change = diff["changes"][0];
  EXPECT_EQ(change["table"], "output");
  EXPECT_EQ(change["neuron"], 3);
  EXPECT_EQ(change["chunk"], 5);
  EXPECT_EQ(change["code"], 100);
  EXPECT_EQ(change["before"], before);
  EXPECT_EQ(change["after"], 77);
  const std::string text = On("diff", {"start"}).out;
  EXPECT_NE(text.find("output[3, 5, 100]"), std::string::npos) << text;
  EXPECT_NE(text.find("1 entry differs between start and main\n"), std::string::npos) << text;
}

TEST_F(Edit, MergeOfDisjointBranchesIsBothPatches) {
  OnJson("branch", {"left"});
  OnJson("branch", {"right"});
  OnJson("branch", {"both"});
  Commit("set", {"output[3, 5, :]", "raw:1", "--branch", "left"});
  Commit("set", {"hidden[3, 5, :]", "raw:2", "--branch", "right"});
  for (const char* side : {"left", "right"}) {
    const std::string patch = Patch("side.jsonl", On("diff", {"main", side, "--patch"}).out);
    Commit("edit", {patch, "--branch", "both"});
  }
  const Json merged = OnJson("merge", {"right", "--branch", "left"});
  EXPECT_EQ(merged["parents"].size(), 2u);
  EXPECT_EQ(Hash("left"), Hash("both"));
  EXPECT_EQ(Hash("main"), built_hash_);
  // main has nothing of its own: it moves forward.
  EXPECT_EQ(OnJson("merge", {"left"}).at("id"), merged["id"]);
  EXPECT_EQ(Hash("main"), Hash("both"));
}

TEST_F(Edit, MergeListsConflictsAndRefusesThem) {
  OnJson("branch", {"theirs"});
  Commit("set", {"output[3, 5, 100]", "raw:11"});
  Commit("set", {"output[3, 5, 100:102]", "raw:22", "--branch", "theirs"});
  const std::string hash = Hash();
  const ProcessResult refused = On("merge", {"theirs", "--json"});
  EXPECT_EQ(refused.exit_code, 1);
  const Json conflicts = Json::parse(refused.out).at("conflicts");
  ASSERT_EQ(conflicts.size(), 1u);
  EXPECT_EQ(conflicts[0]["code"], 100);
  EXPECT_EQ(conflicts[0]["ours"], 11);
  EXPECT_EQ(conflicts[0]["theirs"], 22);
  EXPECT_EQ(Hash(), hash);
  OnJson("branch", {"second"});
  OnJson("merge", {"theirs", "--ours"});
  EXPECT_EQ(Entry("output[3, 5, 100]"), 11);
  EXPECT_EQ(Entry("output[3, 5, 101]"), 22);
  OnJson("merge", {"theirs", "--theirs", "--branch", "second"});
  EXPECT_EQ(Entry("output[3, 5, 100]", "second"), 22);
}

TEST_F(Edit, EveryReaderTakesARef) {
  OnJson("tag", {"v1"});
  const std::string commit = Commit("ablate", {"output"});
  const std::string images = SourcePath(kImages), labels = SourcePath(kLabels);
  const auto accuracy = [&](const std::string& at) {
    return OnJson("eval", {"--images", images, "--labels", labels, "--at", at})
        .at("accuracy")
        .get<double>();
  };
  EXPECT_GT(accuracy("v1"), 0.95);
  EXPECT_LT(accuracy("main"), 0.2);  // nothing is left to tell digits by
  EXPECT_EQ(accuracy(commit.substr(0, 8)), accuracy("main"));
  EXPECT_EQ(Entry("output[0, 0, 0]"), 0);
  EXPECT_NE(Entry("output[0, 0, 0]", "v1"), 0);
  EXPECT_EQ(Hash("v1"), built_hash_);
  const Json info = OnJson("info", {});
  EXPECT_EQ(info["commit"], commit);
  EXPECT_GT(info["edited_entries"].get<int>(), 100000);
  EXPECT_LT(info["derived_fraction"].get<double>(), 1.0);
  EXPECT_EQ(OnJson("info", {"--at", "v1"}).at("derived_fraction"), 1.0);
  for (const char* command : {"get", "info", "log", "blame", "run", "eval", "verify", "repair"}) {
    Words words = {"--at", "nowhere"};
    if (std::string(command) == "get" || std::string(command) == "blame") {
      words.insert(words.begin(), "output");
    }
    if (std::string(command) == "eval")
      words.insert(words.begin(), {"--images", images, "--labels", labels});
    if (std::string(command) == "run") {
      words.insert(words.begin(), {"--input", File("x.npy"), "--output", File("y.npy")});
    }
    const ProcessResult result = On(command, words);
    EXPECT_EQ(result.exit_code, 1) << command;
    EXPECT_NE(result.err.find("nowhere"), std::string::npos) << command << result.err;
  }
}

TEST_F(Edit, BlameTellsTheHistoryOfAnEntry) {
  const int built = Entry("output[3, 5, 100]");
  const std::string first = Commit("set", {"output[3, 5, 100]", "raw:1"});
  const std::string second = Commit("set", {"output[3, 5, 99:101]", "raw:2"});
  const Json blame = OnJson("blame", {"output[3, 5, 98:101]"}).at("entries");
  ASSERT_EQ(blame.size(), 3u);
  EXPECT_EQ(blame[0]["commits"], Json::array());
  EXPECT_EQ(blame[1]["commits"].size(), 1u);
  ASSERT_EQ(blame[2]["commits"].size(), 2u);
  EXPECT_EQ(blame[2]["commits"][0]["commit"]["id"], second);
  EXPECT_EQ(blame[2]["commits"][1]["commit"]["id"], first);
  EXPECT_EQ(blame[2]["commits"][1]["before"], built);
  const std::string text = On("blame", {"output[3, 5, 98:101]"}).out;
  EXPECT_NE(text.find("1 entry is as built"), std::string::npos) << text;
}

TEST_F(Edit, AblateWhatIsNamed) {
  EXPECT_EQ(OnJson("ablate", {"output", "--neurons", "1,3:5", "--chunks", "2"}).at("entries"),
            3 * 254);  // level zero is zero already
  for (const int neuron : {1, 3, 4}) {
    EXPECT_EQ(Entry("output[" + std::to_string(neuron) + ", 2, 0]"), 0);
  }
  EXPECT_NE(Entry("output[2, 2, 0]"), 0);
  const Json notes = OnJson("log", {}).at("commits")[0]["notes"]["ablate"];
  EXPECT_EQ(notes["mode"], "zero");
  // A share of the entries: the same ones for the same seed, whatever else is selected.
  const Words half = {"hidden[0:4]", "--fraction", "0.5", "--seed", "9", "--dry-run"};
  const double share = OnJson("ablate", half).at("entries").get<double>() / (4 * 784 * 254);
  EXPECT_NEAR(share, 0.5, 0.01);
  EXPECT_EQ(OnJson("ablate", half), OnJson("ablate", half));
  const Json flipped =
      OnJson("ablate", {"hidden[0, 0:40]", "--mode", "flip", "--dry-run"}).at("changes");
  ASSERT_EQ(flipped.size(), 40u * 255);
  for (const Json& change : flipped) {
    const unsigned bits = (change["before"].get<int>() ^ change["after"].get<int>()) & 0xffff;
    EXPECT_TRUE(__builtin_popcount(bits) == 1 || change["after"] == -32767) << change;
  }
}

TEST_F(Edit, WhatIsRequired) {
  // The entries of untouched weights are monotone, and stay so when all are scaled.
  OnJson("ablate", {"output[3]", "--mode", "scale=0.5", "--require", "monotone"});
  const double most = [] {
    const Json values = OnJson("get", {"output[3, 5, :]"}).at("values")[0][0];
    return std::abs(values[0].get<double>());
  }();
  ExpectRefused("set", {"output[3, 5, 100]", "raw:32767", "-m", "x", "--require", "monotone"}, 1,
                "output[3, 5, :] would not be monotone");
  ExpectRefused("set",
                {"output[3, 5, 100]", "raw:32767", "-m", "x", "--require",
                 "bounds=" + std::to_string(-2 * most) + ":" + std::to_string(2 * most)},
                1, "output[3, 5, 100] would be");
  EXPECT_EQ(
      Commit("set", {"output[3, 5, 100]", "raw:32767", "--require", "bounds=-1000:1000"}).size(),
      32u);
  ExpectRefused("set", {"output[3, 5, 1]", "raw:1", "-m", "x", "--require", "smooth"}, 2,
                "--require takes");
  ExpectRefused("set", {"output[3, 5, 1]", "raw:1", "-m", "x", "--require", "bounds=2:1"}, 2,
                "--require takes");
}

TEST_F(Edit, MeasuredBeforeAndAfter) {
  const Words data = {"--eval-images", SourcePath(kImages), "--eval-labels", SourcePath(kLabels)};
  Words words = {"output[3]", "-m", "no threes", "--dry-run"};
  words.insert(words.end(), data.begin(), data.end());
  const Json dry = OnJson("ablate", words).at("notes").at("eval");
  EXPECT_EQ(Hash(), built_hash_);
  EXPECT_GT(dry["before"]["accuracy"].get<double>(), 0.95);
  EXPECT_LT(dry["after"]["accuracy"].get<double>(), 0.92);
  words.erase(std::find(words.begin(), words.end(), "--dry-run"));
  const ProcessResult made = On("ablate", words);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.out.find("\naccuracy "), std::string::npos) << made.out;
  const Json notes = OnJson("log", {}).at("commits")[0]["notes"];
  EXPECT_EQ(notes["eval"], dry);
  // What was promised is what the commit gives.
  EXPECT_EQ(OnJson("eval", {"--images", SourcePath(kImages), "--labels", SourcePath(kLabels)})
                .at("accuracy"),
            dry["after"]["accuracy"]);
  EXPECT_NE(On("log", {}).out.find("    accuracy "), std::string::npos);
}

TEST_F(Edit, EightProcessesAtOnce) {
  constexpr int kProcesses = 8, kCommits = 3;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kProcesses; ++writer) {
    writers.emplace_back([writer] {
      for (int i = 0; i < kCommits; ++i) {
        const std::string address =
            "hidden[" + std::to_string(writer) + ", " + std::to_string(i) + ", 7]";
        const ProcessResult set = On("set", {address, "raw:31000", "-m", address, "--wait", "300"});
        EXPECT_EQ(set.exit_code, 0) << set.err;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const Json commits = OnJson("log", {}).at("commits");
  ASSERT_EQ(commits.size(), size_t{kProcesses * kCommits});
  for (size_t i = 0; i + 1 < commits.size(); ++i) {
    EXPECT_EQ(commits[i]["parents"], Json({commits[i + 1]["id"]}));
  }
  const Json entries = OnJson("get", {"hidden[0:8, 0:3, 7]"}).at("entries");
  for (const Json& neuron : entries) EXPECT_EQ(neuron, Json::parse("[[31000],[31000],[31000]]"));
}

}  // namespace
}  // namespace lutdb
