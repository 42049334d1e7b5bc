// What the formats that descend from SentencePiece share: how text is prepared, and how the space
// sign U+2581 is written.
#pragma once

#include <string>
#include <string_view>

#include "schemas/tokenizer_spec.h"

namespace lutdb {

inline constexpr char kSpaceSign[] = "\xE2\x96\x81";  // U+2581, a space inside pieces

// The piece with plain spaces, which is how our vocabularies of this family keep it.
std::string WithPlainSpaces(std::string_view piece);

struct SentenceRules {
  std::string chars_map;                  // compiled, may be empty
  bool remove_extra_whitespaces = false;  // none at the ends, one in a row
  bool add_space_prefix = true;
  TokenizerPlace prefix_place = TokenizerPlace::kAlways;
};
// Sets the normalisation of a spec whose tokens have plain spaces, and how it is undone.
void SetSentenceRules(const SentenceRules& rules, TokenizerSpec* spec);

}  // namespace lutdb
