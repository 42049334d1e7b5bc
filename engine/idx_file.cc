#include "engine/idx_file.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace lutdb {

absl::StatusOr<std::unique_ptr<IdxFile>> IdxFile::Open(const std::string& path) {
  if (!PathExists(path)) return NotFound("{}: no such file", path);
  if (IsDirectory(path)) return DataLoss("{} is a directory, not an idx file", path);
  gzFile gzip = gzopen(path.c_str(), "rb");
  if (gzip == nullptr) return Unavailable("{}: cannot be opened", path);
  auto file = std::unique_ptr<IdxFile>(new IdxFile(path, gzip));
  uint8_t magic[4];
  LUTDB_RETURN_IF_ERROR(file->Read(absl::MakeSpan(magic)));
  constexpr uint8_t kUnsignedBytes = 8;
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != kUnsignedBytes || magic[3] < 1 ||
      magic[3] > 4) {
    return DataLoss(
        "{} is not an idx file of unsigned bytes: it begins with {:02x}{:02x}{:02x}{:02x}", path,
        magic[0], magic[1], magic[2], magic[3]);
  }
  for (int i = 0; i < magic[3]; ++i) {
    uint8_t size[4];
    LUTDB_RETURN_IF_ERROR(file->Read(absl::MakeSpan(size)));
    file->sizes_.push_back(LoadBig<uint32_t>(size));
  }
  uint64_t item_bytes = 1;  // bounded at every step, so that the product cannot wrap
  for (size_t i = 1; i < file->sizes_.size(); ++i) {
    item_bytes *= file->sizes_[i];
    if (item_bytes == 0 || item_bytes > std::numeric_limits<uint32_t>::max()) {
      return DataLoss("{} claims items of an absurd size", path);
    }
  }
  return file;
}

IdxFile::~IdxFile() { gzclose_r(static_cast<gzFile>(gzip_)); }

uint64_t IdxFile::item_bytes() const {
  uint64_t bytes = 1;
  for (size_t i = 1; i < sizes_.size(); ++i) bytes *= sizes_[i];
  return bytes;
}

absl::Status IdxFile::Read(absl::Span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto want = static_cast<unsigned>(std::min<size_t>(bytes.size(), 1 << 20));
    const int got = gzread(static_cast<gzFile>(gzip_), bytes.data(), want);
    if (got <= 0) {
      int error = Z_OK;
      const char* reason = gzerror(static_cast<gzFile>(gzip_), &error);
      if (error == Z_OK || error == Z_BUF_ERROR) return DataLoss("{} is truncated", path_);
      return DataLoss("{} cannot be unpacked: {}", path_, reason);
    }
    bytes.remove_prefix(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::Status IdxFile::ExpectEnd() {
  uint8_t extra;
  const int got = gzread(static_cast<gzFile>(gzip_), &extra, 1);
  if (got == 0) {
    int error = Z_OK;
    gzerror(static_cast<gzFile>(gzip_), &error);
    if (error == Z_OK) return absl::OkStatus();
    return DataLoss("{} is truncated", path_);
  }
  if (got < 0) return DataLoss("{} cannot be unpacked to its end", path_);
  return DataLoss("{} is longer than the {} items it claims", path_, count());
}

}  // namespace lutdb
