// Small files of our own beside a database: bytes, and then their XXH3-64 in eight bytes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace lutdb::db {

// The bytes before the checksum. DataLoss when they are not what it says, errors of ReadFile.
absl::StatusOr<std::string> ReadSealed(const std::string& path, uint64_t bytes_max);

// Whole or not at all.
absl::Status WriteSealed(const std::string& path, std::string bytes);

}  // namespace lutdb::db
