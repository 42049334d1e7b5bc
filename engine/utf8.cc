#include "engine/utf8.h"

#include <algorithm>
#include <cstdint>

namespace lutdb {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

Utf8Prefix ReadUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {.start = Utf8Start::kCharacter, .bytes = 1};
  size_t bytes = 0;
  uint8_t low = 0x80, high = 0xBF;  // of the second byte; the narrow cases exclude what is
                                    // overlong, a surrogate or too large
  if (lead >= 0xC2 && lead <= 0xDF) {
    bytes = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    bytes = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    bytes = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {.start = Utf8Start::kInvalid, .bytes = 1};
  }
  const size_t present = std::min(bytes, text.size());
  for (size_t i = 1; i < present; ++i) {
    if (byte(i) < low || byte(i) > high) return {.start = Utf8Start::kInvalid, .bytes = i};
    low = 0x80;
    high = 0xBF;
  }
  if (present < bytes) return {.start = Utf8Start::kIncomplete, .bytes = present};
  return {.start = Utf8Start::kCharacter, .bytes = bytes};
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = ReadUtf8(text);
    if (prefix.start != Utf8Start::kCharacter) return false;
    text.remove_prefix(prefix.bytes);
  }
  return true;
}

void Utf8Joiner::Push(std::string_view bytes, std::string* out) {
  pending_.append(bytes);
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Prefix prefix = ReadUtf8(rest);
    if (prefix.start == Utf8Start::kIncomplete) break;
    out->append(prefix.start == Utf8Start::kCharacter ? rest.substr(0, prefix.bytes)
                                                      : kReplacement);
    rest.remove_prefix(prefix.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
}

void Utf8Joiner::Finish(std::string* out) {
  if (!pending_.empty()) out->append(kReplacement);
  pending_.clear();
}

}  // namespace lutdb
