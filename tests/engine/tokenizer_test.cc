#include "engine/tokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "base/status.h"

namespace lutdb {
namespace {

TokenizerSpec SmallSpec() {
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kScoreBpe;
  spec.bos = 1;
  spec.eos = 2;
  spec.unknown = 0;
  const auto add = [&](std::string token, float score) {
    spec.tokens.push_back(std::move(token));
    spec.scores.push_back(score);
  };
  add("<unk>", 0);
  add("\n<s>\n", 0);
  add("\n</s>\n", 0);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), 0);
  for (const char* token : {" ", "a", "b", "c", "\xC3\xA9"}) add(token, -100);
  add("ab", -2);
  add("bc", -1);
  add("aa", -3);
  add(" a", -5);
  add("abc", -4);
  add("aaaa", -1);
  return spec;
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, std::string_view text) {
  const auto tokens = tokenizer.Encode(text);
  EXPECT_TRUE(tokens.ok()) << Message(tokens.status());
  std::vector<std::string> pieces;
  for (const int32_t token : *tokens) pieces.push_back(tokenizer.spec().tokens[token]);
  return pieces;
}

// The rule as it is usually written: scan for the best pair, merge it, begin again.
std::vector<int32_t> SlowMerge(const TokenizerSpec& spec, std::vector<int32_t> tokens) {
  while (true) {
    float best_score = -1e10f;
    int best = -1;
    int32_t merged = -1;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const std::string joined = spec.tokens[tokens[i]] + spec.tokens[tokens[i + 1]];
      for (size_t id = 0; id < spec.tokens.size(); ++id) {
        if (spec.tokens[id] == joined && spec.scores[id] > best_score) {
          best_score = spec.scores[id];
          best = static_cast<int>(i);
          merged = static_cast<int32_t>(id);
        }
      }
    }
    if (best < 0) return tokens;
    tokens[best] = merged;
    tokens.erase(tokens.begin() + best + 1);
  }
}

TEST(Tokenizer, EmptyTextIsBosAlone) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(*tokenizer.Encode(""), std::vector<int32_t>{1});
}

TEST(Tokenizer, MergesTheBestPairFirst) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  // "bc" scores more than "ab", so "abc" is reached through neither order but a + bc.
  EXPECT_EQ(Pieces(tokenizer, "abc"), (std::vector<std::string>{"\n<s>\n", " ", "abc"}));
  EXPECT_EQ(Pieces(tokenizer, "ab"), (std::vector<std::string>{"\n<s>\n", " ", "ab"}));
}

TEST(Tokenizer, LeftmostPairWinsTies) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(Pieces(tokenizer, "aaa"), (std::vector<std::string>{"\n<s>\n", " ", "aa", "a"}));
}

TEST(Tokenizer, UnknownCharactersBecomeBytes) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(Pieces(tokenizer, "\xC3\xA9\xE2\x82\xAC"),
            (std::vector<std::string>{"\n<s>\n", " ", "\xC3\xA9", "<0xE2>", "<0x82>", "<0xAC>"}));
}

TEST(Tokenizer, WithoutByteTokensTheUnknownTokenStands) {
  TokenizerSpec spec = SmallSpec();
  spec.tokens[3 + 0x82] = "<gone>";
  const auto owner = *Tokenizer::Create(spec);
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(Pieces(tokenizer, "\xE2\x82\xAC"), (std::vector<std::string>{"\n<s>\n", " ", "<unk>"}));
  spec.unknown = kNone;
  const auto refusing_owner = *Tokenizer::Create(spec);
  const Tokenizer& refusing = *refusing_owner;
  EXPECT_TRUE(absl::IsInvalidArgument(refusing.Encode("\xE2\x82\xAC").status()));
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  for (const char* text : {"\xFF", "a\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(tokenizer.Encode(text).status())) << text;
  }
}

TEST(Tokenizer, AgreesWithTheRuleOnRandomText) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t n = random() % 40; n > 0; --n) text.push_back("aaabbc "[random() % 7]);
    if (text.empty()) continue;
    std::vector<int32_t> expected{259};  // the space before the text
    for (const char c : text) expected.push_back(c == ' ' ? 259 : 260 + (c - 'a'));
    expected = SlowMerge(tokenizer.spec(), expected);
    expected.insert(expected.begin(), 1);
    EXPECT_EQ(*tokenizer.Encode(text), expected) << text;
  }
}

TEST(Tokenizer, DecodingUndoesEncoding) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  for (const std::string text : {"", "abc", " leading", "caf\xC3\xA9 \xE2\x82\xAC\n", "  two"}) {
    EXPECT_EQ(*tokenizer.Decode(*tokenizer.Encode(text)), text);
  }
}

TEST(Tokenizer, OnlyTheSpaceAfterBosIsDropped) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(*tokenizer.Decode({259, 260}), " a");
  EXPECT_EQ(*tokenizer.Decode({1, 259, 260}), "a");
  EXPECT_EQ(*tokenizer.Decode({1, 260, 259, 260}), "a a");
}

TEST(Tokenizer, BytesThatAreNoCharacterBecomeTheReplacement) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_EQ(*tokenizer.Decode({3 + 0xE2, 3 + 0x82, 260}),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(*tokenizer.Decode({260, 3 + 0xE2}), "a\xEF\xBF\xBD");
}

TEST(Tokenizer, RefusesUnknownIds) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  EXPECT_TRUE(absl::IsOutOfRange(tokenizer.Decode({-1}).status()));
  EXPECT_TRUE(absl::IsOutOfRange(tokenizer.Decode({100000}).status()));
  const auto absent_owner = *Tokenizer::Create({});
  const Tokenizer& absent = *absent_owner;
  EXPECT_TRUE(absl::IsFailedPrecondition(absent.Encode("a").status()));
}

TEST(Tokenizer, LongTextIsNotQuadratic) {
  const auto owner = *Tokenizer::Create(SmallSpec());
  const Tokenizer& tokenizer = *owner;
  const std::string text(400000, 'a');
  EXPECT_EQ(tokenizer.Encode(text)->size(), 2 + 100000u);  // BOS, space, "aaaa" each
}

}  // namespace
}  // namespace lutdb
