#include "engine/tokenizer_vocabulary.h"

#include <algorithm>

namespace lutdb {

int ByteOfToken(std::string_view token) {
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

Vocabulary::Vocabulary(const TokenizerSpec& spec) {
  byte_ids_.fill(kNone);
  ids_.reserve(spec.tokens.size());
  for (uint32_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (token.empty()) continue;
    ids_.try_emplace(token, id);
    longest_bytes_ = std::max(longest_bytes_, token.size());
    int byte = -1;
    if (!spec.byte_level) {
      byte = ByteOfToken(token);
    } else if (token.size() == 1) {
      byte = static_cast<uint8_t>(token[0]);
    }
    if (byte >= 0 && byte_ids_[byte] == kNone) byte_ids_[byte] = id;
  }
}

bool Vocabulary::AppendBytes(std::string_view character, std::vector<int32_t>* tokens) const {
  for (const char byte : character) {
    if (OfByte(byte) == kNone) return false;
  }
  for (const char byte : character) tokens->push_back(static_cast<int32_t>(OfByte(byte)));
  return true;
}

}  // namespace lutdb
