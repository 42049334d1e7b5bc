// SentencePiece's compiled character map: which strings become which before anything else.
//
// A double-array trie (Aoe 1989) in 32-bit units, followed by the replacements, each ended by a
// zero byte: u32 bytes of the trie, trie, replacements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

class CharsMap {
 public:
  // DataLoss when the sizes contradict each other. What the trie points to is checked in use.
  static absl::StatusOr<CharsMap> Parse(std::string_view bytes);

  // The longest string that begins the text and has a replacement.
  struct Found {
    size_t bytes = 0;  // 0: none
    std::string_view replacement;
  };
  Found FindPrefix(std::string_view text) const;

 private:
  CharsMap() = default;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace lutdb
