// RocksDB's statuses become ours here and nowhere else.

#include <algorithm>

#include "base/status.h"
#include "db/rocks_options.h"

namespace lutdb::db {

std::string OneLine(const rocksdb::Status& status) {
  std::string reason = status.ToString();
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  return reason;
}

absl::Status Translate(const rocksdb::Status& status, const std::string& where) {
  if (status.ok()) return absl::OkStatus();
  const std::string reason = OneLine(status);
  // A full disk comes as an IOError, with or without the subcode.
  if (status.subcode() == rocksdb::Status::kNoSpace ||
      reason.find("No space left") != std::string::npos) {
    return ResourceExhausted("{}: the disk is full ({}): free some space and try again", where,
                             reason);
  }
  if (status.subcode() == rocksdb::Status::kMemoryLimit || status.IsMemoryLimit()) {
    return ResourceExhausted("{}: out of memory ({})", where, reason);
  }
  if (status.IsCorruption()) {
    return DataLoss("{} is damaged ({}): `lutdb verify --deep` shows where, `lutdb repair` mends",
                    where, reason);
  }
  if (status.IsPathNotFound()) {
    return DataLoss(
        "{} has lost a file ({}): `lutdb verify --deep` shows which, `lutdb repair` mends", where,
        reason);
  }
  if (status.IsNotFound()) return NotFound("{}: no such key", where);
  if (status.IsBusy() || status.IsTryAgain()) return FailedPrecondition("{}: {}", where, reason);
  if (status.IsIOError() && reason.find("lock") != std::string::npos) {
    return FailedPrecondition("{} is in use by another process ({})", where, reason);
  }
  // Debian's RocksDB answers so when its files do not hold what they should.
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return DataLoss("{}: {}", where, reason);
  }
  return Unavailable("{}: {}", where, reason);
}

absl::Status TranslateOpen(const rocksdb::Status& status, const std::string& where) {
  if (status.IsNotFound() || status.IsInvalidArgument()) {
    return DataLoss("{} is not a database lutdb can open: {}", where, OneLine(status));
  }
  return Translate(status, where);
}

}  // namespace lutdb::db
