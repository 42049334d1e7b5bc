// The bytes of one table's rows: a sparse file, or anonymous memory of the same kind, mapped whole.
//
// Rows are written with pwrite and read through the mapping. A write through the mapping could not
// fail but by SIGBUS when the disk is full; a failed pwrite is a status, and the cache goes on with
// what it has. The page cache makes the two views one. A write of a whole aligned huge page that
// was not there before gets one; so where a write would begin or end inside of such a page, zeros
// are written to all of it first (without: a quarter of a table of 7 MiB pieces stays in small
// pages).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kHugePageBytes = 2 << 20;

class ArenaFile {
 public:
  struct Options {
    std::string path;     // empty: anonymous memory, gone with the process
    uint64_t bytes = 0;   // rounded up to 2 MiB
    bool keep = false;    // keep what the file holds if it has exactly this size; else start empty
    bool random = false;  // rows are filled one by one: no huge pages, no reading around
  };
  // ResourceExhausted when the file system, the address space or a limit of the process is too
  // small.
  static absl::StatusOr<std::unique_ptr<ArenaFile>> Open(const Options& options);
  ~ArenaFile();
  ArenaFile(const ArenaFile&) = delete;

  const uint8_t* base() const { return base_; }  // aligned to 2 MiB; holes read as zero
  bool kept() const { return kept_; }

  // Thread-safe where the pieces do not overlap.
  absl::Status Write(uint64_t offset, const uint8_t* from, uint64_t bytes);
  // Gives the memory and disk of whole pages back. offset and bytes are multiples of kPageBytes.
  absl::Status Punch(uint64_t offset, uint64_t bytes);

 private:
  ArenaFile() = default;
  absl::Status Map(bool random);
  absl::Status MakeHugePages(uint64_t offset, uint64_t bytes);
  absl::Status WriteAll(uint64_t offset, const uint8_t* from, uint64_t bytes);

  int descriptor_ = -1;
  uint64_t bytes_ = 0;
  void* reserved_ = nullptr;  // the mapping with room to align it
  uint64_t reserved_bytes_ = 0;
  uint8_t* base_ = nullptr;
  bool kept_ = false;
  std::string path_;  // for messages
  std::mutex touched_mutex_;
  std::vector<bool> touched_;  // huge pages that were written before; empty: of no interest
};

}  // namespace lutdb
