// Text <-> tokens by a TokenizerSpec. One kind so far: score BPE, as llama2.c and SentencePiece do
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/utf8.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Immutable after construction; thread-safe.
class Tokenizer {
 public:
  // spec.kind may be kAbsent: then Encode and Decode refuse. spec was checked when it was parsed.
  explicit Tokenizer(TokenizerSpec spec);
  Tokenizer(const Tokenizer&) = delete;

  bool present() const { return spec_.kind != TokenizerKind::kAbsent; }
  const TokenizerSpec& spec() const { return spec_; }

  // BOS (when the spec says so), then the text: a space before it when it is not empty, each UTF-8
  // character as its token, or as byte tokens, or as the unknown token; then the adjacent pair
  // whose union is the token of highest score is merged, the leftmost among equals, until there is
  // none. O(n log n). InvalidArgument for text that is not UTF-8 or a character without any token.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const;

  // The bytes of one token that follows `previous` (-1: none): a byte token's byte, nothing for BOS
  // and EOS, one leading space dropped after BOS. OutOfRange for an id that does not exist.
  absl::StatusOr<std::string_view> Piece(int32_t previous, int32_t token) const;

  // Pieces joined; bytes that are not UTF-8 become U+FFFD.
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> tokens) const;

 private:
  absl::Status AppendCharacter(std::string_view character, std::vector<int32_t>* tokens) const;
  void Merge(std::vector<int32_t>* tokens) const;
  uint32_t Find(std::string_view piece) const;

  TokenizerSpec spec_;
  std::unordered_map<std::string_view, uint32_t> ids_;  // views into spec_.tokens; lowest id wins
  std::vector<uint32_t> byte_ids_;                      // token of each byte, kNone when absent
  std::vector<int16_t> byte_of_;                        // per token: its byte, -1 when none
  std::string bytes_;                                   // all 256, for pieces to point into
};

}  // namespace lutdb
