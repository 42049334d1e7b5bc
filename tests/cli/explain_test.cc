// `explain` and `study faults` through the real program.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/cli/xml_check.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Explain : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const ProcessResult digits =
        Lutdb({"build", SourcePath("models/digits/digits.safetensors"), *scratch_ / "d.lut",
               "--graph", SourcePath("models/digits/digits.graph.json")});
    ASSERT_EQ(digits.exit_code, 0) << digits.err;
    const ProcessResult sums = Lutdb({"build", SourcePath("models/sums"), *scratch_ / "s.lut"});
    ASSERT_EQ(sums.exit_code, 0) << sums.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static std::string Digits() { return *scratch_ / "d.lut"; }
  static std::string Sums() { return *scratch_ / "s.lut"; }
  static std::string Images() { return SourcePath("models/digits/test-images.idx3.gz"); }
  static std::string Labels() { return SourcePath("models/digits/test-labels.idx1.gz"); }
  static Json RunJson(Words words) {
    words.push_back("--json");
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
  static ScratchDirectory* scratch_;
};
ScratchDirectory* Explain::scratch_ = nullptr;

void ExpectAddsUp(const Json& explanation) {
  for (const Json& neuron : explanation["neurons"]) {
    int64_t sum = neuron["rest"];
    for (const Json& part : neuron["contributions"]) sum += part["entry"].get<int64_t>();
    EXPECT_EQ(sum, neuron["acc"].get<int64_t>());
    float y = (explanation["scale"].get<float>() * neuron["step"].get<float>()) *
              static_cast<float>(neuron["acc"].get<int32_t>());
    if (!neuron["bias"].is_null()) y += neuron["bias"].get<float>();
    EXPECT_EQ(y, neuron["y"].get<float>());
  }
}

TEST_F(Explain, AnImageInEveryForm) {
  const Words words = {"explain", Digits(),   "--images", Images(), "--index",
                       "3",       "--neuron", "0,9",      "--svg",  *scratch_ / "x.svg"};
  const Json json = RunJson(words);
  EXPECT_EQ(json["table"], "output");
  EXPECT_EQ(json["commit"], "");
  ASSERT_GE(json["neurons"].size(), 2u);
  EXPECT_EQ(json["neurons"][0]["largest"], true);
  EXPECT_EQ(json["neurons"][0]["contributions"].size(), 10u);
  ExpectAddsUp(json);
  Words all = words;
  all.push_back("--all");
  const Json every = RunJson(all);
  ExpectAddsUp(every);
  EXPECT_EQ(every["neurons"][0]["contributions"].size(), 64u);
  EXPECT_EQ(every["neurons"][0]["rest"], 0);

  const ProcessResult text = Lutdb(words);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  const std::string address = json["neurons"][0]["contributions"][0]["address"];
  EXPECT_NE(text.out.find(address), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("54 other chunks"), std::string::npos) << text.out;
  const std::string svg = ReadWholeFile(*scratch_ / "x.svg");
  EXPECT_EQ(XmlProblem(svg), "");
  EXPECT_NE(svg.find(address), std::string::npos);
  // `get` has the same entry at that address.
  EXPECT_EQ(RunJson({"get", Digits(), address})["entries"][0][0][0],
            json["neurons"][0]["contributions"][0]["entry"]);
}

TEST_F(Explain, ATokenAndAnEdit) {
  const Words words = {"explain", Sums(), "--prompt", "347+285=", "--top", "3"};
  const Json before = RunJson(words);
  EXPECT_EQ(before["table"], "lm_head");
  EXPECT_EQ(before["neurons"][0]["text"], "6");
  ExpectAddsUp(before);
  const Json& part = before["neurons"][0]["contributions"][0];
  EXPECT_EQ(part["set_by"], "weights");
  const ProcessResult set = Lutdb({"set", Sums(), part["address"], "raw:11", "-m", "eleven"});
  ASSERT_EQ(set.exit_code, 0) << set.err;
  const std::string head = RunJson({"log", Sums()})["commits"][0]["id"];
  const Json after = RunJson({"explain", Sums(), "--prompt", "347+285=", "--all", "--neuron",
                              before["neurons"][0]["neuron"].dump()});
  EXPECT_EQ(after["commit"], head);
  ExpectAddsUp(after);
  int found = 0;
  for (const Json& neuron : after["neurons"]) {
    for (const Json& now : neuron["contributions"]) {
      if (now["set_by"] == "weights") continue;
      ++found;
      EXPECT_EQ(now["set_by"], head);
      EXPECT_EQ(now["address"], part["address"]);
      EXPECT_EQ(now["entry"], 11);
    }
  }
  EXPECT_EQ(found, 1);
  ASSERT_EQ(Lutdb({"revert", Sums(), head}).exit_code, 0);
}

