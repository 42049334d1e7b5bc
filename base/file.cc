#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

// The operating system's reason as a Status: codes that callers act upon are told apart.
absl::Status SystemError(int error, const char* what, const std::string& path) {
  absl::StatusCode code = absl::StatusCode::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = absl::StatusCode::kNotFound;
  if (error == EACCES || error == EPERM || error == EROFS || error == EEXIST || error == EISDIR) {
    code = absl::StatusCode::kFailedPrecondition;
  }
  if (error == ENOSPC || error == EDQUOT || error == ENOMEM || error == EMFILE || error == ENFILE) {
    code = absl::StatusCode::kResourceExhausted;
  }
  return Error(code, "cannot {} {}: {}", what, path, std::generic_category().message(error));
}

// Closes its descriptor when it goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

int OpenRetrying(const std::string& path, int flags, mode_t mode = 0) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

// A path of a regular file, opened for reading, and its size. O_NONBLOCK keeps a FIFO from hanging
// the open; it means nothing to regular files.
absl::StatusOr<int> OpenRegular(const std::string& path, uint64_t* size) {
  Descriptor file(OpenRetrying(path, O_RDONLY | O_NONBLOCK));
  if (!file.valid()) return SystemError(errno, "open", path);
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return SystemError(errno, "examine", path);
  if (S_ISDIR(info.st_mode)) {
    return FailedPrecondition("{} is a directory, a file is expected", path);
  }
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("{} is not a regular file", path);
  *size = static_cast<uint64_t>(info.st_size);
  return file.release();
}

absl::Status WriteAll(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return SystemError(errno, "write", path);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// Writes and syncs a file that is created or emptied first.
absl::Status WriteSynced(const std::string& path,
                         const std::function<absl::Status(const AppendBytes&)>& write) {
  Descriptor file(OpenRetrying(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  if (!file.valid()) return SystemError(errno, "create", path);
  LUTDB_RETURN_IF_ERROR(
      write([&](std::string_view bytes) { return WriteAll(file.get(), bytes, path); }));
  if (::fsync(file.get()) != 0) return SystemError(errno, "sync", path);
  // A delayed write error (NFS, quota) may only show here.
  if (::close(file.release()) != 0) return SystemError(errno, "close", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  uint64_t size = 0;
  LUTDB_ASSIGN_OR_RETURN(const int descriptor, OpenRegular(path, &size));
  Descriptor file(descriptor);
  if (size == 0) return MappedFile(path, nullptr, 0);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return SystemError(errno, "map", path);
  return MappedFile(path, static_cast<const uint8_t*>(memory), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path,
                                                            double wait_seconds) {
  Descriptor file(OpenRetrying(path, O_RDWR | O_CREAT, 0600));
  if (!file.valid()) return SystemError(errno, "open the lock file", path);
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::duration<double>(std::clamp(wait_seconds, 0.0, 1e6));
  // Polled: flock cannot wait with a limit without signals, which belong to the program.
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return SystemError(errno, "lock", path);
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) {
      return FailedPrecondition(
          "{} is held by another writer (waited {:g} s): let it finish, or wait longer", path,
          wait_seconds);
    }
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(left, std::chrono::milliseconds(20)));
  }
  return std::unique_ptr<FileLock>(new FileLock(file.release()));
}

std::unique_ptr<FileLock> FileLock::ShareDirectory(const std::string& path) {
  Descriptor directory(OpenRetrying(path, O_RDONLY | O_DIRECTORY, 0));
  if (!directory.valid() || ::flock(directory.get(), LOCK_SH | LOCK_NB) != 0) return nullptr;
  return std::unique_ptr<FileLock>(new FileLock(directory.release()));
}

bool FileLock::IsShared(const std::string& path) {
  const Descriptor directory(OpenRetrying(path, O_RDONLY | O_DIRECTORY, 0));
  return directory.valid() && ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0 &&
         errno == EWOULDBLOCK;
}

bool FileLock::IsUnshared(const std::string& path) {
  const Descriptor directory(OpenRetrying(path, O_RDONLY | O_DIRECTORY, 0));
  return directory.valid() && ::flock(directory.get(), LOCK_EX | LOCK_NB) == 0;
}

FileLock::~FileLock() { ::close(descriptor_); }

bool PathExists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  // Not by a range-for, whose steps throw.
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    names.push_back(at->path().filename());
  }
  if (error) return SystemError(error.value(), "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t bytes_max) {
  uint64_t size = 0;
  LUTDB_ASSIGN_OR_RETURN(const int descriptor, OpenRegular(path, &size));
  Descriptor file(descriptor);
  if (size > bytes_max) {
    return ResourceExhausted("{} has {} bytes, at most {} are expected", path, size, bytes_max);
  }
  std::string bytes(size, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, "read", path);
    if (got == 0) break;  // it shrank meanwhile
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  return WriteFileAtomically(path, [&](const AppendBytes& append) { return append(bytes); });
}

absl::Status WriteFileAtomically(const std::string& path,
                                 const std::function<absl::Status(const AppendBytes&)>& write) {
  const std::string temporary = path + ".tmp";
  absl::Status status = WriteSynced(temporary, write);
  if (status.ok()) status = RenamePath(temporary, path);
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

absl::Status MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  const int error = errno;
  if (error == EEXIST && IsDirectory(path)) return absl::OkStatus();
  return SystemError(error, "make the directory", path);
}

absl::Status MakePrivate(const std::string& path) {
  if (::chmod(path.c_str(), 0700) == 0) return absl::OkStatus();
  return SystemError(errno, "set the mode of", path);
}

absl::Status SyncDirectory(const std::string& path) {
  Descriptor directory(OpenRetrying(path, O_RDONLY | O_DIRECTORY));
  if (!directory.valid()) return SystemError(errno, "open", path);
  if (::fsync(directory.get()) != 0) return SystemError(errno, "sync", path);
  return absl::OkStatus();
}

absl::Status RenamePath(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    return SystemError(error, "rename", fmt::format("{} to {}", from, to));
  }
  const std::string to_directory = DirectoryOf(to);
  LUTDB_RETURN_IF_ERROR(SyncDirectory(to_directory));
  const std::string from_directory = DirectoryOf(from);
  return from_directory == to_directory ? absl::OkStatus() : SyncDirectory(from_directory);
}

