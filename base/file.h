// Files: mapped for reading, replaced atomically, locked, and the disk they are on.
//
// Errors name the path and the operating system's reason. Nothing here follows a number found in a
// file: lengths come from fstat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

// A whole file mapped read-only. Movable; unmapped on destruction; safe to read from any thread.
// A file that shrinks while mapped faults (SIGBUS): model files are taken to be left alone.
class MappedFile {
 public:
  // NotFound when absent, FailedPrecondition for a directory or special file. An empty file maps to
  // zero bytes.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const uint8_t* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// An advisory lock (flock) on a file that is created if need be; released on destruction or when
// the process dies.
class FileLock {
 public:
  // Waits up to wait_seconds for another holder; then FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const std::string& path,
                                                           double wait_seconds);
  // A shared lock on a directory, which says that it is in use and keeps nobody waiting. Null where
  // the file system has no locks.
  static std::unique_ptr<FileLock> ShareDirectory(const std::string& path);
  // Whether somebody is known to share the directory; whether nobody is known to. Neither where the
  // file system has no locks.
  static bool IsShared(const std::string& path);
  static bool IsUnshared(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

bool PathExists(const std::string& path);
bool IsDirectory(const std::string& path);
// Names of what lies in a directory, sorted.
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

// Reads a whole regular file of at most bytes_max bytes; ResourceExhausted beyond that.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t bytes_max);

// Writes path + ".tmp", syncs it, renames it over path and syncs the directory: after a crash the
// old or the new bytes are there, never a mixture.
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes);
// The same for what `write` appends piece by piece, so that nobody needs to hold the whole. An
// error of `write` leaves what was there.
using AppendBytes = std::function<absl::Status(std::string_view)>;
absl::Status WriteFileAtomically(const std::string& path,
                                 const std::function<absl::Status(const AppendBytes&)>& write);

// Makes one directory, private to the user (0700). OK when it exists already.
absl::Status MakeDirectory(const std::string& path);
// Leaves a directory to the user alone (0700).
absl::Status MakePrivate(const std::string& path);
absl::Status SyncDirectory(const std::string& path);
// Renames within one file system and syncs the parent directory.
absl::Status RenamePath(const std::string& from, const std::string& to);
// Copies a regular file to a path where nothing is and syncs the copy, not its directory.
absl::Status CopyFile(const std::string& from, const std::string& to);
// Whether the file system makes hard links of this file in that directory, which must exist.
bool CanLink(const std::string& file, const std::string& directory);
// Removes a file or a whole directory tree; OK when absent.
absl::Status RemovePath(const std::string& path);

// Bytes an unprivileged user can still write on the file system that holds path (or its nearest
// existing parent).
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);

// Physical memory of the machine, or the cgroup's limit when that is smaller.
uint64_t UsableMemoryBytes();

// "dir/name" for parts of a path; "." for the directory of a bare name.
std::string JoinPath(std::string_view directory, std::string_view name);
std::string DirectoryOf(const std::string& path);
std::string BaseName(const std::string& path);

}  // namespace lutdb