TEST_F(Explain, BadInput) {
  const auto code = [](const Words& words) {
    const ProcessResult result = Lutdb(words);
    EXPECT_EQ(result.err.rfind("lutdb: ", 0), 0u) << result.err;
    EXPECT_EQ(result.out, "");
    return result.exit_code;
  };
  const std::string images = Images();
  EXPECT_EQ(code({"explain", Digits()}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--prompt", "x"}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--prompt", ""}), 2);
  EXPECT_EQ(code({"explain", Sums(), "--images", images}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--neuron", "-1"}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--neuron", "x"}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--top", "0"}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--neuron", "10"}), 1);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--index", "1000"}), 1);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--table", "outptu"}), 1);
  EXPECT_EQ(code({"explain", Digits(), "--images", Labels()}), 2);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--at", "nowhere"}), 1);
  EXPECT_EQ(code({"explain", Digits(), "--images", images, "--svg", *scratch_ / "no/x.svg"}), 1);
  EXPECT_EQ(code({"explain", Sums(), "--prompt", std::string(500, '1')}), 1);
  WriteWholeFile(*scratch_ / "short.npy",
                 std::string("\x93NUMPY\x01\x00\x46\x00", 10) +
                     "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }          \n" +
                     "abc");
  EXPECT_EQ(code({"explain", Digits(), "--input", *scratch_ / "short.npy"}), 1);
}

TEST_F(Explain, StudyOfBadCells) {
  const Words words = {"study",
                       "faults",
                       Digits(),
                       "--images",
                       Images(),
                       "--labels",
                       Labels(),
                       "--shares",
                       "0,0.01,0.5",
                       "--seeds",
                       "2",
                       "--svg",
                       *scratch_ / "f.svg",
                       "--points",
                       *scratch_ / "f.csv"};
  const Json json = RunJson(words);
  EXPECT_EQ(json["measure"], "accuracy");
  ASSERT_EQ(json["curves"].size(), 2u);
  for (const Json& curve : json["curves"]) {
    ASSERT_EQ(curve["points"].size(), 5u);
    EXPECT_NEAR(curve["points"][0]["accuracy"], 0.958, 0.005);
    EXPECT_LT(curve["points"][4]["accuracy"], curve["points"][0]["accuracy"]);
    EXPECT_EQ(curve["points"][4]["count"], 1000);
    EXPECT_TRUE(curve["survived_share"].is_number());
  }
  EXPECT_EQ(XmlProblem(ReadWholeFile(*scratch_ / "f.svg")), "");
  const std::string csv = ReadWholeFile(*scratch_ / "f.csv");
  EXPECT_EQ(csv.rfind("mode,share,seed,count,accuracy\ndead,0,0,1000,0.9", 0), 0u) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 11);

  const auto code = [](const Words& bad) { return Lutdb(bad).exit_code; };
  EXPECT_EQ(code({"study", "nothing", Digits(), "--images", Images(), "--labels", Labels()}), 2);
  EXPECT_EQ(code({"study", "faults", Digits()}), 2);
  const auto with = [&](const Words& more) {
    Words all = {"study", "faults", Digits(), "--images", Images(), "--labels", Labels()};
    all.insert(all.end(), more.begin(), more.end());
    return code(all);
  };
  EXPECT_EQ(with({"--shares", "2"}), 2);
  EXPECT_EQ(with({"--mode", "melted"}), 2);
  EXPECT_EQ(with({"--seeds", "0"}), 2);
  EXPECT_EQ(with({"--tables", "nothing"}), 1);
}

}  // namespace
}  // namespace lutdb
