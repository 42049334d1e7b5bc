// Tokenizer files: what they are lowered to, and what is said about bad ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/regex.h"
#include "base/status.h"
#include "ingest/byte_alphabet.h"
#include "ingest/tokenizer_expressions.h"
#include "ingest/tokenizer_file.h"
#include "ingest/tokenizer_sentencepiece.h"
#include "tests/scratch_directory.h"

namespace lutdb {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TokenizerReader : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = scratch_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  absl::StatusOr<TokenizerSpec> Read(const std::string& json, uint32_t vocabulary = 0) {
    return ReadTokenizerFile(Write("tokenizer.json", json), vocabulary);
  }
  void ExpectRefused(const std::string& json, const char* part, absl::StatusCode code) {
    const absl::Status status = Read(json).status();
    EXPECT_EQ(status.code(), code) << json << "\n" << status;
    EXPECT_THAT(Message(status), HasSubstr(part)) << json;
    EXPECT_EQ(Message(status).find('\n'), std::string::npos);
  }
  ScratchDirectory scratch_;
};

// A byte-level BPE; %s: more members.
std::string Bpe(const std::string& members, const std::string& model = "") {
  return R"({"version":"1.0",)" + members + R"("model":{"type":"BPE",)" + model +
         R"("vocab":{"a":0,"b":1,"\u0120":2,"ab":3,"\u0120ab":4},)"
         R"("merges":["a b",["\u0120","ab"]]}})";
}

TEST_F(TokenizerReader, ByteLevelBpe) {
  const auto spec =
      Read(Bpe(R"("added_tokens":[{"id":5,"content":"<|end|>","special":true,"normalized":false}],
             "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
             "decoder":{"type":"ByteLevel"},)"));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kind, TokenizerKind::kMergeBpe);
  EXPECT_TRUE(spec->byte_level);
  EXPECT_THAT(spec->tokens, ElementsAre("a", "b", " ", "ab", " ab", "<|end|>"));
  EXPECT_THAT(spec->merges, ElementsAre(0, 1, 3, 2, 3, 4));
  ASSERT_EQ(spec->splits.size(), 1u);
  EXPECT_EQ(spec->splits[0].pattern, kGpt2Expression);
  ASSERT_EQ(spec->added.size(), 1u);
  EXPECT_TRUE(spec->added[0].special);
}

TEST_F(TokenizerReader, TemplatesGivePrefixAndSuffix) {
  const auto spec = Read(Bpe(
      R"("post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},
           {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a","type_id":0}},
             {"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"b","type_id":0}}],
            "pair":[],"special_tokens":{"a":{"id":"a","ids":[0],"tokens":["a"]},
             "b":{"id":"b","ids":[1,3],"tokens":["b","ab"]}}}]},)"));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->prefix, ElementsAre(0));
  EXPECT_THAT(spec->suffix, ElementsAre(1, 3));
  EXPECT_EQ(spec->bos, 0u);
}

TEST_F(TokenizerReader, ConfigNamesBeginAndEnd) {
  Write("tokenizer_config.json",
        R"({"bos_token":"a","eos_token":{"content":"b"},"add_bos_token":true})");
  const auto spec = Read(Bpe(""));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->bos, 0u);
  EXPECT_EQ(spec->eos, 1u);
  EXPECT_THAT(spec->prefix, ElementsAre(0));
}

TEST_F(TokenizerReader, MalformedFilesAreRefusedInOneLine) {
  constexpr auto kBad = absl::StatusCode::kDataLoss;
  constexpr auto kNew = absl::StatusCode::kUnimplemented;
  EXPECT_THAT(Message(ReadTokenizerFile(Write("x", "root:x:0:0"), 0).status()),
              HasSubstr("no tokenizer that lutdb knows"));
  ExpectRefused("{", "not valid JSON", kBad);
  ExpectRefused("{}", "no model", kBad);
  ExpectRefused(R"({"model":"x"})", "model must be an object", kBad);
  std::string nested = R"({"model":)";
  for (int i = 0; i < 100000; ++i) nested += "[";
  ExpectRefused(nested, "nested deeper", kBad);
  ExpectRefused(R"({"model":{"type":"WordLevel","vocab":{}}})", "BPE, Unigram and WordPiece", kNew);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{},"merges":[]}})", "not empty", kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})", "no number from 0",
                kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":4000000},"merges":[]}})", "far beyond",
                kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}})", "same id", kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}})",
                "needs the token \"ab\"", kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})", "no merge", kBad);
  ExpectRefused(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[3]}})", "no pair", kBad);
  ExpectRefused(Bpe("", R"("dropout":0.1,)"), "dropout", kNew);
  ExpectRefused(Bpe("", R"("unk_token":"zz",)"), "not in the vocabulary", kBad);
  ExpectRefused(R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "no pair", kBad);
  ExpectRefused(R"({"model":{"type":"WordPiece","vocab":{"a":0}}})", "unk_token", kBad);
  ExpectRefused(Bpe(R"("added_tokens":[{"id":1}],)"), "content is missing", kBad);
  ExpectRefused(Bpe(R"("added_tokens":[{"id":99999999,"content":"x"}],)"), "id must be", kBad);
  ExpectRefused(Bpe(R"("normalizer":{"type":"Rot13"},)"), "known are Sequence, NFC", kNew);
  ExpectRefused(Bpe(R"("pre_tokenizer":{"type":"UnicodeScripts"},)"), "known are", kNew);
  ExpectRefused(Bpe(R"("decoder":{"type":"CTC"},)"), "known are", kNew);
  ExpectRefused(Bpe(R"("post_processor":{"type":"Other"},)"), "known are", kNew);
  ExpectRefused(Bpe(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"$$"},)"),
                "base64", kBad);
  ExpectRefused(
      Bpe(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"a(b"},"behavior":"Isolated"},)"),
      "a(b", kBad);
  ExpectRefused(
      Bpe(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Sideways"},)"),
      "Isolated, Removed", kBad);
}

