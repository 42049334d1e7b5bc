// lutdb tokenize, and the options of generation, as a user meets them.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr char kTokenizer[] = R"({"added_tokens":[{"id":4,"content":"<s>","special":true}],
  "pre_tokenizer":{"type":"Split","pattern":{"Regex":" ?\\p{L}+"},"behavior":"Isolated"},
  "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},
    {"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"id":"<s>","ids":[4]}}},
  "decoder":{"type":"Fuse"},
  "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2," ":3},"merges":["a b"]}})";

class Tokenize : public ::testing::Test {
 protected:
  void SetUp() override { WriteWholeFile(File(), kTokenizer); }
  std::string File() const { return scratch_ / "tokenizer.json"; }
  ProcessResult Run(const Words& options) const {
    Words words = {"tokenize", File()};
    words.insert(words.end(), options.begin(), options.end());
    return Lutdb(words);
  }
  void ExpectRefused(const Words& options, int exit_code, const std::string& part) const {
    const ProcessResult result = Run(options);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  }
  ScratchDirectory scratch_;
};

TEST_F(Tokenize, TextToIdsAndBack) {
  EXPECT_EQ(Run({"--text", "ab a"}).out, "4 2 3 0\n");
  EXPECT_EQ(Run({"--text", "ab a", "--no-special"}).out, "2 3 0\n");
  EXPECT_EQ(Run({"--text", ""}).out, "4\n");
  EXPECT_EQ(Run({"--text", "a<s>b", "--no-special"}).out, "0 4 1\n");
  EXPECT_EQ(Run({"--decode", "4 2 3 0"}).out, "ab a\n");
  WriteWholeFile(scratch_ / "text", "abab");
  const Json json = Json::parse(Run({"--file", scratch_ / "text", "--json", "--pieces"}).out);
  EXPECT_EQ(json["tokens"], Json({4, 2, 2}));
  EXPECT_EQ(json["count"], 3);
  EXPECT_EQ(json["pieces"], Json({"<s>", "ab", "ab"}));
}

TEST_F(Tokenize, RefusesInOneLine) {
  ExpectRefused({"--text", "\xFF"}, 2, "UTF-8");
  ExpectRefused({"--text", "z"}, 2, "no token for 'z'");
  ExpectRefused({"--decode", "1 x"}, 2, "'x' is no token id");
  ExpectRefused({"--decode", "99"}, 1, "token 99 is not in the tokenizer's 5 tokens");
  ExpectRefused({}, 2, "--text");
  ExpectRefused({"--text", "a", "--decode", "1"}, 2, "");
  WriteWholeFile(File(), "root:x:0:0");
  ExpectRefused({"--text", "a"}, 1, "no tokenizer that lutdb knows");
  EXPECT_EQ(Lutdb({"tokenize", scratch_ / "absent", "--text", "a"}).exit_code, 1);
}

class Generation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const ProcessResult built = Lutdb({"build", SourcePath("models/sums"), *scratch_ / "s"});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static ProcessResult Run(const Words& options) {
    Words words = {"run", *scratch_ / "s", "--temperature", "0"};
    words.insert(words.end(), options.begin(), options.end());
    return Lutdb(words);
  }
  static ScratchDirectory* scratch_;
};
ScratchDirectory* Generation::scratch_ = nullptr;

TEST_F(Generation, SaysWhyItEnded) {
  const auto finish = [](const Words& options) {
    Words words = {"--prompt", "462+723=", "--json"};
    words.insert(words.end(), options.begin(), options.end());
    return Json::parse(Run(words).out);
  };
  EXPECT_EQ(finish({})["finish"], "end_token");
  EXPECT_EQ(finish({"--max-tokens", "2"})["finish"], "max_tokens");
  const Json stopped = finish({"--stop", "18", "--stop", "zz"});
  EXPECT_EQ(stopped["finish"], "stop");
  EXPECT_EQ(stopped["text"], "462+723=1");
  EXPECT_GT(stopped["prompt_tokens_per_second"], 0.0);
  EXPECT_EQ(Run({"--prompt", "462+723=", "--stop", "18"}).out, "462+723=1\n");
}

TEST_F(Generation, SamplingOptions) {
  // With one token to choose from, chance has nothing to say.
  Words words = {"run", *scratch_ / "s", "--prompt", "462+723=", "--temperature", "3"};
  for (const Words& options : std::vector<Words>{{"--top-k", "1"}, {"--min-p", "1"}}) {
    Words all = words;
    all.insert(all.end(), options.begin(), options.end());
    EXPECT_EQ(Lutdb(all).out, "462+723=1185\n") << options[0];
  }
  for (const Words& options :
       std::vector<Words>{{"--min-p", "1.5"}, {"--repetition-penalty", "0"}, {"--top-k", "-1"}}) {
    Words all = words;
    all.insert(all.end(), options.begin(), options.end());
    EXPECT_EQ(Lutdb(all).exit_code, 2) << options[0];
  }
}

TEST_F(Generation, LongPromptsAreRefused) {
  const ProcessResult result = Run({"--prompt", std::string(100, '1')});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("does not fit the context of 32"), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(Generation, EvalNamesItsProtocol) {
  const std::string text = *scratch_ / "text";
  WriteWholeFile(text, "81+757=838");
  const auto eval = [&](const Words& options) {
    Words words = {"eval", *scratch_ / "s", "--text", text, "--json"};
    words.insert(words.end(), options.begin(), options.end());
    return Json::parse(Lutdb(words).out);
  };
  const Json usual = eval({"--window", "8"});
  EXPECT_EQ(usual["stride"], 4);
  EXPECT_EQ(usual["protocol"], "sliding windows");
  const Json apart = eval({"--window", "8", "--stride", "8"});
  EXPECT_EQ(apart["protocol"], "separate windows");
  EXPECT_EQ(apart["count"], usual["count"]);
  EXPECT_NE(apart["nll"], usual["nll"]);
}

}  // namespace
}  // namespace lutdb
