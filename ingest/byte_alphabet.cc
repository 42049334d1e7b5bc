#include "ingest/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace lutdb {
namespace {

constexpr uint32_t kFirstStandIn = 0x100;

bool StandsForItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Byte of each code point below 0x180, -1 where it has none.
const std::array<int16_t, 0x180>& Bytes() {
  static const std::array<int16_t, 0x180> bytes = [] {
    std::array<int16_t, 0x180> table;
    table.fill(-1);
    uint32_t stand_in = kFirstStandIn;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      table[StandsForItself(byte) ? byte : stand_in++] = static_cast<int16_t>(byte);
    }
    return table;
  }();
  return bytes;
}

}  // namespace

bool FromByteAlphabet(std::string_view text, std::string* bytes) {
  bytes->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t code_point = static_cast<uint8_t>(text[i]);
    if (code_point >= 0x80) {
      // All letters of the alphabet have one or two bytes.
      if (code_point < 0xC2 || code_point > 0xDF || i + 1 == text.size()) return false;
      const auto next = static_cast<uint8_t>(text[++i]);
      if ((next & 0xC0) != 0x80) return false;
      code_point = (code_point & 0x1F) << 6 | (next & 0x3F);
    }
    if (code_point >= Bytes().size() || Bytes()[code_point] < 0) return false;
    bytes->push_back(static_cast<char>(Bytes()[code_point]));
  }
  return true;
}

}  // namespace lutdb
