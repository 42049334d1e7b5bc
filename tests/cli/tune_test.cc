// lutdb tune through the real program: what it learns, what it commits, what it refuses, and that a
// killed run goes on to the same entries.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr char kGraph[] = R"({"format": "lutdb-graph-1", "input": {"width": 2, "range": [-1, 1]},
 "ops": [{"op": "learned", "name": "hidden", "neurons": 4, "range": 8,
          "table": {"input_bits": 4, "scale": 0.142857}},
         {"op": "learned", "name": "output", "neurons": 1, "range": 8,
          "table": {"input_bits": 6, "scale": 0.0967742}}]})";

// y = sin(3 a) + a b.
std::string Csv(int rows, const std::string& last = "") {
  std::string text = "a,b,y\n";
  for (int i = 0; i < rows; ++i) {
    const double a = std::fmod(i * 0.618034, 2.0) - 1, b = std::fmod(i * 0.414214, 2.0) - 1;
    text += std::to_string(a) + "," + std::to_string(b) + "," +
            std::to_string(std::sin(3 * a) + a * b) + "\n";
  }
  return text + last;
}

class Tune : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    WriteWholeFile(*scratch_ / "graph.json", kGraph);
    WriteWholeFile(*scratch_ / "data.csv", Csv(600));
    const ProcessResult built = Lutdb({"build", *scratch_ / "graph.json", *scratch_ / "start.lut"});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static std::string Fresh(const std::string& name) {
    const std::string store = *scratch_ / name;
    std::filesystem::copy(*scratch_ / "start.lut", store, std::filesystem::copy_options::recursive);
    return store;
  }
  static Words Command(const std::string& store, const Words& options = {}) {
    Words words = {"tune",     store,  "--csv",    *scratch_ / "data.csv",
                   "--target", "y",    "--batch",  "16",
                   "--lr",     "0.05", "--epochs", "20",
                   "--json"};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }
  static Json RunJson(Words words) {
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  static std::string Hash(const std::string& store) {
    return RunJson({"info", store, "--json"}).value("content_hash", "none");
  }
  static void ExpectRefused(const Words& words, int exit_code, const std::string& part) {
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Tune::scratch_ = nullptr;

TEST_F(Tune, LearnsFromZeroAndCommitsWhatItReports) {
  const std::string store = Fresh("learn.lut");
  const Json report = RunJson(Command(store, {"-m", "waves", "--valid-fraction", "0.2"}));
  const double before = report["valid"]["before"]["loss"], after = report["valid"]["after"]["loss"];
  EXPECT_LT(after, 0.2 * before);
  EXPECT_TRUE(report["improved"].get<bool>());
  const Json log = RunJson({"log", store, "--json"});
  ASSERT_EQ(log["commits"].size(), 1u);
  EXPECT_EQ(log["commits"][0]["id"], report["commit"]);
  EXPECT_EQ(log["commits"][0]["message"], "waves");
  // What was measured before the commit is what the store gives after it, to the bit.
  const Json eval = RunJson({"eval", store, "--csv", *scratch_ / "data.csv", "--target", "y",
                             "--valid-fraction", "0.2", "--seed", "1", "--json"});
  EXPECT_EQ(eval["count"], report["valid"]["after"]["count"]);
  EXPECT_NEAR(eval["mse"].get<double>(), after, 1e-12);
  ASSERT_EQ(Lutdb({"revert", store, report["commit"].get<std::string>()}).exit_code, 0);
  EXPECT_EQ(Hash(store), Hash(*scratch_ / "start.lut"));
}

TEST_F(Tune, ASeedGivesOneResult) {
  const std::string a = Fresh("a.lut"), b = Fresh("b.lut");
  RunJson(Command(a, {"--threads", "1"}));
  RunJson(Command(b, {"--threads", "2"}));
  EXPECT_EQ(Hash(a), Hash(b));
}

// Three classes, told apart by rings; trained in f32, then as tables and thresholds alone with the
// same entries, the same answers.
TEST_F(Tune, ATunedNetworkBecomesIntegerOnly) {
  std::string graph = kGraph;
  graph.replace(graph.find("\"neurons\": 1"), 12, "\"neurons\": 3");
  WriteWholeFile(*scratch_ / "rings.json", graph);
  std::string csv = "a,b,y\n";
  for (int i = 0; i < 900; ++i) {
    const double a = std::fmod(i * 0.618034, 2.0) - 1, b = std::fmod(i * 0.414214, 2.0) - 1;
    const int ring = std::min(2, static_cast<int>(2 * std::hypot(a, b)));
    csv += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(ring) + "\n";
  }
  WriteWholeFile(*scratch_ / "rings.csv", csv);
  const std::string store = *scratch_ / "rings.lut", whole = *scratch_ / "whole_rings.lut";
  ASSERT_EQ(Lutdb({"build", *scratch_ / "rings.json", store}).exit_code, 0);
  ASSERT_EQ(Lutdb({"branch", store, "start"}).exit_code, 0);
  const Words data = {"--csv", *scratch_ / "rings.csv", "--target", "y", "--json"};
  const auto on = [&](Words words) {
    words.insert(words.end(), data.begin(), data.end());
    return RunJson(words);
  };
  on({"tune", store, "--batch", "16", "--lr", "0.05", "--epochs", "30"});
  const ProcessResult patch = Lutdb({"diff", store, "start", "main", "--patch"});
  ASSERT_EQ(patch.exit_code, 0) << patch.err;
  WriteWholeFile(*scratch_ / "rings.jsonl", patch.out);
  const ProcessResult built = Lutdb({"build", *scratch_ / "rings.json", whole, "--integer-only"});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  const ProcessResult edited = Lutdb({"edit", whole, *scratch_ / "rings.jsonl", "-m", "tuned"});
  ASSERT_EQ(edited.exit_code, 0) << edited.err;
  EXPECT_TRUE(RunJson({"info", whole, "--json"})["integer_only"].get<bool>());
  const double before = on({"eval", store})["accuracy"], after = on({"eval", whole})["accuracy"];
  EXPECT_GT(before, 0.85);
  EXPECT_NEAR(after, before, 0.005);
  // And trained on from there, without a float.
  const Json more =
      on({"tune", whole, "--batch", "16", "--lr", "0.01", "--epochs", "10", "--dry-run"});
  EXPECT_GT(more["valid"]["before"]["accuracy"], 0.8);
  EXPECT_EQ(Lutdb({"verify", whole, "--deep"}).exit_code, 0);
}

// What decides is what the engine answers, also where sums begin with whole biases.
TEST_F(Tune, AnIntegerOnlyNetworkIsMeasuredAsItAnswers) {
  const std::string store = *scratch_ / "digits.lut", digits = SourcePath("models/digits/");
  ASSERT_EQ(Lutdb({"build", digits + "digits.safetensors", store, "--graph",
                   digits + "digits.graph.json", "--integer-only", "--input-bits", "3"})
                .exit_code,
            0);
  const Words rows = {"--images",
                      digits + "test-images.idx3.gz",
                      "--labels",
                      digits + "test-labels.idx1.gz",
                      "--valid-fraction",
                      "0.5",
                      "--seed",
                      "1",
                      "--json"};
  Words tune = {"tune", store, "--epochs", "1", "--lr", "0.0001", "--only", "output", "--dry-run"};
  Words eval = {"eval", store};
  tune.insert(tune.end(), rows.begin(), rows.end());
  eval.insert(eval.end(), rows.begin(), rows.end());
  // Nothing better is found, perhaps: exit status 1, and the same report.
  const Json report = Json::parse(Lutdb(tune).out);
  EXPECT_EQ(report["valid"]["before"]["accuracy"], RunJson(eval)["accuracy"]);
}

// Coarse corrections lose no more on validation rows than was allowed, and take less room.
TEST_F(Tune, CoarseCorrectionsTakeLessRoom) {
  const std::string fine = Fresh("fine.lut"), coarse = Fresh("coarse.lut");
  const Json as_trained = RunJson(Command(fine));
  const Json rounded = RunJson(Command(coarse, {"--coarse", "0.05"}));
  EXPECT_LE(rounded["valid"]["after"]["loss"].get<double>(),
            1.05 * as_trained["valid"]["after"]["loss"].get<double>());
  ASSERT_EQ(rounded["coarse_bits"].size(), 2u);
  const int bits = rounded["coarse_bits"][0];
  EXPECT_GT(bits, 2);
  const Json got = RunJson({"get", coarse, "hidden", "--json"});
  for (const Json& neuron : got["entries"]) {
    for (const Json& chunk : neuron) {
      for (const Json& entry : chunk) EXPECT_EQ(entry.get<int>() % (1 << bits), 0);
    }
  }
  const auto stored = [&](const std::string& store) {
    EXPECT_EQ(Lutdb({"bake", store}).exit_code, 0);
    return RunJson({"info", store, "--json"})["stored_bytes"].get<int>();
  };
  EXPECT_LT(stored(coarse), 0.8 * stored(fine));
  ExpectRefused(Command(fine, {"--coarse", "-1"}), 2, "--coarse");
}

TEST_F(Tune, BudgetsAndChoicesOfTablesAreKept) {
  const std::string store = Fresh("budget.lut");
  RunJson(Command(store));
  const Json frozen = RunJson(Command(store, {"--freeze", "hidden", "--seed", "2"}));
  EXPECT_EQ(frozen["tables"], Json({"output"}));
  // So few changes need not help; then nothing is committed, and that is said.
  const ProcessResult few = Lutdb(Command(store, {"--entries", "40", "--seed", "3"}));
  const Json report = Json::parse(few.out, nullptr, false);
  ASSERT_TRUE(report.is_object()) << few.err;
  EXPECT_LE(report["entries_changed"].get<int>(), 40);
  EXPECT_EQ(few.exit_code, report["improved"].get<bool>() ? 0 : 1);
  EXPECT_EQ(report["commit"].is_null(), !report["improved"].get<bool>());
}

// Killed again and again, the run ends with the entries of one that was left alone; meanwhile the
// branch is as it was, or has the whole commit.
TEST_F(Tune, KilledRunsGoOn) {
  const std::string whole = Fresh("whole.lut"), killed = Fresh("killed.lut");
  const Words options = {"--epochs", "60", "--patience", "60", "--checkpoint-seconds", "0"};
  const auto words = [&](const std::string& store) {
    Words all = Command(store);
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i] == "20") all[i] = "60";
    }
    all.insert(all.end(), options.begin() + 2, options.end());
    return all;
  };
  RunJson(words(whole));
  for (int milliseconds : {60, 90, 120}) {
    Words command = words(killed);
    command.insert(command.begin(), LUTDB_BINARY);
    RunningProcess process(command, *scratch_ / "killed.err");
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    process.Signal(SIGKILL);
    process.Wait();
    // Killed after its commit, it was a whole run all the same.
    if (const std::string now = Hash(killed); now != Hash(*scratch_ / "start.lut")) {
      EXPECT_EQ(now, Hash(whole));
      return;
    }
  }
  const ProcessResult last = Lutdb(words(killed));
  EXPECT_TRUE(last.exit_code == 0 || last.exit_code == 1) << last.err;
  EXPECT_EQ(Hash(killed), Hash(whole));
}

