#include "db/sealed_file.h"

#include <xxhash.h>

#include <utility>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace lutdb::db {

absl::StatusOr<std::string> ReadSealed(const std::string& path, uint64_t bytes_max) {
  LUTDB_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, bytes_max));
  if (bytes.size() < sizeof(uint64_t)) return DataLoss("{} is damaged", path);
  const size_t body = bytes.size() - sizeof(uint64_t);
  if (LoadLittle<uint64_t>(bytes.data() + body) != XXH3_64bits(bytes.data(), body)) {
    return DataLoss("{} is damaged", path);
  }
  bytes.resize(body);
  return bytes;
}

absl::Status WriteSealed(const std::string& path, std::string bytes) {
  AppendLittle(static_cast<uint64_t>(XXH3_64bits(bytes.data(), bytes.size())), &bytes);
  return WriteFileAtomically(path, bytes);
}

}  // namespace lutdb::db
