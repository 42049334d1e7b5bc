#include "base/result_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace lutdb {

ResultFile::ResultFile(std::string path, std::string written_path, FILE* file)
    : path_(std::move(path)), written_path_(std::move(written_path)), file_(file) {}

ResultFile::~ResultFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  if (written_path_ != path_) std::remove(written_path_.c_str());
}

absl::StatusOr<std::unique_ptr<ResultFile>> ResultFile::Create(const std::string& path) {
  struct stat info = {};
  const bool special = stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
  std::string written_path = special ? path : path + ".tmp";
  FILE* file = std::fopen(written_path.c_str(), "wb");
  if (file == nullptr) {
    return Unavailable("{}: cannot be written: {}", path, std::strerror(errno));
  }
  return std::unique_ptr<ResultFile>(new ResultFile(path, std::move(written_path), file));
}

void ResultFile::Write(const void* bytes, size_t count) {
  if (count > 0 && std::fwrite(bytes, 1, count, file_) != count) failed_ = true;
}

absl::Status ResultFile::Finish() {
  failed_ |= std::fflush(file_) != 0;
  if (!failed_) {
    failed_ |= std::fclose(std::exchange(file_, nullptr)) != 0;
    if (written_path_ != path_) {
      failed_ |= std::rename(written_path_.c_str(), path_.c_str()) != 0;
    }
  }
  if (!failed_) return absl::OkStatus();
  return Unavailable("{}: cannot be written: {}", path_, std::strerror(errno));
}

absl::Status WriteResultFile(const std::string& path, std::string_view bytes) {
  LUTDB_ASSIGN_OR_RETURN(const auto file, ResultFile::Create(path));
  file->Write(bytes.data(), bytes.size());
  return file->Finish();
}

}  // namespace lutdb
