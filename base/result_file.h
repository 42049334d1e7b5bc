// Files that a command writes for its user.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace lutdb {

// Written under a temporary name and renamed when whole; what is there and no regular file (a pipe,
// a device) is written to as it is. Errors: Unavailable.
class ResultFile {
 public:
  static absl::StatusOr<std::unique_ptr<ResultFile>> Create(const std::string& path);
  ~ResultFile();  // without Finish nothing is left behind
  ResultFile(const ResultFile&) = delete;

  void Write(const void* bytes, size_t count);  // Finish says when it failed
  absl::Status Finish();

 private:
  ResultFile(std::string path, std::string written_path, FILE* file);
  std::string path_, written_path_;
  FILE* file_;
  bool failed_ = false;
};

absl::Status WriteResultFile(const std::string& path, std::string_view bytes);

}  // namespace lutdb
