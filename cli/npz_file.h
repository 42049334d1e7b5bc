// NumPy's .npz files: a zip of .npy arrays, stored or deflated. Read with libzip, which checks each
// array's CRC.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct zip;

namespace lutdb::cli {

class NpzFile {
 public:
  // NotFound, or DataLoss when it is no zip.
  static absl::StatusOr<std::unique_ptr<NpzFile>> Open(const std::string& path);
  ~NpzFile();
  NpzFile(const NpzFile&) = delete;

  bool Has(const std::string& array) const;
  // The bytes of the array's .npy. NotFound; DataLoss when damaged; ResourceExhausted beyond
  // bytes_max, whatever the file claims.
  absl::StatusOr<std::string> Read(const std::string& array, uint64_t bytes_max) const;
  // "file.npz: neuron", for messages.
  std::string Where(const std::string& array) const { return path_ + ": " + array; }

 private:
  NpzFile(std::string path, zip* archive) : path_(std::move(path)), archive_(archive) {}
  const std::string path_;
  zip* const archive_;
};

}  // namespace lutdb::cli
