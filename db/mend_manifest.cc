#include "db/mend_manifest.h"

#include <array>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "db/sealed_file.h"

namespace lutdb::db {
namespace {

constexpr uint64_t kManifestBytesMax = uint64_t{1} << 30;
constexpr uint64_t kCurrentBytesMax = 64;
constexpr char kManifestStart[] = "MANIFEST-";

std::string CurrentPath(const std::string& database) { return JoinPath(database, "CURRENT"); }
std::string CopyPath(const std::string& database) { return JoinPath(database, "current"); }

bool IsManifestName(const std::string& name) {
  const size_t start = sizeof(kManifestStart) - 1;
  return name.rfind(kManifestStart, 0) == 0 && name.size() > start &&
         name.find_first_not_of("0123456789", start) == std::string::npos;
}

// The name CURRENT holds: a line.
absl::StatusOr<std::string> ReadCurrent(const std::string& database) {
  LUTDB_ASSIGN_OR_RETURN(std::string line, ReadFile(CurrentPath(database), kCurrentBytesMax));
  const bool whole = !line.empty() && line.back() == '\n';
  if (whole) line.pop_back();
  if (!whole || !IsManifestName(line)) return DataLoss("{} is damaged", CurrentPath(database));
  return line;
}

struct Kept {
  std::string name;
  std::string bytes;
};

absl::StatusOr<Kept> ReadKept(const std::string& database) {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadSealed(CopyPath(database), kManifestBytesMax));
  const absl::Status damaged = DataLoss("{} is damaged", CopyPath(database));
  const size_t line = bytes.find('\n');
  if (line == std::string::npos) return damaged;
  Kept kept = {bytes.substr(0, line), bytes.substr(line + 1)};
  if (!IsManifestName(kept.name)) return damaged;
  return kept;
}

// CRC32C, bit by bit through a table, as RocksDB's logs have it.
uint32_t Crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> made;
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82f63b78u : 0);
      made[i] = value;
    }
    return made;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

// The format of RocksDB's logs: blocks of 32 KiB of fragments, each a masked CRC32C of what follows
// its length, u16 length, u8 type and bytes. Fragments never cross a block.
constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;

// Bytes of the whole fragment at `at`, header included; 0 when there is none.
size_t FragmentAt(std::string_view log, size_t at) {
  const size_t left = std::min(log.size() - at, kBlockBytes - at % kBlockBytes);
  if (left < kHeaderBytes) return 0;
  const auto length = LoadLittle<uint16_t>(log.data() + at + 4);
  const auto type = static_cast<uint8_t>(log[at + 6]);
  if (type < 1 || type > 4 || length > left - kHeaderBytes) return 0;
  const uint32_t crc = Crc32c(log.substr(at + 6, size_t{1} + length));
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  return LoadLittle<uint32_t>(log.data() + at) == masked ? kHeaderBytes + length : 0;
}

// Where the last whole record ends, when only an unfinished write follows it; npos when whole
// records follow what is damaged, which no power cut does.
size_t EndOfWholeRecords(std::string_view log) {
  constexpr uint8_t kFull = 1, kLast = 4;
  size_t at = 0, end = 0;
  while (at < log.size()) {
    const size_t in_block = kBlockBytes - at % kBlockBytes;
    if (in_block < kHeaderBytes) {  // the rest of a block is padding
      at += in_block;
      continue;
    }
    const size_t bytes = FragmentAt(log, at);
    if (bytes == 0) break;
    const auto type = static_cast<uint8_t>(log[at + 6]);
    at += bytes;
    if (type == kFull || type == kLast) end = at;
  }
  for (size_t after = at + 1; after < log.size(); ++after) {
    if (FragmentAt(log, after) > kHeaderBytes) return std::string_view::npos;
  }
  return end;
}

}  // namespace

void KeepManifest(const std::string& database) {
  const auto name = ReadCurrent(database);
  if (!name.ok()) return;
  const auto manifest = ReadFile(JoinPath(database, *name), kManifestBytesMax);
  // A misread one must not be what the next is measured by.
  if (!manifest.ok() || EndOfWholeRecords(*manifest) != manifest->size()) return;
  (void)WriteSealed(CopyPath(database), *name + "\n" + *manifest);
}

absl::Status CheckManifest(const std::string& database) {
  const auto kept = ReadKept(database);  // first, since the file grows beside a writer
  const auto name = ReadCurrent(database);
  if (!name.ok()) return absl::OkStatus();
  const std::string path = JoinPath(database, *name);
  const auto manifest = ReadFile(path, kManifestBytesMax);
  if (!manifest.ok()) return absl::OkStatus();
  const bool is_kept = !kept.ok() || kept->name != *name || manifest->starts_with(kept->bytes);
  if (is_kept && EndOfWholeRecords(*manifest) != std::string_view::npos) return absl::OkStatus();
  return DataLoss("{} is damaged; `lutdb repair` puts it back", path);
}

absl::Status CheckKeptManifest(const std::string& database) {
  const absl::Status kept = ReadKept(database).status();
  return absl::IsDataLoss(kept) ? kept : absl::OkStatus();
}

absl::StatusOr<bool> MendManifest(const std::string& database) {
  const auto kept = ReadKept(database);
  auto name = ReadCurrent(database);
  bool mended = false;
  if (name.status().code() == absl::StatusCode::kUnavailable) return name.status();
  if (!name.ok() || !PathExists(JoinPath(database, *name))) {
    // The newest MANIFEST there is: an older one only outlives the moment in which it is replaced.
    std::string newest;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(database, ignored)) {
      const std::string found = entry.path().filename();
      if (!IsManifestName(found)) continue;
      if (std::pair(found.size(), found) > std::pair(newest.size(), newest)) newest = found;
    }
    if (newest.empty() && kept.ok()) newest = kept->name;
    if (newest.empty()) return false;
    LUTDB_RETURN_IF_ERROR(WriteFileAtomically(CurrentPath(database), newest + "\n"));
    name = newest;
    mended = true;
  }
  const std::string path = JoinPath(database, *name);
  const auto manifest = ReadFile(path, kManifestBytesMax);
  const bool missing = manifest.status().code() == absl::StatusCode::kNotFound;
  if (!manifest.ok() && !missing) return manifest.status();
  const uint64_t size = manifest.ok() ? manifest->size() : 0;
  if (kept.ok() && kept->name == *name && size <= kept->bytes.size()) {
    if (manifest.ok() && *manifest == kept->bytes) return mended;
    LUTDB_RETURN_IF_ERROR(WriteFileAtomically(path, kept->bytes));
    return true;
  }
  if (!manifest.ok()) return mended;
  const size_t whole = EndOfWholeRecords(*manifest);
  if (whole == std::string_view::npos || whole == 0 || whole == size) return mended;
  LUTDB_RETURN_IF_ERROR(WriteFileAtomically(path, manifest->substr(0, whole)));
  return true;
}

}  // namespace lutdb::db