// Whoever commits while a tune runs is not overwritten: the tune commits nothing and says what to
// do.
TEST_F(Tune, ABranchThatMovedMeanwhileIsLeftAlone) {
  const std::string store = Fresh("moved.lut");
  Words command = Command(store, {"--patience", "2000", "--checkpoint-seconds", "0"});
  *std::find(command.begin(), command.end(), "20") = "2000";
  command.insert(command.begin(), LUTDB_BINARY);
  RunningProcess process(command, *scratch_ / "moved.err");
  const std::filesystem::path folder = store + "/tune";
  const auto has_begun = [&] {
    return std::filesystem::exists(folder) && !std::filesystem::is_empty(folder);
  };
  for (int i = 0; i < 1000 && !has_begun(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_TRUE(has_begun());
  ASSERT_EQ(Lutdb({"set", store, "hidden[0, 0, 0]", "0.5", "-m", "by hand"}).exit_code, 0);
  const std::string by_hand = Hash(store);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("others committed to 'main'"), std::string::npos) << result.err;
  EXPECT_EQ(Hash(store), by_hand);
  EXPECT_TRUE(std::filesystem::is_empty(folder));  // nothing will ever go on from there
  EXPECT_EQ(RunJson({"log", store, "--json"})["commits"].size(), 1u);
}

// y needs a and b together, and c by itself.
TEST_F(Tune, ProposesPairsAndTrainsNothing) {
  const std::string store = *scratch_ / "pairs.lut";
  std::string graph = kGraph;
  graph.replace(graph.find("\"width\": 2"), 10, "\"width\": 3");
  WriteWholeFile(*scratch_ / "three.json", graph);
  ASSERT_EQ(Lutdb({"build", *scratch_ / "three.json", store}).exit_code, 0);
  std::string csv = "a,b,c,y\n";
  for (int i = 0; i < 600; ++i) {
    const double a = std::fmod(i * 0.618034, 2.0) - 1, b = std::fmod(i * 0.414214, 2.0) - 1;
    const double c = std::fmod(i * 0.732051, 2.0) - 1;
    csv += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(c) + "," +
           std::to_string(a * b + c) + "\n";
  }
  WriteWholeFile(*scratch_ / "three.csv", csv);
  const std::string before = Hash(store);
  const Words words = {"tune", store, "--csv", *scratch_ / "three.csv", "--target", "y"};
  Words json = words;
  json.insert(json.end(), {"--propose-chunks", "2", "--json"});
  const Json proposed = RunJson(json);
  EXPECT_EQ(proposed["rows"], 540);
  ASSERT_EQ(proposed["pairs"].size(), 2u);
  EXPECT_EQ(proposed["pairs"][0]["inputs"], Json({0, 1}));
  EXPECT_EQ(proposed["pairs"][0]["names"], Json({"a", "b"}));
  EXPECT_GT(proposed["pairs"][0]["gain"], 0.1);
  EXPECT_LT(proposed["pairs"][1]["gain"], 0.05);
  Words text = words;
  text.insert(text.end(), {"--propose-chunks", "1"});
  const ProcessResult printed = Lutdb(text);
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_NE(printed.out.find("[0, 1]  a x b"), std::string::npos) << printed.out;
  EXPECT_EQ(Hash(store), before);
  text.back() = "0";
  ExpectRefused(text, 2, "--propose-chunks");
}

TEST_F(Tune, BadInputIsRefusedInOneLine) {
  const std::string store = Fresh("bad.lut");
  const auto csv = [&](const std::string& name, const std::string& text) {
    WriteWholeFile(*scratch_ / name, text);
    Words words = Command(store);
    words[3] = *scratch_ / name;
    return words;
  };
  ExpectRefused(csv("missing.csv", Csv(200, "0.5,,1\n")), 1, "missing");
  ExpectRefused(csv("nan.csv", Csv(200, "0.5,nan,1\n")), 1, "");
  ExpectRefused(csv("few.csv", Csv(15)), 2, "batch");
  std::string constant = "a,b,y\n", target = "a,b,y\n";
  for (int i = 0; i < 200; ++i) {
    constant += "1,1," + std::to_string(i) + "\n";
    target += std::to_string(i / 200.0) + ",1,5\n";
  }
  ExpectRefused(csv("constant.csv", constant), 1, "same inputs");
  ExpectRefused(csv("target.csv", target), 1, "same target");
  ExpectRefused(csv("wide.csv", "a,b,c,y\n1,2,3,4\n"), 2, "");
  ExpectRefused(Command(store, {"--only", "nothing"}), 1, "nothing");
  ExpectRefused(Command(store, {"--freeze", "hidden,output"}), 2, "no table is left");
  const auto rate = [&](const std::string& value) {
    Words words = Command(store);
    *std::find(words.begin(), words.end(), "0.05") = value;
    return words;
  };
  ExpectRefused(rate("-1"), 2, "--lr");
  ExpectRefused(rate("nan"), 2, "--lr");
  ExpectRefused(rate("0"), 2, "learning rate");
  ExpectRefused(rate("1e30"), 1, "diverged");
  ExpectRefused(Command(store, {"--branch", "nowhere"}), 1, "nowhere");
  ExpectRefused(Command(store, {"--objective", "reconstruct"}), 2, "--tokens");
  EXPECT_EQ(Hash(store), Hash(*scratch_ / "start.lut"));
}

}  // namespace
}  // namespace lutdb
