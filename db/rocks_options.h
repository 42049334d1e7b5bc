// RocksDB's options and names, and the translation of its statuses. Internal to db.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "db/rocks.h"

namespace lutdb::db {

// Families of generation 1. Base families carry their generation, so that a new one can stand
// beside.
const char* FamilyName(Family family);

rocksdb::ColumnFamilyOptions FamilyOptions(Family family,
                                           const std::shared_ptr<rocksdb::Cache>& cache);
rocksdb::DBOptions DatabaseOptions(const OpenOptions& options);
std::vector<rocksdb::ColumnFamilyDescriptor> Families(const std::shared_ptr<rocksdb::Cache>& cache,
                                                      bool history_only);

// One line with the path; OK stays OK. Only RocksDB's NotFound, a key that is absent, becomes
// NotFound: a file that is absent is DataLoss.
absl::Status Translate(const rocksdb::Status& status, const std::string& where);
// The same for opening a database, where nothing is a matter of keys.
absl::Status TranslateOpen(const rocksdb::Status& status, const std::string& where);
// What SstWriter computed of a finished file while it wrote it; "" when this process did not, or
// cannot know it. Asked once.
std::string TakeWrittenChecksum(const std::string& path);
// RocksDB's own words, without line ends.
std::string OneLine(const rocksdb::Status& status);

inline rocksdb::Slice ToSlice(std::string_view view) { return {view.data(), view.size()}; }
inline std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace lutdb::db
