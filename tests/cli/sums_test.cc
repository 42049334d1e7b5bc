// The language model of models/sums through the real program.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/process.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class Sums : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    const ProcessResult built = Lutdb({"build", SourcePath("models/sums"), Store()});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  static void TearDownTestSuite() {
    delete scratch_;
    scratch_ = nullptr;
  }
  static std::string Store() { return *scratch_ / "s.lut"; }
  static ProcessResult Run(const Words& options) {
    Words words = {"run", Store(), "--temperature", "0"};
    words.insert(words.end(), options.begin(), options.end());
    return Lutdb(words);
  }

  static ScratchDirectory* scratch_;
};
ScratchDirectory* Sums::scratch_ = nullptr;

TEST_F(Sums, AnswersFromTheTables) {
  const ProcessResult result = Run({"--prompt", "347+285="});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "347+285=632\n");
  EXPECT_NE(result.err.find("per second"), std::string::npos) << result.err;
}

TEST_F(Sums, TheSameHoweverItIsRead) {
  for (const Words& options : std::vector<Words>{{"--arena", "off"},
                                                 {"--arena", "64KiB"},
                                                 {"--arena", "1MiB", "--threads", "1"},
                                                 {"--threads", "2"},
                                                 {"--reference"}}) {
    Words words = {"--prompt", "347+285="};
    words.insert(words.end(), options.begin(), options.end());
    const ProcessResult result = Run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "347+285=632\n") << options[0];
  }
}

TEST_F(Sums, AFewOfTheUnseenPrompts) {
  std::istringstream prompts(ReadWholeFile(SourcePath("models/sums/prompts.tsv")));
  int right = 0, count = 0;
  for (std::string line; count < 25 && std::getline(prompts, line); ++count) {
    const std::string prompt = line.substr(0, line.find('\t'));
    const std::string answer = line.substr(line.find('\t') + 1);
    right += Run({"--prompt", prompt}).out == prompt + answer + "\n";
  }
  EXPECT_EQ(count, 25);
  EXPECT_GE(right, 23);
}

TEST_F(Sums, EmptyPrompts) {
  const ProcessResult none = Run({"--max-tokens", "5"});
  EXPECT_EQ(none.exit_code, 0) << none.err;
  for (const Words& prompt : std::vector<Words>{{"--prompt", ""}, {"--prompt="}}) {
    Words words = {"--max-tokens", "5"};
    words.insert(words.begin(), prompt.begin(), prompt.end());
    const ProcessResult result = Run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, none.out);
  }
}

TEST_F(Sums, JsonIsOneObject) {
  const ProcessResult result = Run({"--prompt", "12+30=", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json.at("text"), "12+30=42");
  EXPECT_EQ(json.at("tokens").size(), 2u);
  EXPECT_EQ(json.at("ended"), true);
  for (const char* key : {"seed", "seconds", "prompt_tokens", "prompt_seconds"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_TRUE(json.at("arena").contains("misses"));
}

TEST_F(Sums, ASeedRepeatsASample) {
  const auto sample = [](const std::string& seed) {
    return Lutdb({"run", Store(), "--temperature", "3", "--seed", seed, "--max-tokens", "40"}).out;
  };
  const std::string first = sample("7");
  EXPECT_EQ(sample("7"), first);
  bool differs = false;
  for (int seed = 8; seed < 14; ++seed) differs |= sample(std::to_string(seed)) != first;
  EXPECT_TRUE(differs);
  // Without one, the seed that was drawn is told.
  const ProcessResult random = Lutdb({"run", Store(), "--max-tokens", "1"});
  EXPECT_EQ(random.exit_code, 0);
  EXPECT_NE(random.err.find("seed "), std::string::npos) << random.err;
}

TEST_F(Sums, TokensInsteadOfAPrompt) {
  // <unk> <s> </s> space 0-9 + - = newline; BOS and the space in front are given as tokens here.
  const std::vector<int32_t> ids = {1, 3, 4 + 2, 14, 4 + 3, 16};
  WriteWholeFile(*scratch_ / "ids.i32",
                 {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
  const ProcessResult result = Run({"--tokens", *scratch_ / "ids.i32"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("2+3=5"), std::string::npos) << result.out;
  WriteWholeFile(*scratch_ / "bad.i32", "abc");
  EXPECT_EQ(Run({"--tokens", *scratch_ / "bad.i32"}).exit_code, 1);
}

TEST_F(Sums, EvaluatesTextAndTokens) {
  WriteWholeFile(*scratch_ / "text", "2+3=5");
  const ProcessResult text = Lutdb({"eval", Store(), "--text", *scratch_ / "text", "--json"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  const Json json = Json::parse(text.out);
  // BOS, the space and five characters: six predictions.
  EXPECT_EQ(json.at("count"), 6);
  EXPECT_NEAR(std::exp(json.at("nll").get<double>()), json.at("perplexity"), 1e-9);
  const std::vector<int32_t> ids = {1, 3, 4 + 2, 14, 4 + 3, 16, 4 + 5};
  WriteWholeFile(*scratch_ / "ids.i32",
                 {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
  const ProcessResult tokens =
      Lutdb({"eval", Store(), "--tokens", *scratch_ / "ids.i32", "--json"});
  ASSERT_EQ(tokens.exit_code, 0) << tokens.err;
  EXPECT_EQ(Json::parse(tokens.out).at("nll"), json.at("nll"));
  EXPECT_EQ(
      Lutdb({"eval", Store(), "--tokens", *scratch_ / "ids.i32", "--window", "100000"}).exit_code,
      2);
  EXPECT_EQ(Lutdb({"eval", Store(), "--images", "x", "--labels", "y"}).exit_code, 2);
}

TEST_F(Sums, LogitsOfAnArrayOfTokens) {
  const std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }\n";
  std::string npy("\x93NUMPY\x01\x00", 8);
  npy += static_cast<char>(header.size());
  npy += '\0';
  const int32_t ids[] = {1, 3, 6};
  npy += header + std::string(reinterpret_cast<const char*>(ids), sizeof(ids));
  WriteWholeFile(*scratch_ / "in.npy", npy);
  const ProcessResult result = Lutdb({"run", Store(), "--input", *scratch_ / "in.npy", "--output",
                                      *scratch_ / "out.npy", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).at("shape"), Json({3, 18}));
  npy.replace(npy.size() - 4, 4, std::string("\x63\0\0\0", 4));  // id 99 of a vocabulary of 18
  WriteWholeFile(*scratch_ / "in.npy", npy);
  EXPECT_EQ(
      Lutdb({"run", Store(), "--input", *scratch_ / "in.npy", "--output", *scratch_ / "o2.npy"})
          .exit_code,
      1);
}

}  // namespace
}  // namespace lutdb
