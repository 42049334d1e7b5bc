// A database that nobody writes, copied file by file to a directory that may hold what a copy that
// was cut short has written of it. Table files are written once, so one that is there with the
// right bytes is left. Each is read again after it was written.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "db/rocks.h"
#include "ingest/progress_meter.h"

namespace lutdb {

struct DatabaseCopy {
  std::string from;
  std::string to;                    // exists; what else is there is removed
  std::vector<db::LiveFile> tables;  // those in `from`
  ProgressMeter* meter = nullptr;
  const std::atomic<bool>* cancel = nullptr;
};

// ResourceExhausted when the disk has no room, DataLoss when a file is not what it was when it was
// made, Cancelled. Files are durable on return, their directory is not.
absl::Status CopyDatabase(const DatabaseCopy& copy);

}  // namespace lutdb
