// Reading every byte of SST files against the checksums kept inside them and in RocksDB's manifest.

#include <rocksdb/sst_file_reader.h>

#include "base/file.h"
#include "base/status.h"
#include "db/file_checksum.h"
#include "db/rocks.h"
#include "db/rocks_options.h"

namespace lutdb::db {
namespace {

// Block by block through RocksDB's own reader, and then every key and value once: together they
// touch all that a read could ever meet.
absl::Status VerifyBlocks(const std::string& path) {
  const rocksdb::Options options(DatabaseOptions({}), FamilyOptions(Family::kTile, nullptr));
  rocksdb::SstFileReader reader(options);
  LUTDB_RETURN_IF_ERROR(Translate(reader.Open(path), path));
  LUTDB_RETURN_IF_ERROR(Translate(reader.VerifyChecksum(), path));
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> iterator(reader.NewIterator(read));
  uint64_t entries = 0;
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) ++entries;
  LUTDB_RETURN_IF_ERROR(Translate(iterator->status(), path));
  const uint64_t expected = reader.GetTableProperties()->num_entries;
  if (entries > expected) {
    return DataLoss("{} is damaged: it holds {} entries and says {}", path, entries, expected);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyTableFile(const LiveFile& file) {
  // Files made before a checksum was recorded, if ever there are any, are checked block by block.
  if (file.checksum.empty()) return VerifyBlocks(file.path);
  uint64_t bytes = 0;
  LUTDB_ASSIGN_OR_RETURN(const std::string checksum, ChecksumOfFile(file.path, &bytes));
  if (bytes != file.bytes) {
    return DataLoss("{} is damaged: it has {} bytes instead of {}", file.path, bytes, file.bytes);
  }
  if (checksum == file.checksum) return absl::OkStatus();
  const absl::Status blocks = VerifyBlocks(file.path);  // it may say where
  return DataLoss("{} is damaged: its bytes changed since it was written ({})", file.path,
                  blocks.ok() ? "between its blocks" : Message(blocks));
}

absl::Status VerifyLooseFiles(
    const std::string& path, const std::function<void(const std::string&, absl::Status)>& on_file) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
  for (const std::string& name : names) {
    if (!name.ends_with(".sst")) continue;
    const std::string file = JoinPath(path, name);
    on_file(file, VerifyBlocks(file));
  }
  return absl::OkStatus();
}

absl::Status Rocks::VerifyFile(const LiveFile& file) const {
  const absl::Status status = VerifyTableFile(file);
  if (!status.ok() && !PathExists(file.path) && !IsLive(file)) return absl::OkStatus();
  return status;
}

}  // namespace lutdb::db