absl::Status CopyFile(const std::string& from, const std::string& to) {
  uint64_t size = 0;
  LUTDB_ASSIGN_OR_RETURN(const int descriptor, OpenRegular(from, &size));
  const Descriptor source(descriptor);
  Descriptor copy(OpenRetrying(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!copy.valid()) return SystemError(errno, "create", to);
  constexpr size_t kPieceBytes = 1 << 20;
  std::string piece(kPieceBytes, '\0');
  for (;;) {
    const ssize_t got = ::read(source.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, "read", from);
    if (got == 0) break;
    LUTDB_RETURN_IF_ERROR(
        WriteAll(copy.get(), std::string_view(piece).substr(0, static_cast<size_t>(got)), to));
  }
  if (::fsync(copy.get()) != 0) return SystemError(errno, "sync", to);
  if (::close(copy.release()) != 0) return SystemError(errno, "close", to);
  return absl::OkStatus();
}

bool CanLink(const std::string& file, const std::string& directory) {
  // By trying, under a name that another process may be trying as well.
  for (int number = 0;; ++number) {
    const std::string link = JoinPath(directory, fmt::format(".link.{}.{}", ::getpid(), number));
    if (::link(file.c_str(), link.c_str()) == 0) return ::unlink(link.c_str()) == 0;
    if (errno != EEXIST) return false;
  }
}

absl::Status RemovePath(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return SystemError(error.value(), "remove", path);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  std::string existing = path.empty() ? "." : path;
  // Ends at "/" or ".", both of which are their own parent.
  while (!PathExists(existing) && DirectoryOf(existing) != existing) {
    existing = DirectoryOf(existing);
  }
  struct statvfs info;
  if (::statvfs(existing.c_str(), &info) != 0) {
    return SystemError(errno, "ask for the free space of", existing);
  }
  return uint64_t{info.f_bavail} * uint64_t{info.f_frsize};
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

namespace {

// The path without slashes at its end; "/" stays.
std::string_view Trimmed(const std::string& path) {
  std::string_view text = path;
  while (text.size() > 1 && text.back() == '/') text.remove_suffix(1);
  return text;
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  std::string_view text = Trimmed(path);
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return ".";
  text = text.substr(0, slash + 1);
  while (text.size() > 1 && text.back() == '/') text.remove_suffix(1);
  return std::string(text);
}

std::string BaseName(const std::string& path) {
  const std::string_view text = Trimmed(path);
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || text == "/") return std::string(text);
  return std::string(text.substr(slash + 1));
}

}  // namespace lutdb
