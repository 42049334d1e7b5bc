// A network of tables without weights, from a graph file alone, through every command that reads.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Learned : public ::testing::Test {
 protected:
  Learned() : store_(scratch_ / "l.lut") {
    built_ = Lutdb({"build", SourcePath("examples/learned_tables.graph.json"), store_});
  }
  Json RunJson(Words words) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  std::string Graph(const std::string& ops) {
    const std::string path = scratch_ / "g.json";
    WriteWholeFile(path,
                   R"({"format": "lutdb-graph-1", "input": {"width": 2}, "ops": [)" + ops + "]}");
    return path;
  }
  void ExpectRefused(const Words& words, int exit_code, const std::string& part) {
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }

  ScratchDirectory scratch_;
  std::string store_;
  ProcessResult built_;
};

TEST_F(Learned, StartsAsZeroAndIsCheckedLikeAnyStore) {
  ASSERT_EQ(built_.exit_code, 0) << built_.err;
  const Json info = RunJson({"info", store_});
  ASSERT_EQ(info["tables"].size(), 2u);
  EXPECT_EQ(info["tables"][0]["name"], "hidden");
  EXPECT_EQ(info["tables"][0]["neurons"], 4);
  EXPECT_FALSE(info["content_hash"].get<std::string>().empty());
  // 31 x 31 + 63 + 63 + 2 codes of 4 neurons, and 4 x 63 of one; on disk next to nothing.
  EXPECT_EQ(info["raw_bytes"], 2 * (4 * (31 * 31 + 63 + 63 + 2) + 4 * 63));
  EXPECT_LT(info["stored_bytes"], 4096);
  const Json got = RunJson({"get", store_, "hidden[:, 0, :3]"});
  EXPECT_EQ(got["entries"][3][0], Json::array({0, 0, 0}));
  // Entries reach the declared range: 32767 steps at the input scale 1 / 31.
  EXPECT_NEAR(got["step"][0].get<double>() * 32767 / 31, 2, 1e-5);
  for (const Words& check : {Words{"verify", store_},
                             {"verify", store_, "--deep"},
                             {"verify", store_, "--exact", "1"}}) {
    const ProcessResult result = Lutdb(check);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  EXPECT_EQ(Lutdb({"repair", store_}).exit_code, 0);
}

TEST_F(Learned, AnswersZeroAndIsEvaluated) {
  ASSERT_EQ(built_.exit_code, 0) << built_.err;
  const std::string csv = scratch_ / "x.csv";
  WriteWholeFile(csv, "a,b,c,y\n1,2,3,2\n4,5,6,-2\n,5,6,-2\n");
  ExpectRefused({"eval", store_, "--csv", csv, "--target", "y"}, 1, "x.csv, line 4, column 'a'");
  const Json report = RunJson({"eval", store_, "--csv", csv, "--target", "y", "--drop-incomplete"});
  EXPECT_EQ(report["count"], 2);
  EXPECT_EQ(report["mse"], 4.0);
  EXPECT_EQ(report["r2"], 0.0);
  EXPECT_EQ(report["dropped_rows"], 1);
  EXPECT_FALSE(report.contains("accuracy"));
  const Json half = RunJson({"eval", store_, "--csv", csv, "--target", "y", "--drop-incomplete",
                             "--valid-fraction", "0.5", "--seed", "3"});
  EXPECT_EQ(half["count"], 1);
  ExpectRefused({"eval", store_, "--csv", csv, "--target", "z"}, 2, "no column 'z'");
  ExpectRefused({"eval", store_, "--csv", csv, "--target", "y", "--columns", "a,b"}, 2,
                "gives 2 inputs (a, b), but the network takes 3");
  ExpectRefused({"eval", store_, "--csv", csv}, 2, "--target");
  ExpectRefused({"eval", store_, "--wav", scratch_ / "none"}, 2, "one real value");
  ExpectRefused({"eval", store_, "--csv", csv, "--target", "y", "--drop-incomplete", "--reference"},
                1, "no kept source weights");
}

TEST_F(Learned, RefusesWhatItCannotBe) {
  const std::string out = scratch_ / "n.lut";
  const std::string learned = R"({"op": "learned", "name": "t", "neurons": 3, "range": 1})";
  const std::string scaled = R"({"op": "scale_shift", "scale": [1, 1], "shift": [0, 0]}, )";
  ExpectRefused({"build", Graph(scaled + learned), out, "--integer-only"}, 1, "cannot fold op 0");
  ExpectRefused({"build", Graph(R"({"op": "learned", "name": "t", "neurons": 3})"), out}, 1,
                "range");
  ExpectRefused({"build", Graph(R"({"op": "learned", "neurons": 3, "range": 1})"), out}, 1, "name");
  ExpectRefused({"build", Graph(R"({"op": "linear", "weight": "w"})"), out}, 1, "\"w\"");
  ExpectRefused({"build", Graph(R"({"op": "scale_shift", "scale": [1]})"), out}, 1,
                "scale has 1 numbers for 2 elements");
  ExpectRefused({"build", Graph(learned), out, "--graph", Graph(learned)}, 2, "one graph file");
}

}  // namespace
}  // namespace lutdb
