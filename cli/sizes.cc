#include "cli/sizes.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/status.h"

namespace lutdb::cli {
namespace {

// The power of 1024 a unit stands for, or -1.
int UnitPower(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.empty() || unit == "b") return 0;
  constexpr std::string_view kLetters = "kmgt";
  const size_t power = kLetters.find(unit[0]);
  if (power == std::string_view::npos) return -1;
  return unit.size() == 1 || unit.substr(1) == "ib" ? static_cast<int>(power) + 1 : -1;
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  size_t digits = 0;
  uint64_t value = 0;
  bool fits = true;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    fits = fits && !__builtin_mul_overflow(value, uint64_t{10}, &value) &&
           !__builtin_add_overflow(value, static_cast<uint64_t>(text[digits] - '0'), &value);
    ++digits;
  }
  size_t unit_begin = digits;
  if (unit_begin < text.size() && text[unit_begin] == ' ') ++unit_begin;
  const int power = UnitPower(std::string(text.substr(unit_begin)));
  if (digits == 0 || power < 0) {
    return InvalidArgument("'{}' is not a size; write a whole number with B, KiB, MiB, GiB or TiB",
                           text);
  }
  for (int i = 0; i < power; ++i) {
    fits = fits && !__builtin_mul_overflow(value, uint64_t{1024}, &value);
  }
  if (!fits) return InvalidArgument("'{}' is too large a size: it must fit 64 bits", text);
  return value;
}

std::string HumanBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  // 999.5 would be printed with four digits, so the next unit begins there.
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f} B", bytes);
  const int decimals = bytes < 9.995 ? 2 : bytes < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", bytes, decimals, kUnits[unit]);
}

std::string HumanCount(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string HumanSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 0.0995) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 59.95) return fmt::format("{:.{}f} s", seconds, seconds < 9.995 ? 2 : 1);
  const uint64_t whole = static_cast<uint64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace lutdb::cli
