// The pipeline of tokenizers: normalisation, words, models, decoding, each on a small vocabulary
// whose answers can be worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "engine/tokenizer.h"

namespace lutdb {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;

TokenizerStep Step(TokenizerStepKind kind, std::string pattern = "", std::string text = "",
                   uint8_t option = 0) {
  return {.kind = kind, .option = option, .pattern = std::move(pattern), .text = std::move(text)};
}

std::string Normalized(std::vector<TokenizerStep> steps, std::string_view text,
                       bool at_start = true) {
  const auto normalizer = Normalizer::Create(steps);
  EXPECT_TRUE(normalizer.ok()) << normalizer.status();
  return *normalizer->Apply(text, at_start);
}

Words Split(std::vector<TokenizerStep> steps, std::string text, bool at_start = true) {
  const auto splitter = Splitter::Create(steps);
  EXPECT_TRUE(splitter.ok()) << splitter.status();
  const auto split = *splitter->Split(std::move(text), at_start);
  Words words;
  for (const auto& word : split.words) {
    words.push_back(split.text.substr(word.begin, word.end - word.begin));
  }
  return words;
}

TEST(Normalizer, NormalForms) {
  const std::string composed = "\xC3\xA9", apart = "e\xCC\x81";  // e with an acute accent
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kNfc)}, apart), composed);
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kNfd)}, composed), apart);
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kNfkc)}, "\xEF\xAC\x81"), "fi");  // a ligature
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kNfc)}, "\xEF\xAC\x81"), "\xEF\xAC\x81");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kNfd), Step(TokenizerStepKind::kStripMarks)},
                       "C\xC3\xA9zanne"),
            "Cezanne");
}

TEST(Normalizer, LowercaseIsUnicode) {
  // Capital E with acute, Greek capital sigma, capital I with a dot (which becomes two characters).
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kLowercase)}, "A\xC3\x89\xCE\xA3\xC4\xB0"),
            "a\xC3\xA9\xCF\x83i\xCC\x87");
}

TEST(Normalizer, TextOfBert) {
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kCleanText)},
                       std::string("a\0b\tc\xEF\xBF\xBD\xC2\xA0", 10) + "d"),
            "ab c d");
  // Unassigned U+FB42 stays, U+E000 of the private use area goes: as in Hugging Face's tokenizers.
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kCleanText)}, "x\xEF\xAD\x82\xEE\x80\x80y"),
            "x\xEF\xAD\x82y");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kSpaceIdeographs)}, "a\xE4\xB8\x80z"),
            "a \xE4\xB8\x80 z");
}

TEST(Normalizer, StripsPrependsReplaces) {
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kStrip, "", "", 3)}, "\t \xE3\x80\x80x \n"), "x");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kStrip, "", "", 1)}, "  x  "), "x  ");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kPrepend, "", "_")}, "x"), "_x");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kPrepend, "", "_")}, ""), "");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kPrepend, "", "_", 1)}, "x", false), "x");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kReplace, "ab", "c")}, "aabab"), "acc");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kReplaceExpression, " {2,}", " ")}, "a   b  c d"),
            "a b c d");
  EXPECT_EQ(Normalized({Step(TokenizerStepKind::kReplaceExpression, "x*", "-")}, "axb"), "-a-b-");
}

TEST(Splitter, BehavioursOfMatches) {
  const auto split = [](SplitBehavior behavior, bool inverted = false) {
    TokenizerStep step = Step(TokenizerStepKind::kSplit, "-", "", static_cast<uint8_t>(behavior));
    step.inverted = inverted;
    return Split({step}, "the-final--countdown");
  };
  EXPECT_THAT(split(SplitBehavior::kIsolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kRemoved), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kMergedWithPrevious),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kMergedWithNext),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(SplitBehavior::kContiguous),
              ElementsAre("the", "-", "final", "--", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kRemoved, true), ElementsAre("-", "-", "-"));
}

TEST(Splitter, StepsSplitWhatIsLeft) {
  EXPECT_THAT(Split({Step(TokenizerStepKind::kSplit, "\\p{N}"),
                     Step(TokenizerStepKind::kSplit, " ?\\p{L}+")},
                    "ab 12c d"),
              ElementsAre("ab", " ", "1", "2", "c", " d"));
  // Looking ahead ends where the word does.
  EXPECT_THAT(
      Split({Step(TokenizerStepKind::kSplit, "b"), Step(TokenizerStepKind::kSplit, "a(?!b)")},
            "aab"),
      ElementsAre("a", "a", "b"));
  // Empty matches split, too.
  EXPECT_THAT(Split({Step(TokenizerStepKind::kSplit, "(?=(\\d{3})+(?!\\d))")}, "1234567"),
              ElementsAre("1", "234", "567"));
  EXPECT_THAT(Split({Step(TokenizerStepKind::kSplit, "a")}, ""), IsEmpty());
}

