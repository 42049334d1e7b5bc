// Reading every byte of SST files against the checksums kept inside them and in the manifest.

#include <rocksdb/sst_file_reader.h>

#include <filesystem>

#include "base/status.h"
#include "db/file_checksum.h"
#include "db/rocks.h"
#include "db/rocks_options.h"

namespace lutdb::db {
namespace {

// Block by block, through RocksDB's own reader.
absl::Status VerifyBlocks(const std::string& path) {
  rocksdb::Options options(DatabaseOptions({}), FamilyOptions(Family::kTile, nullptr));
  rocksdb::SstFileReader reader(options);
  LUTDB_RETURN_IF_ERROR(Translate(reader.Open(path), path));
  return Translate(reader.VerifyChecksum(), path);
}

}  // namespace

absl::Status VerifyLooseFiles(
    const std::string& path, const std::function<void(const std::string&, absl::Status)>& on_file) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".sst") {
      on_file(entry.path().string(), VerifyBlocks(entry.path().string()));
    }
  }
  if (error) return Unavailable("{}: cannot be listed ({})", path, error.message());
  return absl::OkStatus();
}

absl::Status Rocks::VerifyFile(const LiveFile& file) const {
  LUTDB_ASSIGN_OR_RETURN(const std::string checksum, ChecksumOfFile(file.path));
  if (checksum == file.checksum) return absl::OkStatus();
  return DataLoss("{}: its bytes changed since it was written", file.path);
}

}  // namespace lutdb::db
