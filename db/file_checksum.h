// Whole-file checksums of SST files: XXH3-64, ten times as fast as the CRC32C of Debian's RocksDB.
// RocksDB keeps each file's in its own manifest. Internal to db.
#pragma once

#include <rocksdb/file_checksum.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace lutdb::db {

std::shared_ptr<rocksdb::FileChecksumGenFactory> FileChecksumFactory();

// The checksum of bytes, in the form RocksDB records.
std::string ChecksumOf(std::string_view bytes);

// The checksum of a file's bytes as they are now, in the form RocksDB records; *bytes gets their
// number. DataLoss when the file is absent, Unavailable when it cannot be read.
absl::StatusOr<std::string> ChecksumOfFile(const std::string& path, uint64_t* bytes);

}  // namespace lutdb::db
