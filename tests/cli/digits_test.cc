// The feed-forward network of models/digits through the real program: every command that reads.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Digits : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const ProcessResult built = Build("d.lut", {});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }

  static ProcessResult Build(const std::string& name, const Words& options) {
    Words words = {"build",   SourcePath("models/digits/digits.safetensors"), *scratch_ / name,
                   "--graph", SourcePath("models/digits/digits.graph.json"),  "--json"};
    words.insert(words.end(), options.begin(), options.end());
    return Lutdb(words);
  }
  static Json RunJson(Words words) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  static double Accuracy(const std::string& name, const Words& options = {}) {
    Words words = {"eval",     *scratch_ / name,
                   "--images", SourcePath("models/digits/test-images.idx3.gz"),
                   "--labels", SourcePath("models/digits/test-labels.idx1.gz")};
    words.insert(words.end(), options.begin(), options.end());
    const Json json = RunJson(words);
    EXPECT_EQ(json.value("count", 0), 1000);
    return json.value("accuracy", 0.0);
  }
  static std::string Store() { return *scratch_ / "d.lut"; }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Digits::scratch_ = nullptr;

void ExpectKeys(const Json& json, const std::set<std::string>& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(json.contains(key)) << key << " in " << json;
}

TEST_F(Digits, PlanSaysWhatABuildWouldCost) {
  const Json plan = RunJson({"plan", SourcePath("models/digits/digits.safetensors"), "--graph",
                             SourcePath("models/digits/digits.graph.json")});
  ExpectKeys(plan, {"raw_bytes", "stored_bytes_estimate", "read_bytes_per_token", "tables"});
  ASSERT_EQ(plan["tables"].size(), 2u);
  // 784 x 64 and 64 x 10 weights, 255 codes of two bytes each.
  EXPECT_EQ(plan["raw_bytes"], (784 * 64 + 64 * 10) * 255 * 2);
  EXPECT_EQ(plan["read_bytes_per_token"], (784 * 64 + 64 * 10) * 2);
}

TEST_F(Digits, InfoHasTheKeysOfTheContract) {
  const Json info = RunJson({"info", Store()});
  ExpectKeys(info, {"format_version", "content_hash", "graph_hash", "tables", "raw_bytes",
                    "stored_bytes", "derived_fraction", "branches", "ranges", "ranges_resumed"});
  ASSERT_EQ(info["tables"].size(), 2u);
  ExpectKeys(info["tables"][0],
             {"name", "inputs", "neurons", "chunk", "codes", "coding", "input_bits", "entry",
              "layout", "codec", "records", "raw_bytes", "stored_bytes"});
  EXPECT_EQ(info["tables"][0]["name"], "hidden");
  EXPECT_EQ(info["tables"][0]["inputs"], 784);
  EXPECT_EQ(info["tables"][0]["neurons"], 64);
  EXPECT_EQ(info["tables"][0]["codes"], 255);
  EXPECT_EQ(info["tables"][0]["coding"], "signed");
  EXPECT_EQ(info["content_hash"].get<std::string>().size(), 32u);
  EXPECT_EQ(info["branches"], Json({"main"}));
  EXPECT_EQ(info["derived_fraction"], 1.0);
}

TEST_F(Digits, GetIsAlwaysThreeDimensional) {
  const Json one = RunJson({"get", Store(), "output[1, 2, 3]"});
  ExpectKeys(one, {"table", "neurons", "chunks", "codes", "step", "levels", "entries", "values"});
  EXPECT_EQ(one["table"], "output");
  EXPECT_EQ(one["levels"], Json::parse("[[-124]]"));
  const int entry = one["entries"][0][0][0];
  EXPECT_DOUBLE_EQ(one["values"][0][0][0],
                   entry * static_cast<double>(one["step"][0].get<float>()));

  const Json block = RunJson({"get", Store(), "output[1:4, -2:, ::127]"});
  EXPECT_EQ(block["neurons"], Json({1, 2, 3}));
  EXPECT_EQ(block["chunks"], Json({62, 63}));
  EXPECT_EQ(block["codes"], Json({0, 127, 254}));
  ASSERT_EQ(block["entries"].size(), 3u);
  ASSERT_EQ(block["entries"][0].size(), 2u);
  ASSERT_EQ(block["entries"][0][0].size(), 3u);
  for (int n = 0; n < 3; ++n) {
    for (int c = 0; c < 2; ++c) {
      EXPECT_EQ(block["entries"][n][c][1], 0);  // code 127 is level 0
      EXPECT_EQ(block["entries"][n][c][0].get<int>(), -block["entries"][n][c][2].get<int>());
    }
  }
}

