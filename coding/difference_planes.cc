#include "coding/difference_planes.h"

#include <algorithm>
#include <bit>

#include "coding/planes.h"

namespace lutdb {
namespace {

constexpr uint32_t kShiftMax = 15;
constexpr uint32_t kOrderMax = 2;  // differences of differences
constexpr size_t kHead = 3;        // kind, shift, order

// Small negative numbers become small: 0, -1, 1, -2, ... are 0, 1, 2, 3.
uint16_t Fold(uint16_t x) {
  const auto sign = static_cast<uint16_t>(x >> 15 != 0 ? 0xffff : 0);
  return static_cast<uint16_t>(static_cast<uint16_t>(x << 1) ^ sign);
}
uint16_t Unfold(uint16_t x) {
  const auto sign = static_cast<uint16_t>((x & 1) != 0 ? 0xffff : 0);
  return static_cast<uint16_t>((x >> 1) ^ sign);
}

}  // namespace

std::string DifferencePlanes(char kind, const NumbersFn& difference, Numbers* numbers) {
  uint32_t all = 0;
  for (const uint16_t number : *numbers) all |= number;
  const uint32_t shift =
      all == 0 ? 0 : std::min(kShiftMax, static_cast<uint32_t>(std::countr_zero(all)));
  for (uint16_t& number : *numbers) {
    number = static_cast<uint16_t>(static_cast<int16_t>(number) >> shift);
  }
  std::string best, body;
  Numbers folded(numbers->size());
  for (uint32_t order = 0; order <= kOrderMax; ++order) {
    if (order > 0) difference(numbers);
    std::transform(numbers->begin(), numbers->end(), folded.begin(), Fold);
    body = {kind, static_cast<char>(shift), static_cast<char>(order)};
    AppendPlanes(folded.data(), folded.size(), sizeof(uint16_t), &body);
    if (best.empty() || body.size() < best.size()) best.swap(body);
  }
  return best;
}

bool ReadDifferencePlanes(std::string_view* body, const NumbersFn& integrate, Numbers* numbers) {
  if (body->size() < kHead) return false;
  const auto shift = static_cast<uint8_t>((*body)[1]);
  const auto order = static_cast<uint8_t>((*body)[2]);
  if (shift > kShiftMax || order > kOrderMax) return false;
  body->remove_prefix(kHead);
  if (!ReadPlanes(body, numbers->size(), sizeof(uint16_t), numbers->data()).ok()) return false;
  std::transform(numbers->begin(), numbers->end(), numbers->begin(), Unfold);
  for (uint32_t i = 0; i < order; ++i) integrate(numbers);
  for (uint16_t& number : *numbers) number = static_cast<uint16_t>(number << shift);
  return true;
}

}  // namespace lutdb
