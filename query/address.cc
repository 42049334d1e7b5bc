#include "query/address.h"

#include <algorithm>
#include <cctype>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr int64_t kFar = int64_t{1} << 62;

bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// Walks the text between the brackets. Places in messages count from 1 in the whole address.
class IndexParser {
 public:
  IndexParser(std::string_view address, size_t begin, size_t end)
      : address_(address), at_(begin), end_(end) {}

  absl::StatusOr<std::vector<AxisIndex>> Parse() {
    std::vector<AxisIndex> axes;
    for (;;) {
      if (axes.size() == kAddressAxes) {
        return Malformed("no more than three indices [neurons, chunks, codes]");
      }
      LUTDB_ASSIGN_OR_RETURN(const AxisIndex axis, ParseAxis());
      axes.push_back(axis);
      SkipSpace();
      if (at_ == end_) return axes;
      if (!Take(',')) return Malformed("`,`, `:` or `]`");
    }
  }

 private:
  absl::StatusOr<AxisIndex> ParseAxis() {
    AxisIndex axis;
    LUTDB_ASSIGN_OR_RETURN(axis.has_begin, ParseNumber(&axis.begin));
    if (!Take(':')) {
      if (!axis.has_begin) return Malformed("an integer or a slice such as 0:4");
      axis.is_slice = false;
      return axis;
    }
    LUTDB_ASSIGN_OR_RETURN(axis.has_end, ParseNumber(&axis.end));
    if (!Take(':')) return axis;
    LUTDB_ASSIGN_OR_RETURN(const bool has_step, ParseNumber(&axis.step));
    if (has_step && axis.step == 0) return Malformed("a step other than 0 before this");
    return axis;
  }

  // False when there is no number here.
  absl::StatusOr<bool> ParseNumber(int64_t* number) {
    SkipSpace();
    const bool negative = at_ < end_ && address_[at_] == '-';
    if (negative || (at_ < end_ && address_[at_] == '+')) {
      ++at_;
      if (at_ == end_ || !IsDigit(address_[at_])) return Malformed("a digit");
    }
    if (at_ == end_ || !IsDigit(address_[at_])) return false;
    int64_t value = 0;
    for (; at_ < end_ && IsDigit(address_[at_]); ++at_) {
      value = std::min(kFar, value > kFar / 16 ? kFar : value * 10 + (address_[at_] - '0'));
    }
    *number = negative ? -value : value;
    return true;
  }

  void SkipSpace() {
    while (at_ < end_ && IsSpace(address_[at_])) ++at_;
  }
  bool Take(char wanted) {
    SkipSpace();
    if (at_ == end_ || address_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  absl::Status Malformed(const char* expected) const {
    return InvalidArgument("address {}: expected {} at character {}", address_, expected, at_ + 1);
  }

  std::string_view address_;
  size_t at_;
  size_t end_;
};

}  // namespace

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  text = Trim(text);
  Address address;
  const size_t open = text.rfind('[');
  if (open == std::string_view::npos || text.back() != ']') {
    if (open != std::string_view::npos && text.find(']', open) == std::string_view::npos) {
      return InvalidArgument("address {}: expected `]` at its end to close the `[` at character {}",
                             text, open + 1);
    }
    if (!text.empty() && (open != std::string_view::npos || text.back() == ']')) {
      return InvalidArgument("address {}: expected table[neurons, chunks, codes]", text);
    }
    address.table = text;
  } else {
    address.table = Trim(text.substr(0, open));
    IndexParser parser(text, open + 1, text.size() - 1);
    LUTDB_ASSIGN_OR_RETURN(address.axes, parser.Parse());
  }
  if (address.table.empty()) {
    return InvalidArgument("address `{}`: expected a table's name before the indices", text);
  }
  return address;
}

absl::StatusOr<std::vector<uint32_t>> Resolve(const AxisIndex& index, uint32_t count,
                                              const char* axis, const std::string& table) {
  const int64_t length = count;
  if (!index.is_slice) {
    const int64_t at = index.begin < 0 ? index.begin + length : index.begin;
    if (at < 0 || at >= length) {
      const bool far = index.begin >= kFar || index.begin <= -kFar;  // as far as was read
      return OutOfRange("table {} has {}s 0 to {} (or -{} to -1), not {}", table, axis, length - 1,
                        length, far ? "one that far" : fmt::format("{}", index.begin));
    }
    return std::vector<uint32_t>{static_cast<uint32_t>(at)};
  }
  // Clip as Python does: an ascending slice lies in [0, length], a descending one in [-1, length -
  // 1].
  const bool down = index.step < 0;
  const int64_t low = down ? -1 : 0;
  const int64_t high = down ? length - 1 : length;
  const auto clip = [&](bool given, int64_t bound, int64_t otherwise) {
    if (!given) return otherwise;
    return std::clamp(bound < 0 ? bound + length : bound, low, high);
  };
  const int64_t begin = clip(index.has_begin, index.begin, down ? high : low);
  const int64_t end = clip(index.has_end, index.end, down ? low : high);
  const int64_t span = down ? begin - end : end - begin;
  const int64_t stride = down ? -index.step : index.step;
  const int64_t selected = span <= 0 ? 0 : (span - 1) / stride + 1;
  if (selected > int64_t{1} << 31) {
    return ResourceExhausted("{} {}s of table {} are too many for one lookup", selected, axis,
                             table);
  }
  std::vector<uint32_t> list;
  list.reserve(static_cast<size_t>(selected));
  for (int64_t i = 0; i < selected; ++i) {
    list.push_back(static_cast<uint32_t>(begin + i * index.step));
  }
  return list;
}

}  // namespace lutdb
