#include "engine/chars_map.h"

#include "base/bytes.h"
#include "base/status.h"

namespace lutdb {
namespace {

// Fields of a unit of the trie.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7fffffff; }
uint32_t Label(uint32_t unit) { return unit & 0x800000ff; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

}  // namespace

absl::StatusOr<CharsMap> CharsMap::Parse(std::string_view bytes) {
  if (bytes.size() < sizeof(uint32_t)) {
    return DataLoss("the tokenizer's character map has only {} bytes", bytes.size());
  }
  const uint32_t trie_bytes = LoadLittle<uint32_t>(bytes.data());
  bytes.remove_prefix(sizeof(uint32_t));
  if (trie_bytes > bytes.size() || trie_bytes % sizeof(uint32_t) != 0) {
    return DataLoss("the tokenizer's character map is damaged: a trie of {} bytes in {}",
                    trie_bytes, bytes.size());
  }
  CharsMap map;
  map.units_.resize(trie_bytes / sizeof(uint32_t));
  for (size_t i = 0; i < map.units_.size(); ++i) {
    map.units_[i] = LoadLittle<uint32_t>(bytes.data() + i * sizeof(uint32_t));
  }
  map.replacements_ = bytes.substr(trie_bytes);
  if (!map.replacements_.empty() && map.replacements_.back() != '\0') {
    return DataLoss("the tokenizer's character map is damaged: its last replacement has no end");
  }
  return map;
}

CharsMap::Found CharsMap::FindPrefix(std::string_view text) const {
  Found found;
  if (units_.empty()) return found;
  uint32_t at = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || Label(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (at >= units_.size() || Value(units_[at]) >= replacements_.size()) break;
    found.bytes = i + 1;
    found.replacement = std::string_view(replacements_.data() + Value(units_[at]));
  }
  return found;
}

}  // namespace lutdb
