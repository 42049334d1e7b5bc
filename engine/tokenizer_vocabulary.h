// Finding tokens by their bytes, and the byte tokens "<0x41>" among them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// The byte of a token written "<0x41>", or -1.
int ByteOfToken(std::string_view token);

// Immutable after construction; thread-safe. Refers to the tokens it was made of.
class Vocabulary {
 public:
  explicit Vocabulary(const TokenizerSpec& spec);

  // The lowest id with these bytes, or kNone.
  uint32_t Find(std::string_view piece) const {
    const auto found = ids_.find(piece);
    return found == ids_.end() ? kNone : found->second;
  }
  // The byte token of a byte ("<0x41>", in byte-level vocabularies the byte itself), or kNone.
  uint32_t OfByte(char byte) const { return byte_ids_[static_cast<uint8_t>(byte)]; }
  // Appends the byte tokens of a character; false, and nothing appended, unless there are all.
  bool AppendBytes(std::string_view character, std::vector<int32_t>* tokens) const;

  size_t longest_bytes() const { return longest_bytes_; }

 private:
  absl::flat_hash_map<std::string_view, uint32_t> ids_;
  std::array<uint32_t, 256> byte_ids_;
  size_t longest_bytes_ = 0;
};

}  // namespace lutdb
