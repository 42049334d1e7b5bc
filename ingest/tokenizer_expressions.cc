#include "ingest/tokenizer_expressions.h"

#include <utility>

namespace lutdb {

// Pieces that the expressions share.
#define LUTDB_CONTRACTIONS R"re((?i:'s|'t|'re|'ve|'m|'ll|'d))re"
#define LUTDB_LINES_AND_SPACES R"re(|\s*[\r\n]+|\s+(?!\S)|\s+)re"
#define LUTDB_SPACES R"re(|\s+(?!\S)|\s+)re"
#define LUTDB_LETTERS R"re([^\r\n\p{L}\p{N}]?\p{L}+)re"
#define LUTDB_SIGNS R"re(| ?[^\s\p{L}\p{N}]+[\r\n]*)re"
#define LUTDB_SIGNS_OR_SLASH R"re(| ?[^\s\p{L}\p{N}]+[\r\n/]*)re"
#define LUTDB_UPPER R"re([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])re"
#define LUTDB_LOWER R"re([\p{Ll}\p{Lm}\p{Lo}\p{M}])re"
#define LUTDB_NO_HAN R"re((?:(?!\p{Han}))re"
#define LUTDB_PUNCTUATION R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])re"
// Words that begin with capitals or go on in small letters, then what may follow them.
#define LUTDB_CASED(upper, lower, tail)                                                   \
  R"re([^\r\n\p{L}\p{N}]?)re" upper "*" lower "+" tail R"re(|[^\r\n\p{L}\p{N}]?)re" upper \
  "+" lower "*" tail
#define LUTDB_GPT4O                                             \
  LUTDB_CASED(LUTDB_UPPER, LUTDB_LOWER, LUTDB_CONTRACTIONS "?") \
  R"re(|\p{N}{1,3})re" LUTDB_SIGNS_OR_SLASH LUTDB_LINES_AND_SPACES
#define LUTDB_LLAMA3 \
  LUTDB_CONTRACTIONS "|" LUTDB_LETTERS R"re(|\p{N}{1,3})re" LUTDB_SIGNS LUTDB_LINES_AND_SPACES
#define LUTDB_QWEN2 \
  LUTDB_CONTRACTIONS "|" LUTDB_LETTERS R"re(|\p{N})re" LUTDB_SIGNS LUTDB_LINES_AND_SPACES
#define LUTDB_KANA R"re([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)re"
#define LUTDB_SIGNS_AND_SYMBOLS R"re(| ?[\p{P}\p{S}]+[\r\n]*)re" LUTDB_LINES_AND_SPACES
#define LUTDB_DEEPSEEK3 \
  LUTDB_PUNCTUATION     \
  R"re([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)re" LUTDB_SIGNS_AND_SYMBOLS
#define LUTDB_WORDS_OF_BLOOM \
  R"re( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)re"
#define LUTDB_OLD_CJK R"re([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)re"

const char kGpt2Expression[] =
    R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)re" LUTDB_SPACES;

