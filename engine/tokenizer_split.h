// Splitting normalised text into words, and cutting added tokens out of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/regex.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Text and where the words in it are, in order and not empty.
struct SplitText {
  std::string text;
  struct Word {
    size_t begin, end;
  };
  std::vector<Word> words;
};

// The split steps of a TokenizerSpec. Immutable; thread-safe.
class Splitter {
 public:
  // InvalidArgument for a broken expression.
  static absl::StatusOr<Splitter> Create(const std::vector<TokenizerStep>& steps);

  // at_start: nothing comes before the text.
  absl::StatusOr<SplitText> Split(std::string text, bool at_start) const;

 private:
  struct Step {
    TokenizerStep step;
    std::optional<Regex> expression;
  };
  Splitter() = default;
  std::vector<Step> steps_;
};

// Looks for tokens in text: of those that begin first the longest. Immutable; thread-safe. Refers
// to the tokens it was made of.
class AddedTokenMatcher {
 public:
  // texts[i] is what to look for in place of tokens[i]->text (it may have been normalised).
  AddedTokenMatcher(std::vector<const AddedToken*> tokens, std::vector<std::string> texts);

  // A stretch of the text: a token, or what lies between two.
  struct Stretch {
    size_t begin, end;
    const AddedToken* token;  // null: plain text
  };
  // with_special: also those that are special.
  std::vector<Stretch> Cut(std::string_view text, bool with_special) const;
  bool empty() const { return tokens_.empty(); }

 private:
  const AddedToken* Longest(std::string_view text, size_t at, bool with_special,
                            size_t* bytes) const;

  std::vector<const AddedToken*> tokens_;
  std::vector<std::string> texts_;
  absl::flat_hash_map<std::string_view, uint32_t> index_;  // text to the number of its token
  std::vector<std::vector<size_t>> lengths_;  // by first byte: the lengths there are, longest first
};

}  // namespace lutdb
