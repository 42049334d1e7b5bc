// Tokenizers against the ids that other implementations give: every case of every public vocabulary
// (skipped where they are absent), and how each named way of splitting cuts a text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "engine/tokenizer.h"
#include "ingest/tokenizer_expressions.h"
#include "ingest/tokenizer_file.h"

namespace lutdb {
namespace {

using ::testing::ElementsAre;

std::string ReadAll(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class RealTokenizers : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = ::getenv("LUTDB_TEST_DATA");
    data_ =
        std::string(given != nullptr ? given : LUTDB_SOURCE_DIR "/../shared/data") + "/tokenizers";
    if (!std::filesystem::is_directory(data_)) {
      GTEST_SKIP() << "no test data at " << data_ << "; set LUTDB_TEST_DATA";
    }
  }
  std::unique_ptr<Tokenizer> Open(const std::string& name) {
    const auto spec = ReadTokenizerFile(data_ + "/" + name, 0);
    EXPECT_TRUE(spec.ok()) << spec.status();
    return spec.ok() ? *Tokenizer::Create(*spec) : nullptr;
  }
  std::string data_;
};

TEST_F(RealTokenizers, EveryCaseOfEveryVocabulary) {
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  for (const char* name : {"bert-bge", "gpt-2", "llama-spm"}) {
    const std::string file = std::string("llama.cpp/ggml-vocab-") + name + ".gguf";
    const auto tokenizer = Open(file);
    ASSERT_NE(tokenizer, nullptr);
    const std::string inputs = ReadAll(data_ + "/" + file + ".inp");
    std::istringstream outputs(ReadAll(data_ + "/" + file + ".out"));
    int cases = 0;
    std::string line;
    for (size_t at = 0; at < inputs.size(); ++cases) {
      const size_t end = std::min(inputs.find(kBetween, at), inputs.size());
      const std::string text = inputs.substr(at, end - at);
      at = end + kBetween.size();
      ASSERT_TRUE(std::getline(outputs, line)) << name;
      std::istringstream numbers(line);
      const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
      const auto tokens = tokenizer->Encode(text, {.add_special = false, .parse_special = false});
      ASSERT_TRUE(tokens.ok()) << tokens.status();
      EXPECT_EQ(*tokens, expected) << name << ": " << text;
    }
    EXPECT_GT(cases, 40) << name;
  }
}

TEST_F(RealTokenizers, OneVocabularyInTwoFormats) {
  const auto gguf = Open("llama.cpp/ggml-vocab-gpt-2.gguf");
  const auto pair = Open("bpe/gpt2_vocab.json");
  ASSERT_TRUE(gguf != nullptr && pair != nullptr);
  const std::string text = ReadAll(data_ + "/bpe/tinystories_sample.txt");
  EXPECT_EQ(*gguf->Encode(text), *pair->Encode(text));
  // Read literally, nothing is lost.
  const auto tokens = pair->Encode(text, {.parse_special = false});
  EXPECT_EQ(*pair->Decode(*tokens), text);
}

TEST_F(RealTokenizers, DecodingUndoesEncoding) {
  const auto tokenizer = Open("llama.cpp/ggml-vocab-llama-spm.gguf");
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = ReadAll(data_ + "/bpe/corpus.en");
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode(text)), text);
}

TEST_F(RealTokenizers, SentencePieceModels) {
  const auto tokenizer = Open("sentencepiece/test_model.model");
  ASSERT_NE(tokenizer, nullptr);
  // White space at the ends is dropped and runs become one, full-width letters are folded.
  EXPECT_EQ(*tokenizer->Encode("  Hello   \xEF\xBC\xA1 "), *tokenizer->Encode("Hello A"));
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode("I saw a girl with a telescope.")),
            "I saw a girl with a telescope.");
}

std::vector<std::string> Words(const char* name, std::string text) {
  const NamedSplit* named = FindNamedSplit(name);
  EXPECT_NE(named, nullptr) << name;
  std::vector<TokenizerStep> steps;
  for (const char* expression : named->expressions) steps.push_back(SplitStep(expression));
  const auto split = *Splitter::Create(steps)->Split(std::move(text), true);
  std::vector<std::string> words;
  for (const auto& word : split.words) {
    words.push_back(split.text.substr(word.begin, word.end - word.begin));
  }
  return words;
}

TEST(NamedSplits, CutAsTheirModelsDo) {
  const std::string text = "It'S 12345!!\n\nx";
  EXPECT_THAT(Words("gpt-2", text), ElementsAre("It", "'", "S", " 12345", "!!", "\n", "\n", "x"));
  EXPECT_THAT(Words("llama-bpe", text), ElementsAre("It", "'S", " ", "123", "45", "!!\n\n", "x"));
  EXPECT_THAT(Words("qwen2", text),
              ElementsAre("It", "'S", " ", "1", "2", "3", "4", "5", "!!\n\n", "x"));
  EXPECT_THAT(Words("falcon", text),
              ElementsAre("It", "'", "S", " ", "123", "45", "!!", "\n", "\n", "x"));
  EXPECT_THAT(Words("starcoder", text),
              ElementsAre("It", "'", "S", " ", "1", "2", "3", "4", "5", "!!", "\n", "\n", "x"));
  EXPECT_THAT(Words("deepseek-llm", text),
              ElementsAre("It", "'", "S", " ", "12345", "!!", "\n", "\n", "x"));
  EXPECT_THAT(Words("deepseek-coder", text),
              ElementsAre("It", "'", "S", " ", "1", "2", "3", "4", "5", "!!", "\n", "\n", "x"));
  EXPECT_THAT(Words("gpt-4o", text), ElementsAre("It'S", " ", "123", "45", "!!\n\n", "x"));
  EXPECT_THAT(Words("tekken", "aBCd'S 12"), ElementsAre("a", "BCd", "'S", " ", "1", "2"));
  EXPECT_THAT(Words("superbpe", "a1234567"), ElementsAre("a", "1", "234", "567"));
  EXPECT_THAT(Words("afmoe", "a12345"), ElementsAre("a", "12", "345"));
}

}  // namespace
}  // namespace lutdb