TEST(Splitter, Metaspace) {
  EXPECT_THAT(Split({Step(TokenizerStepKind::kMetaspace, "", "_")}, "Hey  you"),
              ElementsAre("_Hey", "_", "_you"));
  EXPECT_THAT(Split({Step(TokenizerStepKind::kMetaspace, "", "_", 1)}, "Hey you", false),
              ElementsAre("Hey", "_you"));
  EXPECT_THAT(Split({Step(TokenizerStepKind::kPrefixSpace)}, "a"), ElementsAre(" a"));
}

TEST(Splitter, BrokenExpressionsAreRefused) {
  const auto status = Splitter::Create({Step(TokenizerStepKind::kSplit, "a(b")}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("a(b"));
}

std::unique_ptr<Tokenizer> Make(TokenizerSpec spec) {
  EXPECT_TRUE(ValidateTokenizer(spec).ok()) << ValidateTokenizer(spec);
  auto tokenizer = Tokenizer::Create(std::move(spec));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return std::move(*tokenizer);
}

TokenizerSpec MergeSpec() {
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kMergeBpe;
  spec.tokens = {"a", "b", "c", "ab", "bc", "abc", "<s>", "<0xE2>", "<0x82>", "<0xAC>", "?"};
  spec.merges = {1, 2, 4, 0, 1, 3, 0, 4, 5};  // b c, a b, a bc
  spec.added = {{.id = 6, .text = "<s>", .special = true}};
  return spec;
}

TEST(MergeBpe, RanksDecide) {
  TokenizerSpec spec = MergeSpec();
  EXPECT_THAT(*Make(spec)->Encode("abc"), ElementsAre(5));
  EXPECT_THAT(*Make(spec)->Encode("abab"), ElementsAre(3, 3));
  spec.merges = {0, 1, 3, 1, 2, 4, 0, 4, 5};  // a b first: nothing merges ab with c
  EXPECT_THAT(*Make(spec)->Encode("abc"), ElementsAre(3, 2));
  spec.ignore_merges = true;
  EXPECT_THAT(*Make(spec)->Encode("abc"), ElementsAre(5));
}

TEST(MergeBpe, CharactersWithoutTokens) {
  TokenizerSpec spec = MergeSpec();
  EXPECT_TRUE(absl::IsInvalidArgument(Make(spec)->Encode("a\xE2\x82\xAC").status()));
  spec.unknown = 10;
  EXPECT_THAT(*Make(spec)->Encode("xya"), ElementsAre(10, 10, 0));
  spec.fuse_unknown = true;
  EXPECT_THAT(*Make(spec)->Encode("xya"), ElementsAre(10, 0));
  spec.byte_fallback = true;
  EXPECT_THAT(*Make(spec)->Encode("a\xE2\x82\xAC"), ElementsAre(0, 7, 8, 9));
  EXPECT_EQ(*Make(spec)->Decode({0, 7, 8, 9}), "a\xE2\x82\xAC");
}

TEST(AddedTokens, SpecialOnesCanBeLeftAsText) {
  const auto tokenizer = Make(MergeSpec());
  EXPECT_THAT(*tokenizer->Encode("ab<s>c"), ElementsAre(3, 6, 2));
  EXPECT_TRUE(
      absl::IsInvalidArgument(tokenizer->Encode("ab<s>c", {.parse_special = false}).status()));
  EXPECT_EQ(*tokenizer->Decode({3, 6, 2}), "abc");
}

TEST(AddedTokens, StripAndStandAlone) {
  TokenizerSpec spec = MergeSpec();
  spec.tokens.push_back(" ");
  spec.added = {{.id = 6, .text = "M", .strip_left = true, .strip_right = true},
                {.id = 5, .text = "MM"}};
  EXPECT_THAT(*Make(spec)->Encode("a  M  b"), ElementsAre(0, 6, 1));
  EXPECT_THAT(*Make(spec)->Encode("aMMMb"), ElementsAre(0, 5, 6, 1));  // the longest first
  spec.added = {{.id = 6, .text = "ab", .single_word = true}};
  EXPECT_THAT(*Make(spec)->Encode("ab abc"), ElementsAre(6, 11, 5));
}

TEST(Tokenizer, PrefixAndSuffixCanBeLeftOut) {
  TokenizerSpec spec = MergeSpec();
  spec.prefix = {6};
  spec.suffix = {10};
  EXPECT_THAT(*Make(spec)->Encode("a"), ElementsAre(6, 0, 10));
  EXPECT_THAT(*Make(spec)->Encode(""), ElementsAre(6, 10));
  EXPECT_THAT(*Make(spec)->Encode("a", {.add_special = false}), ElementsAre(0));
}