namespace {

// The letters with case that DeepSeek-LLM lists one by one.
constexpr char kDeepSeekLetters[] =
    R"re(\s?[)re"
    R"re(A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf})re"
    R"re(\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d})re"
    R"re(\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5})re"
    R"re(\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5})re"
    R"re(\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b})re"
    R"re(\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d})re"
    R"re(\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d})re"
    R"re(\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4})re"
    R"re(\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec})re"
    R"re(\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115})re"
    R"re(\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134})re"
    R"re(\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184})re"
    R"re(\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3})re"
    R"re(\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787})re"
    R"re(\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17})re"
    R"re(\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3})re"
    R"re(\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df})re"
    R"re(\x{1e900}-\x{1e943})re"
    R"re(]+)re";

constexpr char kKimiWords[] = R"re(\p{Han}+|)re" LUTDB_CASED(
    LUTDB_NO_HAN LUTDB_UPPER ")", LUTDB_NO_HAN LUTDB_LOWER ")",
    LUTDB_CONTRACTIONS "?") R"re(|\p{N}{1,3})re" LUTDB_SIGNS LUTDB_LINES_AND_SPACES;

// Arcee's list of scripts that are written without spaces.
constexpr char kAfmoeScripts[] =
    R"re([\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{8c48}-\x{faff}\x{3040}-\x{30ff}\x{ff65}-\x{ff9f})re"
    R"re(\x{2f00}-\x{2fdf}\x{e40}-\x{eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}\x{aa60}-\x{aa7f})re"
    R"re(\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+)re";

constexpr char kYoutuScripts[] =
    R"re([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+|[\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019})re"
    R"re(\x{2014}\x{ff1a}\x{ff1b}\x{ff0c}\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+)re"
    R"re(|[\x{3105}-\x{312f}]+|[\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+)re";

// Whitespace in halving runs, as Jais-2 has it.
constexpr char kJais2[] = LUTDB_CONTRACTIONS
    "|" LUTDB_LETTERS R"re(|\p{N}{1,3})re" LUTDB_SIGNS
    R"re(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S))re"
    R"re(|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})re";

const NamedSplit kNamedSplits[] = {
    {.names = {"default"},
     .expressions = {R"re([\p{P}\$\+<=>\^~\|]+)re", kGpt2Expression, R"re(\p{N}+)re",
                     "[0-9][0-9][0-9]"}},
    {.names = {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
               "lfm2", "jina-v5-nano"},
     .expressions = {LUTDB_LLAMA3},
     .ignore_merges = true,
     .add_bos = true},
    {.names = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, .expressions = {LUTDB_LLAMA3}},
    {.names = {"jais-2"}, .expressions = {kJais2}},
    {.names = {"deepseek-llm"},
     .expressions = {"[\r\n]", kDeepSeekLetters,
                     R"re(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f})re"
                     R"re(\x{3000}-\x{3002}]+)re",
                     R"re(\s+$)re", LUTDB_OLD_CJK, R"re(\p{N}+)re"}},
    {.names = {"deepseek-coder"},
     .expressions = {"[\r\n]", R"re(\s?\p{L}+)re", R"re(\s?\p{P}+)re", LUTDB_OLD_CJK,
                     R"re(\p{N})re"}},
    {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     .expressions = {R"re(\p{N}{1,3})re", LUTDB_KANA, LUTDB_DEEPSEEK3}},
    {.names = {"spark2_5"},
     .expressions = {R"re(\p{N}{1,3})re", LUTDB_KANA,
                     LUTDB_PUNCTUATION
                     R"re([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+)re"
                     R"re(|[\r\n])re" LUTDB_SPACES,
                     R"re(\p{N})re"}},
    {.names = {"youtu"},
     .expressions = {kYoutuScripts,
                     LUTDB_CASED(LUTDB_UPPER, LUTDB_LOWER,
                                 LUTDB_CONTRACTIONS
                                 "?") R"re(|\p{N})re" LUTDB_SIGNS_OR_SLASH LUTDB_LINES_AND_SPACES},
     .ignore_merges = true},
    {.names = {"falcon"},
     .expressions = {R"re([\p{P}\$\+<=>\^~\|`]+)re", kGpt2Expression, "[0-9][0-9][0-9]"}},
    {.names = {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
               "mellum2"},
     .expressions = {R"re(\p{N})re", kGpt2Expression}},
    {.names = {"gpt-2",           "gpt2",       "phi-2",      "jina-es",      "jina-de",
               "gigachat",        "jina-v2-es", "jina-v2-de", "a.x-4.0",      "mellum",
               "modern-bert",     "mpt",        "olmo",       "jais",         "trillion",
               "granite-docling", "exaone4",    "jina-v1-en", "jina-v2-code", "roberta-bpe"},
     .expressions = {kGpt2Expression}},
    {.names = {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
               "solar-open", "grok-2"},
     .expressions = {LUTDB_QWEN2}},
    {.names = {"qwen35"},
     .expressions = {LUTDB_CONTRACTIONS
                     R"re(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})re"
                     R"re(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)re" LUTDB_LINES_AND_SPACES}},
    {.names = {"poro-chat", "bloom", "gpt3-finnish"}, .expressions = {LUTDB_WORDS_OF_BLOOM}},
    {.names = {"viking"}, .expressions = {LUTDB_WORDS_OF_BLOOM, R"re(\p{N})re"}},
    {.names = {"tekken"},
     .expressions = {LUTDB_CASED(LUTDB_UPPER, LUTDB_LOWER,
                                 "") R"re(|\p{N})re" LUTDB_SIGNS_OR_SLASH LUTDB_LINES_AND_SPACES},
     .ignore_merges = true,
     .add_bos = true},
    {.names = {"chameleon"},
     .expressions = {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"re([\t\n]|    |  )re",
                     R"re(\p{N})re", R"re([\p{P}!-/:-@\[-`{-~])re", kGpt2Expression},
     .add_bos = true},
    {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
     .expressions = {LUTDB_GPT4O}},
    {.names = {"granite-embed-multi-97m"}, .expressions = {LUTDB_GPT4O}, .ignore_merges = true},
    {.names = {"tiny_aya", "cohere2moe"},
     .expressions = {R"re(\d{1,3}(?=(?:\d{3})*\b))re", LUTDB_GPT4O}},
    {.names = {"kimi-k2"}, .expressions = {kKimiWords}},
    {.names = {"superbpe"}, .expressions = {R"re(\p{N}+)re", R"re((?=(\d{3})+(?!\d)))re"}},
    {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
     .expressions = {R"re('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N})re"
                     R"re(| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n])re" LUTDB_SPACES}},
    {.names = {"seed-coder"},
     .expressions = {LUTDB_CONTRACTIONS
                     "|" LUTDB_LETTERS
                     R"re(|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)re" LUTDB_LINES_AND_SPACES}},
    {.names = {"ufakzeka"},
     .expressions = {LUTDB_LETTERS R"re(|\p{N})re" LUTDB_SIGNS LUTDB_LINES_AND_SPACES}},
    {.names = {"afmoe"},
     .expressions = {R"re(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))re", kAfmoeScripts,
                     LUTDB_DEEPSEEK3}},
    {.names = {"laguna"}, .expressions = {R"re([^\n]+|\n+)re", LUTDB_QWEN2}},
    {.names = {"exaone-moe"},
     .expressions = {LUTDB_CONTRACTIONS
                     R"re(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})re"
                     R"re(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n])re" LUTDB_SPACES}},
    {.names = {"minicpm5"},
     .expressions = {R"re(\p{N}{1,3})re", LUTDB_CONTRACTIONS
                     "|" LUTDB_LETTERS R"re(|\p{N}+)re" LUTDB_SIGNS LUTDB_LINES_AND_SPACES},
     .ignore_merges = true},
};

}  // namespace

