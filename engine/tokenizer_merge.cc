// Byte-pair encoding, by ranks of pairs or by scores of what they become.
#include <algorithm>
#include <queue>
#include <string>

#include "base/status.h"
#include "engine/tokenizer_words.h"
#include "engine/utf8.h"

namespace lutdb {
namespace {

constexpr float kScoreMin = -1e10f;  // a pair must score more than this to be merged

}  // namespace

// A stretch of the word, in a doubly linked list of those that are left.
struct PairMerger::Symbol {
  uint32_t begin, end;  // bytes of the word; the stretch is empty once it was merged into another
  uint32_t previous, next;
  uint32_t id;  // kNone: no token of its own (yet)
};

// A pair of neighbours that could become one token. The heap's top is the best, leftmost first.
struct PairMerger::Candidate {
  double cost;
  uint32_t left, right;
  uint32_t middle, end;  // where they met and ended: a stale candidate is noticed by these
  uint32_t id;
  bool operator<(const Candidate& other) const {
    return cost != other.cost ? cost > other.cost : left > other.left;
  }
};

// The merging of one word.
class PairMerger::Run {
 public:
  Run(const PairMerger& merger, std::string_view word, std::vector<Symbol>* symbols)
      : merger_(merger), word_(word), symbols_(*symbols) {}

  void Merge() {
    for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) Consider(i, i + 1);
    while (!heap_.empty()) {
      const Candidate best = heap_.top();
      heap_.pop();
      Symbol& left = symbols_[best.left];
      Symbol& right = symbols_[best.right];
      if (left.end != best.middle || right.begin != best.middle || right.end != best.end ||
          left.begin == left.end || right.begin == right.end) {
        continue;
      }
      left.end = right.end;
      left.id = best.id;
      left.next = right.next;
      right.begin = right.end;
      if (left.next != kNone) symbols_[left.next].previous = best.left;
      if (left.previous != kNone) Consider(left.previous, best.left);
      if (left.next != kNone) Consider(best.left, left.next);
    }
  }

 private:
  void Consider(uint32_t l, uint32_t r) {
    const Symbol& left = symbols_[l];
    const Symbol& right = symbols_[r];
    Candidate pair{
        .cost = 0, .left = l, .right = r, .middle = left.end, .end = right.end, .id = kNone};
    if (merger_.spec_.kind == TokenizerKind::kMergeBpe) {
      if (left.id == kNone || right.id == kNone) return;
      const auto found = merger_.merges_.find(uint64_t{left.id} << 32 | right.id);
      if (found == merger_.merges_.end()) return;
      pair.cost = found->second.rank;
      pair.id = found->second.id;
    } else {
      pair.id = merger_.vocabulary_.Find(word_.substr(left.begin, right.end - left.begin));
      if (pair.id == kNone || !(merger_.spec_.scores[pair.id] > kScoreMin)) return;
      pair.cost = -double{merger_.spec_.scores[pair.id]};
    }
    heap_.push(pair);
  }

  const PairMerger& merger_;
  std::string_view word_;
  std::vector<Symbol>& symbols_;
  std::priority_queue<Candidate> heap_;
};

PairMerger::PairMerger(const TokenizerSpec& spec, const Vocabulary& vocabulary)
    : spec_(spec), vocabulary_(vocabulary) {
  merges_.reserve(spec.merges.size() / 3);
  for (size_t i = 0; i + 2 < spec.merges.size(); i += 3) {
    merges_.try_emplace(uint64_t{spec.merges[i]} << 32 | spec.merges[i + 1],
                        Merged{static_cast<uint32_t>(i / 3), spec.merges[i + 2]});
  }
  if (spec.continuing.empty() && spec.word_end.empty()) FindCut(spec);
}

// The space, as the vocabulary writes it, if every token that has one begins with it.
void PairMerger::FindCut(const TokenizerSpec& spec) {
  const std::string_view sign =
      spec.kind == TokenizerKind::kMergeBpe && !spec.byte_level ? "\xE2\x96\x81" : " ";
  std::vector<bool> added(spec.tokens.size(), false);
  for (const AddedToken& token : spec.added) added[token.id] = true;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string_view token = spec.tokens[id];
    if (added[id]) continue;
    for (size_t at = token.find(sign, 1); at != token.npos; at = token.find(sign, at + 1)) {
      if (at < sign.size() || token.substr(at - sign.size(), sign.size()) != sign) return;
    }
  }
  cut_ = sign;
}

