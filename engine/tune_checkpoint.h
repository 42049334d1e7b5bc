// Files that an interrupted run of training goes on from. Each belongs to one run, named by a
// fingerprint of everything its entries depend on, and to the commit of the branch it began at. It
// is a magic line, the fingerprint, the body, and XXH3-64 of all of these.
//
// Neither writing nor reading holds a checkpoint in memory: the arrays of a run are its largest
// part, and it would otherwise need them twice.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/file.h"
#include "coding/hash.h"

namespace lutdb {

// The file of a run that begins at commit `head` ("": the build) of a branch. Makes its folder and
// removes what runs from other commits of the branch left there: a branch that moved on takes no
// commit of theirs, so nobody goes on from them.
absl::StatusOr<std::string> CheckpointPath(const std::string& store, const std::string& branch,
                                           const std::string& head, uint64_t fingerprint);

// What WriteCheckpoint gives to write the body with. The first error is kept and ends the writing.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(const AppendBytes& append) : append_(append) {}

  template <typename T>
  void Number(T value) {
    AppendLittle(value, &buffer_);
    if (buffer_.size() >= kBufferBytes) Flush();
  }
  void Bytes(const void* bytes, size_t count);
  // Appends the hash; returns the first error.
  absl::Status Finish();

 private:
  static constexpr size_t kBufferBytes = 1 << 16;
  void Flush();
  void Append(std::string_view bytes);

  const AppendBytes& append_;
  std::string buffer_;
  Hash64 hash_;
  absl::Status status_;
};

// Replaces the file atomically. magic: one line.
absl::Status WriteCheckpoint(const std::string& path, std::string_view magic, uint64_t fingerprint,
                             const std::function<void(CheckpointWriter&)>& write_body);

// A whole checkpoint of this very run, mapped.
class Checkpoint {
 public:
  // Nothing for a file that is absent, damaged or another run's: that costs time only.
  static std::optional<Checkpoint> Open(const std::string& path, std::string_view magic,
                                        uint64_t fingerprint);
  std::string_view body() const;

 private:
  Checkpoint(MappedFile file, size_t begin) : file_(std::move(file)), begin_(begin) {}

  MappedFile file_;
  size_t begin_;
};

}  // namespace lutdb
