#include "engine/tar_file.h"

#include <algorithm>
#include <cstdint>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kChecksumAt = 148, kChecksumBytes = 8;

// A field's text up to its first NUL.
std::string_view Text(std::string_view header, size_t at, size_t bytes) {
  const std::string_view field = header.substr(at, bytes);
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

// Octal digits between spaces; false for anything else.
bool Octal(std::string_view header, size_t at, size_t bytes, uint64_t* value) {
  std::string_view digits = Text(header, at, bytes);
  while (!digits.empty() && digits.front() == ' ') digits.remove_prefix(1);
  while (!digits.empty() && digits.back() == ' ') digits.remove_suffix(1);
  *value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '7') return false;
    *value = *value * 8 + static_cast<uint64_t>(c - '0');  // at most 12 digits: 36 bits
  }
  return !digits.empty();
}

// The sum of the header's bytes, those of the checksum counted as spaces.
bool ChecksumHolds(std::string_view header) {
  uint64_t stored = 0, sum = 0;
  if (!Octal(header, kChecksumAt, kChecksumBytes, &stored)) return false;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool own = i >= kChecksumAt && i < kChecksumAt + kChecksumBytes;
    sum += own ? uint64_t{' '} : static_cast<uint8_t>(header[i]);
  }
  return sum == stored;
}

}  // namespace

absl::StatusOr<std::vector<TarMember>> ListTar(std::string_view archive, const std::string& path) {
  std::vector<TarMember> members;
  size_t at = 0;
  while (at < archive.size()) {
    if (archive.size() - at < kBlock) return DataLoss("{} is truncated at byte {}", path, at);
    const std::string_view header = archive.substr(at, kBlock);
    if (header.find_first_not_of('\0') == std::string_view::npos) break;  // the end mark
    uint64_t size = 0;
    if (!ChecksumHolds(header) || !Octal(header, 124, 12, &size)) {
      return DataLoss("{} is not a tar archive, or damaged at byte {}", path, at);
    }
    at += kBlock;
    if (size > archive.size() - at) {
      return DataLoss("{} is truncated: a member at byte {} claims {} bytes", path, at, size);
    }
    const char type = header[156];
    if (type == '0' || type == '\0') {
      std::string name(Text(header, 345, 155));
      if (!name.empty()) name += '/';
      name += Text(header, 0, 100);
      members.push_back({std::move(name), archive.substr(at, size)});
    }
    at += std::min<size_t>((size + kBlock - 1) / kBlock * kBlock, archive.size() - at);
  }
  return members;
}

}  // namespace lutdb
