#include "engine/tokenizer.h"

#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

absl::Status NoTokenizer() {
  return FailedPrecondition("the store has no tokenizer: give tokens, not text");
}

// Errors of Create: what is broken came out of a file or a store.
absl::Status Damaged(const absl::Status& status) {
  return DataLoss("the tokenizer cannot be used: {}", Message(status));
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec)
    : spec_(std::move(spec)), vocabulary_(spec_), control_(spec_.tokens.size(), false) {
  for (const uint32_t id : {spec_.bos, spec_.eos}) {
    if (id != kNone) control_[id] = true;
  }
  for (const AddedToken& added : spec_.added) {
    if (added.special) control_[added.id] = true;
  }
  prefix_ = spec_.prefix;
  if (spec_.kind == TokenizerKind::kScoreBpe && spec_.add_bos && spec_.bos != kNone) {
    prefix_.push_back(spec_.bos);
  }
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(TokenizerSpec spec) {
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(spec)));
  const absl::Status status = tokenizer->CreateSteps();
  return status.ok() ? absl::StatusOr<std::unique_ptr<Tokenizer>>(std::move(tokenizer))
                     : Damaged(status);
}

absl::Status Tokenizer::CreateSteps() {
  std::vector<TokenizerStep> normalizers = spec_.normalizers;
  if (spec_.kind == TokenizerKind::kScoreBpe && spec_.add_space_prefix) {
    normalizers.push_back({.kind = TokenizerStepKind::kPrepend, .pattern = {}, .text = " "});
  }
  LUTDB_ASSIGN_OR_RETURN(normalizer_, Normalizer::Create(normalizers));
  LUTDB_ASSIGN_OR_RETURN(splitter_, Splitter::Create(spec_.splits));
  switch (spec_.kind) {
    case TokenizerKind::kAbsent:
      break;
    case TokenizerKind::kScoreBpe:
    case TokenizerKind::kSentenceBpe:
    case TokenizerKind::kMergeBpe:
      merger_.emplace(spec_, vocabulary_);
      break;
    case TokenizerKind::kUnigram:
      unigram_.emplace(spec_, vocabulary_);
      break;
    case TokenizerKind::kWordPiece:
      word_piece_.emplace(spec_, vocabulary_);
      break;
  }
  return CreateMatchers();
}

absl::Status Tokenizer::CreateMatchers() {
  std::vector<const AddedToken*> raw, normalized;
  std::vector<std::string> raw_texts, normalized_texts;
  for (const AddedToken& added : spec_.added) {
    if (added.normalized) {
      LUTDB_ASSIGN_OR_RETURN(std::string text, normalizer_->Apply(added.text, true));
      normalized.push_back(&added);
      normalized_texts.push_back(std::move(text));
    } else {
      raw.push_back(&added);
      raw_texts.push_back(added.text);
    }
  }
  raw_added_.emplace(std::move(raw), std::move(raw_texts));
  normalized_added_.emplace(std::move(normalized), std::move(normalized_texts));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                                       const EncodeOptions& options) const {
  if (!present()) return NoTokenizer();
  if (!IsUtf8(text)) return InvalidArgument("the text is not UTF-8");
  std::vector<int32_t> tokens;
  if (options.add_special) tokens.assign(prefix_.begin(), prefix_.end());
  for (const auto& stretch : raw_added_->Cut(text, options.parse_special)) {
    if (stretch.token != nullptr) {
      tokens.push_back(static_cast<int32_t>(stretch.token->id));
      continue;
    }
    LUTDB_RETURN_IF_ERROR(EncodePlain(text.substr(stretch.begin, stretch.end - stretch.begin),
                                      stretch.begin == 0, options, &tokens));
  }
  if (options.add_special) tokens.insert(tokens.end(), spec_.suffix.begin(), spec_.suffix.end());
  return tokens;
}

absl::Status Tokenizer::EncodePlain(std::string_view text, bool at_start,
                                    const EncodeOptions& options,
                                    std::vector<int32_t>* tokens) const {
  LUTDB_ASSIGN_OR_RETURN(std::string normalized, normalizer_->Apply(text, at_start));
  if (normalized_added_->empty()) return EncodeWords(std::move(normalized), at_start, tokens);
  for (const auto& stretch : normalized_added_->Cut(normalized, options.parse_special)) {
    if (stretch.token != nullptr) {
      tokens->push_back(static_cast<int32_t>(stretch.token->id));
      continue;
    }
    LUTDB_RETURN_IF_ERROR(EncodeWords(normalized.substr(stretch.begin, stretch.end - stretch.begin),
                                      at_start && stretch.begin == 0, tokens));
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::EncodeWords(std::string text, bool at_start,
                                    std::vector<int32_t>* tokens) const {
  LUTDB_ASSIGN_OR_RETURN(const SplitText split, splitter_->Split(std::move(text), at_start));
  const std::string_view whole = split.text;
  for (const SplitText::Word word : split.words) {
    LUTDB_RETURN_IF_ERROR(EncodeWord(whole.substr(word.begin, word.end - word.begin), tokens));
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::EncodeWord(std::string_view word, std::vector<int32_t>* tokens) const {
  if (unigram_.has_value()) return unigram_->Encode(word, tokens);
  if (word_piece_.has_value()) return word_piece_->Encode(word, tokens);
  return merger_->Encode(word, tokens);
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> tokens) const {
  std::string text;
  TokenDecoder decoder(*this);
  for (const int32_t token : tokens) LUTDB_RETURN_IF_ERROR(decoder.Push(token, &text));
  decoder.Finish(&text);
  return text;
}

}  // namespace lutdb