absl::Span<const NamedSplit> NamedSplits() { return kNamedSplits; }

const NamedSplit* FindNamedSplit(std::string_view name) {
  for (const NamedSplit& split : NamedSplits()) {
    for (const char* known : split.names) {
      if (name == known) return &split;
    }
  }
  return nullptr;
}

TokenizerStep SplitStep(std::string expression, SplitBehavior behavior, bool inverted) {
  return {.kind = TokenizerStepKind::kSplit,
          .option = static_cast<uint8_t>(behavior),
          .inverted = inverted,
          .pattern = std::move(expression),
          .text = {}};
}

const char kPunctuationExpression[] = R"re([\p{P}!-/:-@\[-`{-~])re";

void AppendBertNormalizers(bool clean_text, bool space_ideographs, bool strip_accents,
                           bool lowercase, std::vector<TokenizerStep>* steps) {
  const auto append = [steps](bool wanted, TokenizerStepKind kind) {
    if (wanted) steps->push_back({.kind = kind, .pattern = {}, .text = {}});
  };
  append(clean_text, TokenizerStepKind::kCleanText);
  append(space_ideographs, TokenizerStepKind::kSpaceIdeographs);
  append(strip_accents, TokenizerStepKind::kNfd);
  append(strip_accents, TokenizerStepKind::kStripMarks);
  append(lowercase, TokenizerStepKind::kLowercase);
}

void AppendBertSplits(std::vector<TokenizerStep>* steps) {
  steps->push_back(SplitStep(R"re(\s+)re", SplitBehavior::kRemoved));
  steps->push_back(SplitStep(kPunctuationExpression));
}

}  // namespace lutdb
