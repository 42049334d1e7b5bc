// Loads and stores of fixed-width integers at unaligned addresses, in either byte order.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace lutdb {

static_assert(std::endian::native == std::endian::little,
              "records are little-endian and read in place; a big-endian port needs swaps here");

template <typename T>
T LoadLittle(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void StoreLittle(T value, void* to) {
  std::memcpy(to, &value, sizeof(T));
}

template <typename T>
void AppendLittle(T value, std::string* to) {
  to->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Keys are big-endian so that their bytewise order is their numeric order.
template <typename T>
void AppendBig(T value, std::string* to) {
  for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
    to->push_back(static_cast<char>(static_cast<uint8_t>(value >> shift)));
  }
}

template <typename T>
T LoadBig(const void* from) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | bytes[i]);
  return value;
}

}  // namespace lutdb