TEST(Unigram, TheBestTotalWins) {
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kUnigram;
  spec.tokens = {"<unk>", "a", "b", "ab", "abc", "c"};
  spec.scores = {0, -1, -1, -1.5f, -4, -1};
  spec.unknown = 0;
  EXPECT_THAT(*Make(spec)->Encode("abc"), ElementsAre(3, 5));  // -2.5 over -3 and -4
  spec.scores[4] = -2;
  EXPECT_THAT(*Make(spec)->Encode("abc"), ElementsAre(4));
  EXPECT_THAT(*Make(spec)->Encode("axyb"), ElementsAre(1, 0, 0, 2));
  spec.fuse_unknown = true;
  EXPECT_THAT(*Make(spec)->Encode("axyb"), ElementsAre(1, 0, 2));
}

TEST(WordPiece, LongestFirstOrUnknown) {
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kWordPiece;
  spec.tokens = {"[UNK]", "un", "##aff", "##able", "unaf", "runn", "##ing", "."};
  spec.unknown = 0;
  spec.continuing = "##";
  spec.separator = " ";
  spec.clean_up = true;
  spec.splits = {Step(TokenizerStepKind::kSplit, "\\s+", "", 1),
                 Step(TokenizerStepKind::kSplit, "[.]")};
  // "unaf" is longer than "un", and then nothing goes on: the whole word is unknown.
  EXPECT_THAT(*Make(spec)->Encode("unaffable running."), ElementsAre(0, 5, 6, 7));
  spec.tokens[4] = "x";
  EXPECT_THAT(*Make(spec)->Encode("unaffable"), ElementsAre(1, 2, 3));
  EXPECT_EQ(*Make(spec)->Decode({1, 2, 3, 5, 6, 7}), "unaffable running.");
  spec.word_chars_max = 5;
  EXPECT_THAT(*Make(spec)->Encode("unaffable"), ElementsAre(0));
}

TEST(TokenDecoder, NeverGivesOutHalfACharacter) {
  TokenizerSpec spec;
  spec.kind = TokenizerKind::kMergeBpe;
  spec.byte_level = true;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.emplace_back(1, static_cast<char>(byte));
  const auto tokenizer = Make(spec);
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  TokenDecoder decoder(*tokenizer);
  std::string out;
  const std::vector<int32_t> tokens = *tokenizer->Encode(text);
  for (const int32_t token : tokens) {
    ASSERT_TRUE(decoder.Push(token, &out).ok());
    EXPECT_TRUE(IsUtf8(out)) << out.size();
  }
  decoder.Finish(&out);
  EXPECT_EQ(out, text);
}

TEST(TokenDecoder, SpacesWhereTheTextBegins) {
  TokenizerSpec spec = MergeSpec();
  spec.tokens[0] = "_a";
  spec.tokens[1] = "_b";
  spec.decoders = {Step(TokenizerStepKind::kReplace, "_", " ")};
  spec.strip_start = 1;
  EXPECT_EQ(*Make(spec)->Decode({0, 1, 2}), "a bc");
  EXPECT_EQ(*Make(spec)->Decode({6, 0}), "a");
  spec.word_end = "c";
  EXPECT_EQ(*Make(spec)->Decode({3, 4, 3}), "abb ab");  // "ab", "bc", "ab"; c ends a word
}

TEST(Tokenizer, BadCharacterMapsAreRefused) {
  TokenizerSpec spec = MergeSpec();
  spec.normalizers = {Step(TokenizerStepKind::kCharsMap, std::string("\xFF\0\0\0abcd", 8))};
  EXPECT_TRUE(absl::IsDataLoss(Tokenizer::Create(spec).status()));
}

// A megabyte without a single break, and one of words: neither may be quadratic.
TEST(Tokenizer, AMegabyteTakesAboutASecond) {
  TokenizerSpec spec = MergeSpec();
  spec.tokens.push_back(" ");
  const std::string unbroken(1 << 20, 'a');
  std::string words;
  while (words.size() < unbroken.size()) words += "abc ab c ";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Make(spec)->Encode(unbroken)->size(), unbroken.size());
  EXPECT_GT(Make(spec)->Encode(words)->size(), words.size() / 3);
  spec.splits = {Step(TokenizerStepKind::kSplit, " ?\\p{L}+|\\s+(?!\\S)|\\s+")};
  EXPECT_GT(Make(spec)->Encode(words)->size(), words.size() / 3);
  // Generous, for sanitizers and busy machines; quadratic work would take hours.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace lutdb
