// Builds whose levels come from data: what is better, what stays exact, and what is refused.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Calibrated : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 100; i < 160; ++i) {
      text += std::to_string(i) + "+" + std::to_string(i * 3) + "=" + std::to_string(i * 4) + "\n";
    }
    WriteWholeFile(scratch_ / "sums.txt", text);
  }

  ProcessResult Build(const std::string& model, const std::string& name, const Words& options) {
    Words words = {"build", SourcePath(model), scratch_ / name};
    words.insert(words.end(), options.begin(), options.end());
    return Lutdb(words);
  }
  void BuildOk(const std::string& model, const std::string& name, const Words& options) {
    const ProcessResult built = Build(model, name, options);
    ASSERT_EQ(built.exit_code, 0) << built.err;
    EXPECT_FALSE(std::filesystem::exists(scratch_ / name + ".calibration"));
    const ProcessResult verified = Lutdb({"verify", scratch_ / name, "--deep", "--exact", "1"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }
  void ExpectRefused(const std::string& model, const Words& options, int exit_code,
                     const std::string& part) {
    const ProcessResult built = Build(model, "refused.lut", options);
    EXPECT_EQ(built.exit_code, exit_code) << built.err;
    EXPECT_NE(built.err.find(part), std::string::npos) << built.err;
    // One line, after those of the progress where the machine is slow.
    const std::string error =
        built.err.substr(std::min(built.err.find("lutdb: "), built.err.size()));
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << built.err;
    for (const char* left : {"refused.lut", "refused.lut.partial", "refused.lut.calibration"}) {
      EXPECT_FALSE(std::filesystem::exists(scratch_ / left)) << left;
    }
  }
  Json RunJson(Words words, const Words& environment = {}) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words, {.environment = environment});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  double Nll(const std::string& name, const Words& environment = {}) {
    return RunJson({"eval", scratch_ / name, "--text", scratch_ / "sums.txt"}, environment)
        .at("nll")
        .get<double>();
  }
  double Accuracy(const std::string& name) {
    return RunJson({"eval", scratch_ / name, "--images",
                    SourcePath("models/digits/test-images.idx3.gz"), "--labels",
                    SourcePath("models/digits/test-labels.idx1.gz")})
        .at("accuracy")
        .get<double>();
  }
  Words Data() { return {"--calibrate", scratch_ / "sums.txt"}; }
  static Words With(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Words Digits(const Words& more) {
    return With({"--graph", SourcePath("models/digits/digits.graph.json"), "--calibrate",
                 SourcePath("models/digits/test-images.idx3.gz")},
                more);
  }

  ScratchDirectory scratch_;
};

constexpr char kSums[] = "models/sums";
constexpr char kDigits[] = "models/digits/digits.safetensors";

TEST_F(Calibrated, LearnedLevelsAreBetterAndTheSameOnEveryMachine) {
  BuildOk(kSums, "plain.lut", {"--input-bits", "4"});
  BuildOk(kSums, "learned.lut",
          With(Data(), {"--input-bits", "4", "--levels", "learned", "--rotate"}));
  BuildOk(kSums, "f32.lut", {});
  const double reference =
      RunJson({"eval", scratch_ / "f32.lut", "--reference", "--text", scratch_ / "sums.txt"})
          .at("nll");
  const double learned = Nll("learned.lut");
  // The text is nothing the model has learned: what counts is how far from f32 the answers are.
  EXPECT_LT(std::abs(learned - reference), std::abs(Nll("plain.lut") - reference) * 0.8);
  for (const std::string isa : {"scalar", "sse4", "avx2"}) {
    const Json version = RunJson({"version"});
    if (version.at("isa_available").dump().find('"' + isa + '"') == std::string::npos) continue;
    EXPECT_EQ(Nll("learned.lut", {"LUTDB_FORCE_ISA=" + isa}), learned) << isa;
  }
  const auto hash = [&](const std::string& name) {
    return RunJson({"info", scratch_ / name}).at("content_hash").get<std::string>();
  };
  // Neither layout nor codec nor threads change what is stored.
  const Words same = With(Data(), {"--input-bits", "4", "--levels", "learned", "--rotate"});
  BuildOk(kSums, "rows.lut", With(same, {"--layout", "row", "--threads", "1"}));
  BuildOk(kSums, "delta.lut", With(same, {"--codec", "delta"}));
  EXPECT_EQ(hash("rows.lut"), hash("learned.lut"));
  EXPECT_EQ(hash("delta.lut"), hash("learned.lut"));
  EXPECT_EQ(Nll("rows.lut"), learned);
  EXPECT_EQ(Nll("delta.lut"), learned);
}

TEST_F(Calibrated, CodebooksAndPairsOfInputs) {
  BuildOk(kSums, "pairs.lut",
          With(Data(), {"--input-bits", "4", "--levels", "learned", "--rotate", "--chunk", "2"}));
  BuildOk(kSums, "book.lut",
          With(Data(), {"--chunk", "2", "--coding", "codebook", "--codes", "256", "--rotate"}));
  const Json table = RunJson({"info", scratch_ / "book.lut"}).at("tables").at(0);
  EXPECT_EQ(table.at("codes"), 256);
  EXPECT_LT(std::abs(Nll("book.lut") - Nll("pairs.lut")), 0.5);
}

// Bits go where the answer needs them, so that it is nearer to f32 than with the same everywhere.
TEST_F(Calibrated, ABudgetGivesTablesTheirOwnBits) {
  BuildOk(kSums, "four.lut",
          With(Data(), {"--input-bits", "4", "--levels", "learned", "--rotate"}));
  const uint64_t bytes = RunJson({"info", scratch_ / "four.lut"}).at("raw_bytes");
  BuildOk(kSums, "budget.lut",
          With(Data(), {"--budget", std::to_string(bytes), "--levels", "learned", "--rotate"}));
  const Json info = RunJson({"info", scratch_ / "budget.lut"});
  EXPECT_LE(info.at("raw_bytes").get<uint64_t>(), bytes);
  EXPECT_GT(info.at("raw_bytes").get<uint64_t>(), bytes * 3 / 4);
  const double reference =
      RunJson({"eval", scratch_ / "four.lut", "--reference", "--text", scratch_ / "sums.txt"})
          .at("nll");
  EXPECT_LT(std::abs(Nll("budget.lut") - reference), std::abs(Nll("four.lut") - reference));
  ExpectRefused(kSums, With(Data(), {"--budget", "1000", "--levels", "learned"}), 2, "--budget");
}

TEST_F(Calibrated, FeedForwardInputsHaveLevelsOfTheirOwn) {
  const Words bits = {"--input-bits", "3"};
  BuildOk(kDigits, "plain.lut",
          With({"--graph", SourcePath("models/digits/digits.graph.json")}, bits));
  for (const char* levels : {"quantile", "learned"}) {
    const std::string name = std::string(levels) + ".lut";
    BuildOk(kDigits, name, Digits(With(bits, {"--levels", levels})));
    EXPECT_GE(Accuracy(name), Accuracy("plain.lut") - 0.04) << levels;
  }
  BuildOk(kDigits, "integer.lut", Digits(With(bits, {"--levels", "learned", "--integer-only"})));
  EXPECT_NEAR(Accuracy("integer.lut"), Accuracy("learned.lut"), 0.02);
  BuildOk(kDigits, "bit.lut", Digits({"--input-bits", "1", "--levels", "learned"}));
  EXPECT_GT(Accuracy("bit.lut"), 0.3);
}

TEST_F(Calibrated, UnsignedGridsWhereInputsAreNeverNegative) {
  BuildOk(kDigits, "grid.lut", Digits({"--input-bits", "4"}));
  const Json tables = RunJson({"info", scratch_ / "grid.lut"}).at("tables");
  EXPECT_EQ(tables.at(0).at("codes"), 16);  // pixels
}

TEST_F(Calibrated, RefusesBadData) {
  const Words learned = {"--input-bits", "4", "--levels", "learned"};
  const auto with = [&](const std::string& file, const std::string& bytes) {
    WriteWholeFile(scratch_ / file, bytes);
    return With(learned, {"--calibrate", scratch_ / file});
  };
  ExpectRefused(kSums, learned, 2, "--calibrate");
  ExpectRefused(kSums, {"--coding", "codebook"}, 2, "--calibrate");
  ExpectRefused(kSums, {"--budget", "1MiB"}, 2, "--calibrate");
  ExpectRefused(kSums, {"--codes", "16"}, 2, "--coding codebook");
  ExpectRefused(kSums, With(learned, {"--calibrate", scratch_ / "absent"}), 1, "absent");
  ExpectRefused(kSums, with("empty.txt", ""), 1, "nothing to calibrate with");
  ExpectRefused(kSums, with("empty.i32", ""), 1, "nothing to calibrate with");
  ExpectRefused(kSums, with("far.i32", std::string("\1\0\0\0\xff\xff\0\0", 8)), 1, "vocabulary");
  ExpectRefused(kSums, with("odd.i32", "abc"), 1, "odd.i32");
  const Words graph = {"--graph", SourcePath("models/digits/digits.graph.json")};
  const auto digits = [&](const std::string& file, const std::string& bytes) {
    return With(graph, with(file, bytes));
  };
  ExpectRefused(kDigits, digits("narrow.csv", "1,2,3\n"), 2, "3 columns");
  ExpectRefused(kDigits, digits("empty.csv", ""), 1, "no rows");
  const uint32_t width =
      RunJson({"plan", SourcePath(kDigits), "--graph", graph[1]}).at("tables").at(0).at("inputs");
  std::string row;
  for (uint32_t i = 0; i < width; ++i) row += i == 0 ? "0" : ",0";
  ExpectRefused(kDigits, digits("nan.csv", row + "\nnan" + row.substr(1) + "\n"), 1, "row 1");
  ExpectRefused(kDigits, digits("word.csv", row + "\nx" + row.substr(1) + "\n"), 1, "line 2");
  ExpectRefused(kDigits, With(With(graph, with("zero.csv", row + "\n")), {"--rotate"}), 1,
                "all inputs are zero");
  ExpectRefused(kSums, With(Data(), {"--input-bits", "9", "--levels", "learned"}), 2, "--levels");
  ExpectRefused(kSums, With(Data(), {"--coding", "codebook", "--levels", "learned"}), 2,
                "--levels");
  ExpectRefused(kSums, With(Data(), {"--coding", "codebook", "--mirror"}), 2, "--mirror");
  ExpectRefused(kDigits, Digits({"--rotate", "--integer-only"}), 2, "--integer-only");
}

TEST_F(Calibrated, PlanShowsWhatBitsCost) {
  const Json plan =
      RunJson(With({"plan", SourcePath(kSums), "--levels", "learned", "--rotate"}, Data()));
  const Json& choices = plan.at("choices");
  ASSERT_EQ(choices.size(), 7u);  // 2 to 8 bits
  for (size_t i = 1; i < choices.size(); ++i) {
    EXPECT_LT(choices[i].at("error").get<double>(), choices[i - 1].at("error").get<double>());
    EXPECT_GT(choices[i].at("raw_bytes"), choices[i - 1].at("raw_bytes"));
  }
}

}  // namespace
}  // namespace lutdb
