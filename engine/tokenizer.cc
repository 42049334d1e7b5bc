#include "engine/tokenizer.h"

#include <queue>
#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr float kScoreMin = -1e10f;  // a pair must score more than this to be merged

// The byte of a token written "<0x41>", or -1.
int ByteOf(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  int byte = 0;
  for (const char digit : token.substr(3, 2)) {
    byte *= 16;
    if (digit >= '0' && digit <= '9') {
      byte += digit - '0';
    } else if (digit >= 'A' && digit <= 'F') {
      byte += digit - 'A' + 10;
    } else if (digit >= 'a' && digit <= 'f') {
      byte += digit - 'a' + 10;
    } else {
      return -1;
    }
  }
  return byte;
}

// A pair of neighbours that could become one token.
struct Candidate {
  float score;
  uint32_t left;  // position of the left neighbour
  uint32_t right;
  int32_t left_token, right_token;  // as they were: a stale candidate is noticed by these
  uint32_t merged;
  // The heap's top is the highest score, leftmost first.
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec) : spec_(std::move(spec)), byte_ids_(256, kNone) {
  for (int byte = 0; byte < 256; ++byte) bytes_.push_back(static_cast<char>(byte));
  byte_of_.reserve(spec_.tokens.size());
  for (uint32_t id = 0; id < spec_.tokens.size(); ++id) {
    ids_.try_emplace(spec_.tokens[id], id);
    const int byte = ByteOf(spec_.tokens[id]);
    byte_of_.push_back(static_cast<int16_t>(byte));
    if (byte >= 0 && byte_ids_[byte] == kNone) byte_ids_[byte] = id;
  }
}

uint32_t Tokenizer::Find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? kNone : found->second;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text) const {
  if (!present()) return FailedPrecondition("the store has no tokenizer: give tokens, not text");
  if (!IsUtf8(text)) return InvalidArgument("the prompt is not UTF-8 text");
  std::vector<int32_t> tokens;
  tokens.reserve(text.size() + 2);
  const bool has_bos = spec_.add_bos && spec_.bos != kNone;
  if (!text.empty() && spec_.add_space_prefix) {
    LUTDB_RETURN_IF_ERROR(AppendCharacter(" ", &tokens));
  }
  while (!text.empty()) {
    const size_t bytes = ReadUtf8(text).bytes;
    LUTDB_RETURN_IF_ERROR(AppendCharacter(text.substr(0, bytes), &tokens));
    text.remove_prefix(bytes);
  }
  Merge(&tokens);
  if (has_bos) tokens.insert(tokens.begin(), static_cast<int32_t>(spec_.bos));
  return tokens;
}

absl::Status Tokenizer::AppendCharacter(std::string_view character,
                                        std::vector<int32_t>* tokens) const {
  if (const uint32_t id = Find(character); id != kNone) {
    tokens->push_back(static_cast<int32_t>(id));
    return absl::OkStatus();
  }
  bool all_bytes = true;
  for (const char byte : character) all_bytes &= byte_ids_[static_cast<uint8_t>(byte)] != kNone;
  if (all_bytes) {
    for (const char byte : character) {
      tokens->push_back(static_cast<int32_t>(byte_ids_[static_cast<uint8_t>(byte)]));
    }
    return absl::OkStatus();
  }
  if (spec_.unknown == kNone) {
    return InvalidArgument("the model's tokenizer has no token for '{}'", character);
  }
  tokens->push_back(static_cast<int32_t>(spec_.unknown));
  return absl::OkStatus();
}

// A linked list of tokens and a heap of pairs; pairs whose tokens have changed since are skipped.
void Tokenizer::Merge(std::vector<int32_t>* tokens) const {
  const auto count = static_cast<uint32_t>(tokens->size());
  std::vector<uint32_t> next(count), previous(count);
  for (uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : kNone;
    previous[i] = i > 0 ? i - 1 : kNone;
  }
  std::vector<int32_t>& at = *tokens;
  std::priority_queue<Candidate> heap;
  std::string joined;
  const auto consider = [&](uint32_t left, uint32_t right) {
    if (left == kNone || right == kNone) return;
    joined.assign(spec_.tokens[at[left]]).append(spec_.tokens[at[right]]);
    const uint32_t merged = Find(joined);
    if (merged == kNone || !(spec_.scores[merged] > kScoreMin)) return;
    heap.push({.score = spec_.scores[merged],
               .left = left,
               .right = right,
               .left_token = at[left],
               .right_token = at[right],
               .merged = merged});
  };
  for (uint32_t i = 0; i + 1 < count; ++i) consider(i, i + 1);
  constexpr int32_t kGone = -1;
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    if (at[best.left] != best.left_token || at[best.right] != best.right_token ||
        next[best.left] != best.right) {
      continue;
    }
    at[best.left] = static_cast<int32_t>(best.merged);
    at[best.right] = kGone;
    next[best.left] = next[best.right];
    if (next[best.left] != kNone) previous[next[best.left]] = best.left;
    consider(previous[best.left], best.left);
    consider(best.left, next[best.left]);
  }
  std::erase(at, kGone);
}

absl::StatusOr<std::string_view> Tokenizer::Piece(int32_t previous, int32_t token) const {
  if (!present()) return FailedPrecondition("the store has no tokenizer: give tokens, not text");
  if (token < 0 || static_cast<size_t>(token) >= spec_.tokens.size()) {
    return OutOfRange("token {} is not in the tokenizer's {} tokens", token, spec_.tokens.size());
  }
  const auto id = static_cast<uint32_t>(token);
  if (id == spec_.bos || id == spec_.eos) return std::string_view();
  if (byte_of_[id] >= 0) return std::string_view(bytes_).substr(byte_of_[id], 1);
  std::string_view piece = spec_.tokens[id];
  const bool after_bos = previous >= 0 && static_cast<uint32_t>(previous) == spec_.bos;
  if (after_bos && spec_.add_space_prefix && !piece.empty() && piece.front() == ' ') {
    piece.remove_prefix(1);
  }
  return piece;
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> tokens) const {
  std::string text;
  Utf8Joiner joiner;
  int32_t previous = -1;
  for (const int32_t token : tokens) {
    LUTDB_ASSIGN_OR_RETURN(const std::string_view piece, Piece(previous, token));
    joiner.Push(piece, &text);
    previous = token;
  }
  joiner.Finish(&text);
  return text;
}

}  // namespace lutdb
