// TokenDecoder: from tokens back to text.
#include <utility>

#include "base/status.h"
#include "engine/tokenizer.h"

namespace lutdb {
namespace {

bool BeginsWith(std::string_view text, std::string_view with) {
  return !with.empty() && text.substr(0, with.size()) == with;
}

void ReplaceAll(std::string_view from, std::string_view to, std::string* text) {
  for (size_t at = text->find(from); at != std::string::npos; at = text->find(from, at)) {
    text->replace(at, from.size(), to);
    at += to.size();
  }
}

// What WordPiece text has in the way of spaces and plain text has not.
void CleanUp(std::string* text) {
  static constexpr std::pair<std::string_view, std::string_view> kChanges[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kChanges) ReplaceAll(from, to, text);
}

}  // namespace

TokenDecoder::TokenDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), strip_left_(tokenizer.spec().strip_start) {}

// The token's own text, whatever stands before it.
std::string TokenDecoder::Piece(uint32_t token) const {
  const TokenizerSpec& spec = tokenizer_.spec();
  const std::string& bytes = spec.tokens[token];
  const bool spelt = spec.byte_fallback || spec.kind == TokenizerKind::kScoreBpe;
  if (spelt && !spec.byte_level) {
    if (const int byte = ByteOfToken(bytes); byte >= 0)
      return std::string(1, static_cast<char>(byte));
  }
  std::string piece = bytes;
  for (const TokenizerStep& step : spec.decoders) ReplaceAll(step.pattern, step.text, &piece);
  return piece;
}

absl::Status TokenDecoder::Push(int32_t token, std::string* text) {
  if (!tokenizer_.present()) {
    return FailedPrecondition("the store has no tokenizer: give tokens, not text");
  }
  if (token < 0 || static_cast<size_t>(token) >= tokenizer_.size()) {
    return OutOfRange("token {} is not in the tokenizer's {} tokens", token, tokenizer_.size());
  }
  const TokenizerSpec& spec = tokenizer_.spec();
  const auto id = static_cast<uint32_t>(token);
  const uint32_t previous = std::exchange(previous_, id);
  if (tokenizer_.IsControl(id)) return absl::OkStatus();
  std::string piece = Piece(id);
  if (BeginsWith(piece, spec.continuing)) {
    piece.erase(0, spec.continuing.size());
  } else if (begun_) {
    piece.insert(0, spec.separator);
  }
  if (std::exchange(word_ended_, false)) piece.insert(0, " ");
  if (!spec.word_end.empty() && piece.size() >= spec.word_end.size() &&
      piece.compare(piece.size() - spec.word_end.size(), piece.npos, spec.word_end) == 0) {
    piece.resize(piece.size() - spec.word_end.size());
    word_ended_ = true;
  }
  if (spec.clean_up) CleanUp(&piece);
  const bool after_bos = spec.kind == TokenizerKind::kScoreBpe && spec.add_space_prefix &&
                         previous != kNone && previous == spec.bos;
  uint32_t* strip = &strip_left_;
  uint32_t once = 1;
  if (after_bos) strip = &once;
  while (*strip > 0 && BeginsWith(piece, " ")) {
    piece.erase(0, 1);
    --*strip;
  }
  if (!piece.empty()) strip_left_ = 0;
  begun_ = true;
  joiner_.Push(piece, text);
  return absl::OkStatus();
}

}  // namespace lutdb
