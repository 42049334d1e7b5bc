// From one word to its tokens, by each of the models: merging pairs, best total score, longest
// first.
//
// All are immutable after construction and thread-safe, and refer to the spec and the vocabulary
// they were made of, which must outlive them. InvalidArgument when a character has neither a token
// nor byte tokens and there is no unknown token.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/tokenizer_vocabulary.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// The unknown token; InvalidArgument naming the character (or byte) when the spec has none.
absl::StatusOr<uint32_t> UnknownFor(const TokenizerSpec& spec, std::string_view character);

// Byte-pair encoding: of all adjacent pairs that can be merged the best one is, the leftmost among
// equals, until there is none. O(n log n) in the length of the word.
class PairMerger {
 public:
  PairMerger(const TokenizerSpec& spec, const Vocabulary& vocabulary);
  absl::Status Encode(std::string_view word, std::vector<int32_t>* tokens) const;

 private:
  struct Symbol;
  struct Candidate;
  class Run;

  std::vector<Symbol> BeginSymbols(std::string_view word) const;
  void FindCut(const TokenizerSpec& spec);
  absl::Status EncodePart(std::string_view part, bool* after_unknown,
                          std::vector<int32_t>* tokens) const;

  struct Merged {
    uint32_t rank;
    uint32_t id;
  };
  const TokenizerSpec& spec_;
  const Vocabulary& vocabulary_;
  absl::flat_hash_map<uint64_t, Merged> merges_;  // left << 32 | right; kMergeBpe only
  // No token has this after anything but itself, so that a text can be cut before it and the parts
  // merged apart: memory stays in the cache. Empty: there is none.
  std::string_view cut_;
};

// Unigram language model (Kudo 2018, arXiv:1804.10959): the path of highest total score through
// the tokens that fit, found by dynamic programming over the characters. A character without a
// token costs the lowest score less 10.
class UnigramModel {
 public:
  UnigramModel(const TokenizerSpec& spec, const Vocabulary& vocabulary);
  absl::Status Encode(std::string_view word, std::vector<int32_t>* tokens) const;

 private:
  // The tokens that begin with the bytes seen so far: a range of sorted_ that narrows.
  struct Range {
    uint32_t begin, end;
  };
  Range Narrow(Range range, size_t depth, uint8_t byte) const;

  const TokenizerSpec& spec_;
  const Vocabulary& vocabulary_;
  std::vector<uint32_t> sorted_;  // ids by bytes
  std::vector<Range> first_;      // of each first byte
  double unknown_score_ = 0;
};

// WordPiece (Schuster and Nakajima 2012): the longest token that begins the word, then the longest
// that continues it; when nothing continues it the whole word is unknown.
class WordPieceModel {
 public:
  WordPieceModel(const TokenizerSpec& spec, const Vocabulary& vocabulary);
  absl::Status Encode(std::string_view word, std::vector<int32_t>* tokens) const;

 private:
  const TokenizerSpec& spec_;
  const Vocabulary& vocabulary_;
};

}  // namespace lutdb
