// idx files (MNIST's format): a magic number, big-endian sizes, then bytes; plain or gzipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lutdb {

// Reads one from front to back, so that neither its claimed nor its unpacked size costs memory.
class IdxFile {
 public:
  // NotFound when absent; DataLoss when it is not an idx file of unsigned bytes of 1 to 4
  // dimensions.
  static absl::StatusOr<std::unique_ptr<IdxFile>> Open(const std::string& path);
  ~IdxFile();
  IdxFile(const IdxFile&) = delete;

  const std::string& path() const { return path_; }
  uint32_t count() const { return sizes_.front(); }              // items: the first dimension
  const std::vector<uint32_t>& sizes() const { return sizes_; }  // of every dimension
  uint64_t item_bytes() const;                                   // product of the other dimensions

  // The next bytes; DataLoss when the file ends before or its compression is damaged.
  absl::Status Read(absl::Span<uint8_t> bytes);
  // DataLoss unless everything was read and nothing follows.
  absl::Status ExpectEnd();

 private:
  IdxFile(std::string path, void* gzip) : path_(std::move(path)), gzip_(gzip) {}

  std::string path_;
  void* gzip_;  // zlib's gzFile, which also reads plain files
  std::vector<uint32_t> sizes_;
};

}  // namespace lutdb
