// Text <-> tokens by a TokenizerSpec, whatever format it came from.
//
// Encoding runs one pipeline for every format: added tokens are cut out of the text; the rest is
// normalised, split into words, and each word turned into tokens by the model; the ids are put
// between the spec's prefix and suffix. The formats' differences are in the data
// (ingest/tokenizer_* lower them), not here. SentencePiece's own library was not taken because it
// and protobuf, which other readers need, cannot share one program.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/tokenizer_normalize.h"
#include "engine/tokenizer_split.h"
#include "engine/tokenizer_vocabulary.h"
#include "engine/tokenizer_words.h"
#include "engine/utf8.h"
#include "lutdb/model.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Immutable after construction; thread-safe.
class Tokenizer {
 public:
  // spec was checked when it was parsed; its kind may be kAbsent: then Encode and decoding refuse.
  // DataLoss when an expression or character map of it is broken.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(TokenizerSpec spec);
  Tokenizer(const Tokenizer&) = delete;

  bool present() const { return spec_.kind != TokenizerKind::kAbsent; }
  const TokenizerSpec& spec() const { return spec_; }
  // Ids are 0 .. size() - 1.
  size_t size() const { return spec_.tokens.size(); }
  // Whether the token is for control and has no text: BOS, EOS, special added tokens.
  bool IsControl(uint32_t token) const { return control_[token]; }

  // O(n log n) in the length of the text. InvalidArgument for text that is not UTF-8 or a character
  // without any token; ResourceExhausted when an expression takes too many steps on this text.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options = {}) const;

  // The text of tokens; bytes that are not UTF-8 become U+FFFD. OutOfRange for an id that does not
  // exist.
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> tokens) const;

 private:
  friend class TokenDecoder;
  explicit Tokenizer(TokenizerSpec spec);

  absl::Status CreateSteps();
  absl::Status CreateMatchers();
  absl::Status EncodePlain(std::string_view text, bool at_start, const EncodeOptions& options,
                           std::vector<int32_t>* tokens) const;
  absl::Status EncodeWords(std::string text, bool at_start, std::vector<int32_t>* tokens) const;
  absl::Status EncodeWord(std::string_view word, std::vector<int32_t>* tokens) const;

  TokenizerSpec spec_;
  Vocabulary vocabulary_;
  std::vector<bool> control_;
  std::vector<uint32_t> prefix_;
  std::optional<Normalizer> normalizer_;
  std::optional<Splitter> splitter_;
  std::optional<AddedTokenMatcher> raw_added_, normalized_added_;
  std::optional<PairMerger> merger_;
  std::optional<UnigramModel> unigram_;
  std::optional<WordPieceModel> word_piece_;
};

// Tokens to text, one at a time; never gives out half a character. Not thread-safe.
class TokenDecoder {
 public:
  explicit TokenDecoder(const Tokenizer& tokenizer);
  // Appends to *text what has become complete. OutOfRange for an id that does not exist,
  // FailedPrecondition without a tokenizer; then nothing is appended.
  absl::Status Push(int32_t token, std::string* text);
  // Ends the text: a character that was cut short becomes U+FFFD.
  void Finish(std::string* text) { joiner_.Finish(text); }

 private:
  std::string Piece(uint32_t token) const;

  const Tokenizer& tokenizer_;
  Utf8Joiner joiner_;
  uint32_t previous_ = kNone;
  uint32_t strip_left_;      // spaces still to be dropped where the text begins
  bool begun_ = false;       // a token with text came
  bool word_ended_ = false;  // the last token ended a word: the next one begins with a space
};

}  // namespace lutdb