// Each character (byte, in byte-level vocabularies) as a symbol. Where merges go by ids, one whose
// token is missing stands as its byte tokens, so that these can merge.
std::vector<PairMerger::Symbol> PairMerger::BeginSymbols(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const bool by_id = spec_.kind == TokenizerKind::kMergeBpe;
  std::string marked;
  for (uint32_t at = 0; at < word.size();) {
    const auto bytes = static_cast<uint32_t>(
        spec_.byte_level ? 1 : std::max<size_t>(1, ReadUtf8(word.substr(at)).bytes));
    std::string_view character = word.substr(at, bytes);
    if (by_id && !(spec_.continuing.empty() && spec_.word_end.empty())) {
      marked = at > 0 ? spec_.continuing : std::string();
      marked += character;
      if (at + bytes >= word.size()) marked += spec_.word_end;
      character = marked;
    }
    const uint32_t id = vocabulary_.Find(character);
    const std::string_view plain = word.substr(at, bytes);
    std::vector<int32_t> spelt;
    if (by_id && id == kNone && spec_.byte_fallback) vocabulary_.AppendBytes(plain, &spelt);
    if (spelt.empty()) {
      symbols.push_back({.begin = at, .end = at + bytes, .previous = 0, .next = 0, .id = id});
    }
    for (uint32_t i = 0; i < spelt.size(); ++i) {
      symbols.push_back({.begin = at + i,
                         .end = at + i + 1,
                         .previous = 0,
                         .next = 0,
                         .id = static_cast<uint32_t>(spelt[i])});
    }
    at += bytes;
  }
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i > 0 ? i - 1 : kNone;
    symbols[i].next = i + 1 < symbols.size() ? i + 1 : kNone;
  }
  return symbols;
}

absl::Status PairMerger::Encode(std::string_view word, std::vector<int32_t>* tokens) const {
  if (word.size() >= kNone) {
    return InvalidArgument("a text of {} bytes is too long: at most 4 GiB", word.size());
  }
  if (spec_.ignore_merges) {
    if (const uint32_t id = vocabulary_.Find(word); id != kNone) {
      tokens->push_back(static_cast<int32_t>(id));
      return absl::OkStatus();
    }
  }
  bool after_unknown = false;
  size_t begin = 0;
  while (begin < word.size()) {
    size_t end = word.size();
    if (!cut_.empty()) {
      // Runs of spaces stay with what follows them.
      size_t text = begin;
      while (word.substr(text, cut_.size()) == cut_) text += cut_.size();
      end = std::min(end, word.find(cut_, text));
    }
    LUTDB_RETURN_IF_ERROR(EncodePart(word.substr(begin, end - begin), &after_unknown, tokens));
    begin = end;
  }
  return absl::OkStatus();
}

absl::Status PairMerger::EncodePart(std::string_view word, bool* after_unknown,
                                    std::vector<int32_t>* tokens) const {
  std::vector<Symbol> symbols = BeginSymbols(word);
  Run(*this, word, &symbols).Merge();
  // Sentence-wise models spell what has no token as bytes only now: its characters could have been
  // merged into a token before.
  const bool spell = spec_.kind != TokenizerKind::kMergeBpe;
  for (const Symbol& symbol : symbols) {
    if (symbol.begin == symbol.end) continue;
    if (symbol.id != kNone) {
      tokens->push_back(static_cast<int32_t>(symbol.id));
      *after_unknown = false;
      continue;
    }
    const std::string_view character = word.substr(symbol.begin, symbol.end - symbol.begin);
    if (spell && vocabulary_.AppendBytes(character, tokens)) continue;
    LUTDB_ASSIGN_OR_RETURN(const uint32_t unknown, UnknownFor(spec_, character));
    if (!(*after_unknown && spec_.fuse_unknown)) tokens->push_back(static_cast<int32_t>(unknown));
    *after_unknown = true;
  }
  return absl::OkStatus();
}

}  // namespace lutdb
