#include "lutdb/types.h"

#include <fmt/format.h>

namespace lutdb {

const char* Name(EntryType type) {
  switch (type) {
    case EntryType::kI8:
      return "i8";
    case EntryType::kI16:
      return "i16";
  }
  return "unknown";
}

const char* Name(Grid grid) {
  switch (grid) {
    case Grid::kSigned:
      return "signed";
    case Grid::kUnsigned:
      return "unsigned";
    case Grid::kLearned:
      return "learned";
  }
  return "unknown";
}

const char* Name(Layout layout) {
  switch (layout) {
    case Layout::kTile:
      return "tile";
    case Layout::kRow:
      return "row";
  }
  return "unknown";
}

const char* Name(Codec codec) {
  switch (codec) {
    case Codec::kSmallest:
      return "smallest";
    case Codec::kProduct:
      return "product";
    case Codec::kDelta:
      return "delta";
    case Codec::kRaw:
      return "raw";
  }
  return "unknown";
}

Hash128& Hash128::operator+=(const Hash128& other) {
  low += other.low;
  high += other.high + (low < other.low ? 1 : 0);  // carry
  return *this;
}

Hash128& Hash128::operator-=(const Hash128& other) {
  const uint64_t borrow = low < other.low ? 1 : 0;
  low -= other.low;
  high -= other.high + borrow;
  return *this;
}

std::string Hash128::Hex() const { return fmt::format("{:016x}{:016x}", high, low); }

}  // namespace lutdb
