#include "engine/tokenizer_words.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/status.h"
#include "engine/utf8.h"

namespace lutdb {
absl::StatusOr<uint32_t> UnknownFor(const TokenizerSpec& spec, std::string_view character) {
  if (spec.unknown != kNone) return spec.unknown;
  if (!IsUtf8(character)) {
    return InvalidArgument("the model's tokenizer has no token for the byte 0x{:02x}",
                           static_cast<uint8_t>(character[0]));
  }
  return InvalidArgument("the model's tokenizer has no token for '{}'", character);
}

UnigramModel::UnigramModel(const TokenizerSpec& spec, const Vocabulary& vocabulary)
    : spec_(spec), vocabulary_(vocabulary), first_(256, {0, 0}) {
  constexpr double kUnknownPenalty = 10;
  std::vector<bool> left_out(spec.tokens.size(), false);
  for (const AddedToken& added : spec.added) left_out[added.id] = added.special;
  if (spec.unknown != kNone) left_out[spec.unknown] = true;
  double lowest = std::numeric_limits<double>::infinity();
  for (uint32_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (token.empty() || left_out[id] || (spec.byte_fallback && ByteOfToken(token) >= 0)) continue;
    if (vocabulary.Find(token) != id) continue;  // a second token of the same bytes
    sorted_.push_back(id);
    lowest = std::min(lowest, double{spec.scores[id]});
  }
  unknown_score_ = (sorted_.empty() ? 0 : lowest) - kUnknownPenalty;
  std::sort(sorted_.begin(), sorted_.end(),
            [&](uint32_t a, uint32_t b) { return spec.tokens[a] < spec.tokens[b]; });
  const Range all{0, static_cast<uint32_t>(sorted_.size())};
  for (int byte = 0; byte < 256; ++byte) first_[byte] = Narrow(all, 0, static_cast<uint8_t>(byte));
}

UnigramModel::Range UnigramModel::Narrow(Range range, size_t depth, uint8_t byte) const {
  const auto at = [&](uint32_t id) {
    const std::string& token = spec_.tokens[id];
    return depth < token.size() ? static_cast<uint8_t>(token[depth]) : -1;
  };
  const auto begin = sorted_.begin() + range.begin, end = sorted_.begin() + range.end;
  const auto low = std::partition_point(begin, end, [&](uint32_t id) { return at(id) < byte; });
  const auto high = std::partition_point(low, end, [&](uint32_t id) { return at(id) <= byte; });
  return {static_cast<uint32_t>(low - sorted_.begin()),
          static_cast<uint32_t>(high - sorted_.begin())};
}

absl::Status UnigramModel::Encode(std::string_view word, std::vector<int32_t>* tokens) const {
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    size_t from = 0;
    uint32_t id = kNone;  // kNone: the unknown token
  };
  std::vector<Best> best(word.size() + 1);
  best[0].score = 0;
  const auto offer = [&](size_t from, size_t to, uint32_t id, double score) {
    const double total = best[from].score + score;
    if (total > best[to].score) best[to] = {.score = total, .from = from, .id = id};
  };
  for (size_t at = 0; at < word.size();) {
    const size_t character = ReadUtf8(word.substr(at)).bytes;
    bool whole = false;  // a token is this very character
    Range range = first_[static_cast<uint8_t>(word[at])];
    for (size_t depth = 1; range.begin < range.end; ++depth) {
      // The shortest token of the range comes first.
      const uint32_t id = sorted_[range.begin];
      if (spec_.tokens[id].size() == depth) {
        offer(at, at + depth, id, spec_.scores[id]);
        whole |= depth == character;
      }
      if (at + depth == word.size()) break;
      range = Narrow(range, depth, static_cast<uint8_t>(word[at + depth]));
    }
    if (!whole) offer(at, at + character, kNone, unknown_score_);
    at += character;
  }
  std::vector<std::pair<size_t, size_t>> pieces;  // of the best path, back to front
  for (size_t to = word.size(); to > 0; to = best[to].from) pieces.emplace_back(best[to].from, to);
  bool after_unknown = false;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const uint32_t id = best[piece->second].id;
    if (id != kNone) {
      tokens->push_back(static_cast<int32_t>(id));
      after_unknown = false;
      continue;
    }
    const std::string_view text = word.substr(piece->first, piece->second - piece->first);
    if (spec_.byte_fallback && vocabulary_.AppendBytes(text, tokens)) continue;
    LUTDB_ASSIGN_OR_RETURN(const uint32_t unknown, UnknownFor(spec_, text));
    if (!(after_unknown && spec_.fuse_unknown)) tokens->push_back(static_cast<int32_t>(unknown));
    after_unknown = true;
  }
  return absl::OkStatus();
}

WordPieceModel::WordPieceModel(const TokenizerSpec& spec, const Vocabulary& vocabulary)
    : spec_(spec), vocabulary_(vocabulary) {}

absl::Status WordPieceModel::Encode(std::string_view word, std::vector<int32_t>* tokens) const {
  const size_t begun = tokens->size();
  const auto unknown = [&]() -> absl::Status {
    LUTDB_ASSIGN_OR_RETURN(const uint32_t id, UnknownFor(spec_, word));
    tokens->resize(begun);
    tokens->push_back(static_cast<int32_t>(id));
    return absl::OkStatus();
  };
  size_t characters = 0;
  for (const char byte : word) characters += (static_cast<uint8_t>(byte) & 0xC0) != 0x80 ? 1 : 0;
  if (spec_.word_chars_max > 0 && characters > spec_.word_chars_max) return unknown();
  std::string piece;
  for (size_t at = 0; at < word.size();) {
    size_t bytes = std::min(word.size() - at, vocabulary_.longest_bytes());
    uint32_t id = kNone;
    piece.assign(at > 0 ? spec_.continuing : std::string()).append(word.substr(at, bytes));
    for (; bytes > 0; --bytes, piece.pop_back()) {
      id = vocabulary_.Find(piece);
      if (id != kNone) break;
    }
    if (id == kNone) return unknown();
    tokens->push_back(static_cast<int32_t>(id));
    at += bytes;
  }
  return absl::OkStatus();
}

}  // namespace lutdb
