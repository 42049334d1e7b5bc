#include "query/arena_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

absl::Status SystemError(const char* what, const std::string& path) {
  const int error = errno;
  if (error == ENOSPC || error == EFBIG || error == ENOMEM || error == EDQUOT) {
    return ResourceExhausted("{}: {} failed: {}", path, what, std::strerror(error));
  }
  return Unavailable("{}: {} failed: {}", path, what, std::strerror(error));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArenaFile>> ArenaFile::Open(const Options& options) {
  std::unique_ptr<ArenaFile> file(new ArenaFile());
  file->bytes_ = (options.bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  file->path_ = options.path.empty() ? "arena memory" : options.path;
  // Growing a file beyond this limit raises a signal instead of failing.
  struct rlimit limit;
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      file->bytes_ > limit.rlim_cur) {
    return ResourceExhausted("{}: {} bytes are more than the process may write to a file",
                             file->path_, file->bytes_);
  }
  if (options.path.empty()) {
    file->descriptor_ = ::memfd_create("lutdb-arena", MFD_CLOEXEC);
  } else {
    // O_NOFOLLOW: a link planted in the store must not have its target overwritten.
    file->descriptor_ =
        ::open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  }
  if (file->descriptor_ < 0) return SystemError("opening", file->path_);
  struct stat status;
  if (::fstat(file->descriptor_, &status) != 0) return SystemError("examining", file->path_);
  if (!S_ISREG(status.st_mode)) return Unavailable("{} is not a file", file->path_);
  file->kept_ = options.keep && static_cast<uint64_t>(status.st_size) == file->bytes_;
  if (!file->kept_) {
    if (status.st_size != 0 && ::ftruncate(file->descriptor_, 0) != 0) {
      return SystemError("emptying", file->path_);
    }
    if (::ftruncate(file->descriptor_, static_cast<off_t>(file->bytes_)) != 0) {
      return SystemError("sizing", file->path_);
    }
  }
  if (!options.random) file->touched_.assign(file->bytes_ / kHugePageBytes, file->kept_);
  LUTDB_RETURN_IF_ERROR(file->Map(options.random));
  return file;
}

absl::Status ArenaFile::Map(bool random) {
  // A huge page can only map an aligned piece: reserve addresses with room to align, then put the
  // file over them.
  reserved_bytes_ = bytes_ + kHugePageBytes;
  reserved_ = ::mmap(nullptr, reserved_bytes_, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved_ == MAP_FAILED) {
    reserved_ = nullptr;
    return SystemError("reserving addresses", path_);
  }
  const uintptr_t start = reinterpret_cast<uintptr_t>(reserved_);
  const uintptr_t aligned = (start + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* base = ::mmap(reinterpret_cast<void*>(aligned), bytes_, PROT_READ, MAP_SHARED | MAP_FIXED,
                      descriptor_, 0);
  if (base == MAP_FAILED) return SystemError("mapping", path_);
  base_ = static_cast<uint8_t*>(base);
  // Advice only: a kernel without huge pages refuses it and nothing else changes.
  (void)::madvise(base_, bytes_, random ? MADV_RANDOM : MADV_HUGEPAGE);
  return absl::OkStatus();
}

ArenaFile::~ArenaFile() {
  if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

// The first and the last huge page of a write, as far as they lie partly outside of it and nothing
// is in them yet.
absl::Status ArenaFile::MakeHugePages(uint64_t offset, uint64_t bytes) {
  static const std::vector<uint8_t> zeros(kHugePageBytes);
  const std::lock_guard<std::mutex> lock(touched_mutex_);
  const uint64_t end = offset + bytes;
  for (uint64_t page = offset / kHugePageBytes; page * kHugePageBytes < end; ++page) {
    const uint64_t begin = page * kHugePageBytes;
    const bool whole = begin >= offset && begin + kHugePageBytes <= end;
    if (!touched_[page] && !whole) {
      LUTDB_RETURN_IF_ERROR(WriteAll(begin, zeros.data(), kHugePageBytes));
    }
    touched_[page] = true;
  }
  return absl::OkStatus();
}

absl::Status ArenaFile::Write(uint64_t offset, const uint8_t* from, uint64_t bytes) {
  if (!touched_.empty()) LUTDB_RETURN_IF_ERROR(MakeHugePages(offset, bytes));
  return WriteAll(offset, from, bytes);
}

absl::Status ArenaFile::WriteAll(uint64_t offset, const uint8_t* from, uint64_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::pwrite(descriptor_, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return SystemError("writing", path_);
    from += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ArenaFile::Punch(uint64_t offset, uint64_t bytes) {
  if (bytes == 0) return absl::OkStatus();
  if (::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset), static_cast<off_t>(bytes)) != 0) {
    return SystemError("freeing pages", path_);
  }
  return absl::OkStatus();
}

}  // namespace lutdb