TEST_F(Digits, GetInEveryFormatSaysTheSame) {
  const std::string address = "output[2, 3:5, 10:12]";
  const Json json = RunJson({"get", Store(), address});
  std::string csv = "neuron,chunk,code,entry,value\n";
  std::string npy;
  for (int c = 0; c < 2; ++c) {
    for (int k = 0; k < 2; ++k) {
      const int16_t entry = json["entries"][0][c][k];
      csv += "2," + std::to_string(3 + c) + "," + std::to_string(10 + k) + "," +
             std::to_string(entry) + "," + json["values"][0][c][k].dump() + "\n";
      npy.append(reinterpret_cast<const char*>(&entry), 2);
    }
  }
  EXPECT_EQ(Lutdb({"get", Store(), address, "--csv"}).out, csv);
  ASSERT_EQ(Lutdb({"get", Store(), address, "--npy", *scratch_ / "x.npy"}).exit_code, 0);
  const std::string file = ReadWholeFile(*scratch_ / "x.npy");
  EXPECT_NE(file.find("'shape': (1, 2, 2, )"), std::string::npos);
  EXPECT_EQ(file.substr(file.size() - 8), npy);
  const ProcessResult people = Lutdb({"get", Store(), address});
  EXPECT_NE(people.out.find(std::to_string(json["entries"][0][1][1].get<int>())),
            std::string::npos);
}

