#include "db/write_mark.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/file.h"

namespace lutdb::db {
namespace {

// The number and its checksum, 8 bytes each.
constexpr size_t kMarkBytes = 16;

std::string MarkOf(uint64_t sequence) {
  std::string bytes;
  AppendLittle(sequence, &bytes);
  AppendLittle(static_cast<uint64_t>(XXH3_64bits(bytes.data(), bytes.size())), &bytes);
  return bytes;
}

}  // namespace

std::string WriteMarkPath(const std::string& database) { return JoinPath(database, "writes"); }

uint64_t ReadWriteMark(const std::string& database) {
  const auto bytes = ReadFile(WriteMarkPath(database), kMarkBytes);
  if (!bytes.ok() || bytes->size() != kMarkBytes) return 0;
  const auto sequence = LoadLittle<uint64_t>(bytes->data());
  return *bytes == MarkOf(sequence) ? sequence : 0;
}

WriteMark::WriteMark(const std::string& database)
    : descriptor_(::open(WriteMarkPath(database).c_str(),
                         O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {}

WriteMark::~WriteMark() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void WriteMark::Note(uint64_t sequence) {
  const std::string bytes = MarkOf(sequence);
  if (descriptor_ >= 0) (void)!::pwrite(descriptor_, bytes.data(), bytes.size(), 0);
}

}  // namespace lutdb::db
