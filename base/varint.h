// Variable-length integers: seven bits a byte, the lowest first, the top bit set in all but the
// last byte (LEB128; protocol buffers, RocksDB and our patch records have them).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace lutdb {

inline void AppendVarint(uint64_t value, std::string* to) {
  for (; value >= 0x80; value >>= 7) to->push_back(static_cast<char>(value | 0x80));
  to->push_back(static_cast<char>(value));
}

// Reads the integer at *at and moves *at behind it. False, and *value untouched, at the end of the
// bytes and for a number that T (unsigned) does not hold.
template <typename T>
bool ReadVarint(std::string_view bytes, size_t* at, T* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < std::numeric_limits<T>::digits && *at < bytes.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes[(*at)++]);
    const uint64_t part = byte & 0x7fu;
    if (part > (std::numeric_limits<T>::max() >> shift)) return false;
    result |= part << shift;
    if (byte >= 0x80) continue;
    *value = static_cast<T>(result);
    return true;
  }
  return false;
}

}  // namespace lutdb
