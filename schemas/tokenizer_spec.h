// A tokenizer as plain data: what ingest lowers tokenizer files to and the engine runs.
//
// Every format is lowered to one pipeline: added tokens are cut out of the text, the rest is
// normalised, split into words, each word becomes tokens by the model of `kind`, and the ids are
// put between a prefix and a suffix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "schemas/table_spec.h"

namespace lutdb {

enum class TokenizerKind : uint8_t {
  kAbsent = 0,
  kScoreBpe = 1,     // llama2.c: merge the adjacent pair of highest score; uses none of the fields
                     // below add_space_prefix
  kMergeBpe = 2,     // merge the adjacent pair of lowest rank in `merges`
  kUnigram = 3,      // the tokens of highest total score
  kWordPiece = 4,    // the longest token first, again and again
  kSentenceBpe = 5,  // as kScoreBpe, with all the fields below
};
inline constexpr TokenizerKind kTokenizerKindLast = TokenizerKind::kSentenceBpe;

// One step of normalisation (below 32) or of splitting (from 32). Values are persisted.
enum class TokenizerStepKind : uint8_t {
  kNfc = 1,
  kNfd = 2,
  kNfkc = 3,
  kNfkd = 4,
  kLowercase = 5,
  kStripMarks = 6,          // drops non-spacing marks (category Mn); option 1: all marks (M)
  kCleanText = 7,           // drops controls and U+FFFD, makes any white space a space (BERT)
  kSpaceIdeographs = 8,     // spaces around CJK ideographs (BERT)
  kStrip = 9,               // white space off the left (option 1), the right (2), both (3)
  kPrepend = 10,            // `text` before text that is not empty; option: TokenizerPlace
  kReplace = 11,            // every `pattern` by `text`, literally
  kReplaceExpression = 12,  // every match of `pattern` by `text`
  kCharsMap = 13,           // SentencePiece's compiled character map, in `pattern`
  kNmt = 14,                // drops and widens the controls that SentencePiece's nmt rules name

  kSplit = 32,        // at the matches of the expression `pattern`; option: SplitBehavior
  kPrefixSpace = 33,  // a space before each word that begins with none
  kMetaspace = 34,    // spaces become `text`, which also begins the text; then split before each
                      // `text` unless `inverted`; option: TokenizerPlace of the beginning
};

enum class SplitBehavior : uint8_t {
  kIsolated = 0,  // matches are words of their own
  kRemoved = 1,   // matches are dropped
  kMergedWithPrevious = 2,
  kMergedWithNext = 3,
  kContiguous = 4,  // neighbouring matches are one word
};

// Which pieces of text between added tokens.
enum class TokenizerPlace : uint8_t { kAlways = 0, kFirst = 1, kNever = 2 };

struct TokenizerStep {
  TokenizerStepKind kind = TokenizerStepKind::kNfc;
  uint8_t option = 0;
  bool inverted = false;  // kSplit: what does not match is the match
  std::string pattern;
  std::string text;
  bool operator==(const TokenizerStep&) const = default;
};

// A token that is found in the text as it is, before anything else.
struct AddedToken {
  uint32_t id = 0;
  std::string text;
  bool special = false;      // not printed; found only where special tokens are asked for
  bool single_word = false;  // only where no word character touches it
  bool strip_left = false;   // takes the white space before it
  bool strip_right = false;
  bool normalized = false;  // looked for in the normalised text
  bool operator==(const AddedToken&) const = default;
};

struct TokenizerSpec {
  TokenizerKind kind = TokenizerKind::kAbsent;
  // The bytes of each id; empty: no text. Byte tokens are written "<0x41>", except in byte_level
  // vocabularies, where a token is just its bytes.
  std::vector<std::string> tokens;
  std::vector<float> scores;  // one per token; kMergeBpe and kWordPiece: none
  uint32_t bos = kNone;
  uint32_t eos = kNone;
  uint32_t unknown = kNone;
  bool add_bos = true;           // kScoreBpe
  bool add_space_prefix = true;  // kScoreBpe: a space token before text that is not empty; one
                                 // leading space is dropped when decoding after BOS

  std::vector<uint32_t> merges;  // kMergeBpe: left, right, result; by ascending rank
  std::vector<AddedToken> added;
  std::vector<TokenizerStep> normalizers;
  std::vector<TokenizerStep> splits;
  std::vector<uint32_t> prefix;  // ids before and after a text
  std::vector<uint32_t> suffix;
  std::vector<uint32_t> ends;   // more tokens that end a text, beside eos
  bool byte_level = false;      // words are bytes, not characters
  bool byte_fallback = false;   // a character without a token becomes its byte tokens
  bool fuse_unknown = false;    // neighbouring unknown tokens become one
  bool ignore_merges = false;   // a word that is a token needs no merges
  std::string continuing;       // begins tokens that continue a word ("##")
  std::string word_end;         // ends tokens that end a word ("</w>")
  uint32_t word_chars_max = 0;  // kWordPiece: longer words are unknown; 0: any length

  std::vector<TokenizerStep> decoders;  // kReplace only, on each token
  uint32_t strip_start = 0;             // spaces to drop where a decoded text begins
  std::string separator;                // between tokens that do not begin with `continuing`
  bool clean_up = false;                // no space before punctuation (BERT)
  bool operator==(const TokenizerSpec&) const = default;
};

std::string SerializeTokenizer(const TokenizerSpec& spec);
// DataLoss when malformed or inconsistent. Expressions are checked by who compiles them.
absl::StatusOr<TokenizerSpec> ParseTokenizer(std::string_view bytes);

// What ParseTokenizer checks once the bytes are read; readers of tokenizer files end with it.
absl::Status ValidateTokenizer(const TokenizerSpec& spec);

}  // namespace lutdb
