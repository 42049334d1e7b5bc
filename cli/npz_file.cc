#include "cli/npz_file.h"

#include <zip.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"

namespace lutdb::cli {

absl::StatusOr<std::unique_ptr<NpzFile>> NpzFile::Open(const std::string& path) {
  if (!PathExists(path)) return NotFound("{}: there is no such file", path);
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    return DataLoss("{}: not a .npz file: {}", path, reason);
  }
  return std::unique_ptr<NpzFile>(new NpzFile(path, archive));
}

NpzFile::~NpzFile() { zip_discard(archive_); }

bool NpzFile::Has(const std::string& array) const {
  return zip_name_locate(archive_, (array + ".npy").c_str(), 0) >= 0;
}

absl::StatusOr<std::string> NpzFile::Read(const std::string& array, uint64_t bytes_max) const {
  const std::string name = array + ".npy";
  zip_stat_t stat;
  if (zip_stat(archive_, name.c_str(), 0, &stat) != 0) {
    return NotFound("{}: there is no array '{}'", path_, array);
  }
  zip_file_t* file = zip_fopen(archive_, name.c_str(), 0);
  if (file == nullptr) {
    return DataLoss("{}: cannot be read: {}", Where(array), zip_strerror(archive_));
  }
  // The size that the directory claims sizes nothing: bytes come in pieces until they end.
  std::string bytes;
  absl::Status status;
  constexpr size_t kPieceBytes = 1 << 20;
  while (status.ok()) {
    const size_t before = bytes.size();
    bytes.resize(before + kPieceBytes);
    const zip_int64_t got = zip_fread(file, bytes.data() + before, kPieceBytes);
    bytes.resize(before + static_cast<size_t>(std::max<zip_int64_t>(got, 0)));
    if (got < 0) status = DataLoss("{}: damaged: {}", Where(array), zip_file_strerror(file));
    if (got <= 0) break;
    if (bytes.size() > bytes_max) {
      status =
          ResourceExhausted("{}: more than {} bytes; split the patch", Where(array), bytes_max);
    }
  }
  zip_fclose(file);
  if (!status.ok()) return status;
  return bytes;
}

}  // namespace lutdb::cli
