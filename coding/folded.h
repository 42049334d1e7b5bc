// Numbers of 16 bits with the sign folded in: 0, -1, 1, -2, ... are 0, 1, 2, 3, so that small
// negative numbers are small. Arithmetic around them is modulo 2^16 and cannot overflow.
#pragma once

#include <cstdint>

namespace lutdb {

inline uint16_t Fold(uint16_t x) {
  const auto sign = static_cast<uint16_t>(x >> 15 != 0 ? 0xffff : 0);
  return static_cast<uint16_t>(static_cast<uint16_t>(x << 1) ^ sign);
}

inline uint16_t Unfold(uint16_t x) {
  const auto sign = static_cast<uint16_t>((x & 1) != 0 ? 0xffff : 0);
  return static_cast<uint16_t>((x >> 1) ^ sign);
}

}  // namespace lutdb