TEST_F(TokenizerReader, VocabulariesThatContradictTheModel) {
  EXPECT_TRUE(Read(Bpe(""), 5).ok());
  const auto padded = Read(Bpe(""), 64);  // models round up
  ASSERT_TRUE(padded.ok());
  EXPECT_EQ(padded->tokens.size(), 64u);
  for (const uint32_t vocabulary : {4u, 32000u}) {
    const absl::Status status = Read(Bpe(""), vocabulary).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(Message(status), HasSubstr("holds 5 tokens, but the model's vocabulary has"));
  }
}

TEST_F(TokenizerReader, VocabAndMergesOfGpt2) {
  const std::string path =
      Write("x-vocab.json", R"({"a":0,"b":1,"ab":2,"<|endoftext|>":3,"model":4})");
  EXPECT_TRUE(absl::IsNotFound(ReadTokenizerFile(path, 0).status()));
  Write("x-merges.txt", "#version: 0.2\na b\n");
  const auto spec = ReadTokenizerFile(path, 0);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->merges, ElementsAre(0, 1, 2));
  EXPECT_EQ(spec->eos, 3u);
}

void AppendField(uint32_t number, const std::string& bytes, std::string* out) {
  out->push_back(static_cast<char>(number << 3 | 2));
  out->push_back(static_cast<char>(bytes.size()));
  *out += bytes;
}

std::string Piece(const std::string& text, float score, char type) {
  std::string piece, out;
  AppendField(1, text, &piece);
  piece.push_back(2 << 3 | 5);
  piece.append(reinterpret_cast<const char*>(&score), 4);
  piece += {3 << 3, type};
  AppendField(1, piece, &out);
  return out;
}

TEST_F(TokenizerReader, SentencePieceModels) {
  std::string model = Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3) +
                      Piece(
                          "\xE2\x96\x81"
                          "a",
                          -1, 1) +
                      Piece("<0x41>", 0, 6);
  AppendField(2, {3 << 3, 2}, &model);  // trainer_spec: model_type BPE
  const auto spec = ReadTokenizerFile(Write("tokenizer.model", model), 0);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kind, TokenizerKind::kSentenceBpe);
  EXPECT_THAT(spec->tokens, ElementsAre("<unk>", "<s>", "</s>", " a", "<0x41>"));
  EXPECT_THAT(spec->prefix, ElementsAre(1));
  EXPECT_EQ(spec->unknown, 0u);
  std::string other = Piece("a", 0, 1);
  AppendField(2, {3 << 3, 4}, &other);
  EXPECT_TRUE(absl::IsUnimplemented(ParseSentencePieceModel(other, "m").status()));
  for (size_t length = 0; length < model.size(); ++length) {
    // Cut anywhere: an error or a smaller model, never more.
    const auto cut = ParseSentencePieceModel(model.substr(0, length), "m");
    EXPECT_LE(cut.ok() ? cut->tokens.size() : 0, 5u);
  }
  EXPECT_TRUE(absl::IsDataLoss(ParseSentencePieceModel("", "m").status()));
}

TEST(ByteAlphabet, StandsForAllBytes) {
  std::string bytes;
  ASSERT_TRUE(FromByteAlphabet("a\xC4\xA0\xC4\x8A\xC5\x83\xC3\xBF", &bytes));
  EXPECT_EQ(bytes, std::string("a \n\xAD\xFF"));
  EXPECT_FALSE(FromByteAlphabet(" ", &bytes));
  EXPECT_FALSE(FromByteAlphabet("\xE2\x96\x81", &bytes));
  EXPECT_FALSE(FromByteAlphabet("\xC4", &bytes));
}

TEST(NamedSplits, AllCompileAndNamesAreUnique) {
  std::vector<std::string> names;
  for (const NamedSplit& split : NamedSplits()) {
    for (const char* expression : split.expressions) {
      EXPECT_TRUE(Regex::Compile(expression).ok())
          << split.names[0] << ": " << Regex::Compile(expression).status();
    }
    names.insert(names.end(), split.names.begin(), split.names.end());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
  EXPECT_GT(names.size(), 60u);
  EXPECT_EQ(FindNamedSplit("nobody"), nullptr);
}

}  // namespace
}  // namespace lutdb