TEST_F(Digits, GetCutsALongTableAndSaysHowToSeeAll) {
  const ProcessResult result = Lutdb({"get", Store(), "hidden"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_LT(result.out.size(), 10000u);
  EXPECT_NE(result.out.find("..."), std::string::npos);
  EXPECT_NE(result.out.find("40 of 12,794,880 entries shown; --json, --csv or --npy"),
            std::string::npos)
      << result.out;
}

TEST_F(Digits, AddressesThatDoNotExist) {
  const auto code = [](const std::string& address) {
    const ProcessResult result = Lutdb({"get", Store(), address});
    EXPECT_EQ(result.err.rfind("lutdb: ", 0), 0u) << result.err;
    EXPECT_EQ(result.out, "");
    return result.exit_code;
  };
  EXPECT_EQ(code("output[10]"), 1);
  EXPECT_EQ(code("output[-11]"), 1);
  EXPECT_EQ(code("output[0,64]"), 1);
  EXPECT_EQ(code("output[0,0,255]"), 1);
  EXPECT_EQ(code("outptu[0]"), 1);
  EXPECT_EQ(code("output[99999999999999999999]"), 1);
  for (const char* malformed : {"output[", "output]", "output[a]", "output[1,2,3,4]", "",
                                "output[::0]", "[1]", "output[1]x", "output[1.5]"}) {
    EXPECT_EQ(code(malformed), 2) << malformed;
  }
}

TEST_F(Digits, AccuracyOfTablesAndOfTheWeights) {
  const double reference = Accuracy("d.lut", {"--reference"});
  EXPECT_NEAR(reference, 0.958, 0.0021);
  EXPECT_NEAR(Accuracy("d.lut"), reference, 0.0041);
  // The same bits whatever holds the entries and however many threads add them.
  EXPECT_EQ(Accuracy("d.lut", {"--arena", "off"}), Accuracy("d.lut", {"--threads", "1"}));
}

TEST_F(Digits, EveryWayOfKeepingEntriesHasTheSameContentHash) {
  const std::string hash = RunJson({"info", Store()}).at("content_hash");
  const std::vector<Words> ways = {{"--codec", "delta"},
                                   {"--codec", "raw"},
                                   {"--layout", "row"},
                                   {"--mirror"},
                                   {"--threads", "1", "--memory", "512MiB"}};
  int number = 0;
  for (const Words& way : ways) {
    const std::string name = "way" + std::to_string(number++) + ".lut";
    const ProcessResult built = Build(name, way);
    ASSERT_EQ(built.exit_code, 0) << built.err;
    EXPECT_EQ(Json::parse(built.out).at("content_hash"), hash) << way[0];
    std::filesystem::remove_all(*scratch_ / name);
  }
}

TEST_F(Digits, IntegerOnly) {
  ASSERT_EQ(Build("i.lut", {"--integer-only"}).exit_code, 0);
  EXPECT_EQ(RunJson({"info", *scratch_ / "i.lut"}).at("integer_only"), true);
  EXPECT_NEAR(Accuracy("i.lut"), 0.958, 0.006);
}

// Under fixed scales, as integer-only networks have them, chunks have levels of their own.
TEST_F(Digits, GetHasTheLevelsOfEveryChunk) {
  ASSERT_EQ(Build("levels.lut", {"--integer-only", "--input-bits", "3"}).exit_code, 0);
  const std::string store = *scratch_ / "levels.lut";
  const Json both = RunJson({"get", store, "output[9, 0:2, :]"});
  ASSERT_EQ(both["chunk_levels"].size(), 2u);
  EXPECT_EQ(both["levels"], both["chunk_levels"][0]);
  EXPECT_NE(both["chunk_levels"][0], both["chunk_levels"][1]);
  for (const int chunk : {0, 1}) {
    const Json one = RunJson({"get", store, "output[9, " + std::to_string(chunk) + ", :]"});
    EXPECT_FALSE(one.contains("chunk_levels"));
    EXPECT_EQ(one["levels"], both["chunk_levels"][chunk]);
  }
}

TEST_F(Digits, ArraysInAndOut) {
  // Two images of nothing but paper, as bytes.
  const std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28), }\n";
  std::string npy("\x93NUMPY\x01\x00", 8);
  npy += static_cast<char>(header.size());
  npy += '\0';
  WriteWholeFile(*scratch_ / "in.npy", npy + header + std::string(2 * 784, '\0'));
  const Json json =
      RunJson({"run", Store(), "--input", *scratch_ / "in.npy", "--output", *scratch_ / "out.npy"});
  EXPECT_EQ(json.at("shape"), Json({2, 10}));
  const std::string out = ReadWholeFile(*scratch_ / "out.npy");
  ASSERT_EQ(out.size() % 64, 80u % 64);
  const float* values = reinterpret_cast<const float*>(out.data() + out.size() - 80);
  double sum = 0;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(values[i], values[10 + i]);  // the same image twice
    sum += values[i];
  }
  EXPECT_NEAR(sum, 1, 1e-5);  // softmax

  WriteWholeFile(*scratch_ / "in.npy", npy + header + std::string(100, '\0'));
  EXPECT_EQ(
      Lutdb({"run", Store(), "--input", *scratch_ / "in.npy", "--output", *scratch_ / "none.npy"})
          .exit_code,
      1);
  EXPECT_FALSE(std::filesystem::exists(*scratch_ / "none.npy"));
  EXPECT_EQ(Lutdb({"run", Store(), "--prompt", "a"}).exit_code, 2);
}

TEST_F(Digits, VerifyFindsNothingInAWholeStore) {
  for (const Words& options : std::vector<Words>{{}, {"--deep"}, {"--exact", "1"}}) {
    Words words = {"verify", Store()};
    words.insert(words.end(), options.begin(), options.end());
    const Json json = RunJson(words);
    EXPECT_EQ(json.at("clean"), true);
    EXPECT_EQ(json.at("problems"), Json::array());
    ExpectKeys(json, {"files_checked", "bytes_checked", "records_checked", "cells_recomputed"});
  }
  EXPECT_EQ(RunJson({"verify", Store(), "--exact", "1"}).at("cells_recomputed"), 784 + 64);
  EXPECT_EQ(RunJson({"repair", Store()}).at("files_rebuilt"), 0);
}

TEST_F(Digits, OtherBranchesDoNotExistYet) {
  EXPECT_EQ(Lutdb({"info", Store(), "--at", "main"}).exit_code, 0);
  for (const char* command : {"info", "run", "verify", "repair"}) {
    EXPECT_EQ(Lutdb({command, Store(), "--at", "other"}).exit_code, 1) << command;
  }
}

TEST_F(Digits, BuildingAgain) {
  const ProcessResult again = Build("d.lut", {});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(Json::parse(again.out).at("already_built"), true);
  const std::string hash = RunJson({"info", Store()}).at("content_hash");
  const ProcessResult other = Build("d.lut", {"--input-bits", "5"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(RunJson({"info", Store()}).at("content_hash"), hash);
}

}  // namespace
}  // namespace lutdb
