#include "db/kept_blobs.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "db/file_checksum.h"
#include "db/sealed_file.h"

namespace lutdb::db {
namespace {

constexpr uint64_t kKeptBytesMax = uint64_t{1} << 30;

std::string CopyPath(const std::string& database) { return JoinPath(database, "blobs"); }

// A line for each file, its name and its size; then a line without anything.
struct KeptFile {
  std::string name;
  uint64_t bytes = 0;
};
std::string FormatNames(const std::vector<KeptFile>& files) {
  std::string lines;
  for (const KeptFile& file : files) lines += fmt::format("{} {}\n", file.name, file.bytes);
  return lines + "\n";
}

bool IsTableName(std::string_view name) {
  return name.ends_with(".sst") && name.size() > 4 &&
         name.substr(0, name.size() - 4).find_first_not_of("0123456789") == std::string_view::npos;
}

// What was kept: the names, and behind them the files.
struct Kept {
  std::vector<KeptFile> files;
  std::string bytes;
  size_t first = 0;  // of the first file in `bytes`
};

absl::StatusOr<Kept> ReadKept(const std::string& database) {
  Kept kept;
  LUTDB_ASSIGN_OR_RETURN(kept.bytes, ReadSealed(CopyPath(database), kKeptBytesMax));
  const absl::Status damaged = DataLoss("{} is damaged", CopyPath(database));
  uint64_t left = kept.bytes.size();
  for (;;) {
    const size_t end = kept.bytes.find('\n', kept.first);
    if (end == std::string::npos) return damaged;
    const std::string line = kept.bytes.substr(kept.first, end - kept.first);
    left -= line.size() + 1;
    kept.first = end + 1;
    if (line.empty()) break;
    const size_t blank = line.find(' ');
    KeptFile file = {.name = line.substr(0, blank)};
    const char* const last = line.data() + line.size();
    if (blank == std::string::npos || !IsTableName(file.name) ||
        std::from_chars(line.data() + blank + 1, last, file.bytes).ptr != last) {
      return damaged;
    }
    kept.files.push_back(std::move(file));
  }
  for (const KeptFile& file : kept.files) {
    if (file.bytes > left) return damaged;
    left -= file.bytes;
  }
  return left == 0 ? absl::StatusOr<Kept>(std::move(kept)) : damaged;
}

}  // namespace

void KeepBlobs(const std::string& database, absl::Span<const LiveFile> files) {
  std::vector<KeptFile> names;
  std::vector<const LiveFile*> blobs;
  uint64_t total = 0;
  for (const LiveFile& file : files) {
    if (file.family != Family::kDefault) continue;
    names.push_back({BaseName(file.path), file.bytes});
    blobs.push_back(&file);
    total += file.bytes;
  }
  if (blobs.empty() || total > kKeptBytesMax / 2) return;
  std::string bytes = FormatNames(names);
  const auto kept = ReadKept(database);
  if (kept.ok() && kept->bytes.starts_with(bytes)) return;
  for (const LiveFile* file : blobs) {
    const auto content = ReadFile(file->path, file->bytes);
    // A misread or damaged one must not be what is put back.
    if (!content.ok() || ChecksumOf(*content) != file->checksum) return;
    bytes += *content;
  }
  (void)WriteSealed(CopyPath(database), std::move(bytes));
}

absl::Status CheckKeptBlobs(const std::string& database) {
  const absl::Status kept = ReadKept(database).status();
  return absl::IsDataLoss(kept) ? kept : absl::OkStatus();
}

absl::StatusOr<bool> MendBlobs(const std::string& database) {
  const auto kept = ReadKept(database);
  if (kept.status().code() == absl::StatusCode::kUnavailable) return kept.status();
  if (!kept.ok()) return false;
  bool mended = false;
  std::string_view rest = std::string_view(kept->bytes).substr(kept->first);
  for (const KeptFile& file : kept->files) {
    const std::string_view bytes = rest.substr(0, file.bytes);
    rest.remove_prefix(file.bytes);
    const std::string path = JoinPath(database, file.name);
    const auto there = ReadFile(path, kKeptBytesMax);
    if (there.ok() && *there == bytes) continue;
    LUTDB_RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
    mended = true;
  }
  return mended;
}

}  // namespace lutdb::db
