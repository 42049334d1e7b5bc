// The recording of what was done to a directory, change by change, and its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lutdb::fault {

enum class Change : uint8_t {
  kBind = 1,         // `path` is from now on called file number `file`
  kCreate,           // a new empty file number `file` at `path`
  kWrite,            // `bytes` at `offset` of `file`
  kTruncate,         // `file` has `offset` bytes
  kSync,             // of `file`
  kSyncDirectory,    // of `path`
  kRename,           // `path` to `to`
  kLink,             // `to` is another name of `path`
  kUnlink,           // `path`
  kMakeDirectory,    // `path`
  kRemoveDirectory,  // `path`
  kAcknowledge,      // the work was told that what it did is done
};

struct DiskChange {
  Change change;
  uint64_t file = 0;
  uint64_t offset = 0;
  std::string path = {};
  std::string to = {};
  std::string bytes = {};
};

// Appends one change to *out.
void EncodeChange(const DiskChange& change, std::string* out);
// All whole changes of a recording.
std::vector<DiskChange> DecodeChanges(std::string_view bytes);

}  // namespace lutdb::fault
