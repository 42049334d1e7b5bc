// A check that RocksDB leaves out. It takes the properties of a table file apart before it compares
// their checksum (a file may be changed there while it is ingested; ours never are), and Debian
// builds it with assertions: one spoilt bit, or a read from the wrong place, ended the process.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <memory>
#include <string>

namespace lutdb::db {

// Wraps `*file`, opened at `path` and of `bytes` bytes, so that a read of its table properties
// fails with Corruption where they differ from their checksum. Reads the end of the file. What is
// no table in RocksDB's format 5 with XXH3 checksums, the one we write, is left alone: RocksDB says
// why.
rocksdb::IOStatus GuardTable(const std::string& path, uint64_t bytes,
                             std::unique_ptr<rocksdb::FSRandomAccessFile>* file);

}  // namespace lutdb::db
