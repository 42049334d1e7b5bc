#include "tests/fault/faulty_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "base/check.h"
#include "tests/fault/disk_trace.h"

namespace lutdb::fault {
namespace {

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
// The C library's function of the same name.
#define LUTDB_REAL(name) static const auto real = lutdb::fault::Next<decltype(::name)>(#name)

constexpr int kDescriptorsMax = 1 << 16;

// What is known of one open descriptor. Written when it is opened, read by calls on it.
struct Watched {
  bool on = false;
  bool directory = false;
  bool appends = false;
  uint64_t file = 0;
  std::string path;
};

struct Files {
  std::mutex mutex;
  std::map<int, Watched> open;
  std::map<std::pair<dev_t, ino_t>, uint64_t> numbers;
  uint64_t next = 1;
};
Files& TheFiles() {
  static auto* const files = new Files;
  return *files;
}

std::atomic<bool> memory_faults = false;

// Which descriptors are below the root, to be asked without a lock.
std::atomic<bool> is_watched[kDescriptorsMax];

bool IsWatched(int descriptor) {
  return descriptor >= 0 && descriptor < kDescriptorsMax &&
         is_watched[descriptor].load(std::memory_order_relaxed);
}

std::string Absolute(int directory, const char* path) {
  if (path[0] == '/') return path;
  char base[PATH_MAX];
  if (directory == AT_FDCWD) {
    if (::getcwd(base, sizeof(base)) == nullptr) return path;
    return std::string(base) + "/" + path;
  }
  const std::string link = "/proc/self/fd/" + std::to_string(directory);
  const ssize_t length = ::readlink(link.c_str(), base, sizeof(base));
  if (length <= 0) return path;
  return std::string(base, static_cast<size_t>(length)) + "/" + path;
}

bool IsBelow(const std::string& path) {
  const Plan& plan = ThePlan();
  // The directory that holds the root counts too: there a finished store gets its name.
  const size_t length = std::strlen(plan.root);
  const char* slash = std::strrchr(plan.root, '/');
  if (slash != nullptr && plan.watching.load(std::memory_order_relaxed) && path.size() < length &&
      path.compare(0, std::string::npos, plan.root, static_cast<size_t>(slash - plan.root)) == 0) {
    return true;
  }
  return plan.watching.load(std::memory_order_relaxed) && plan.root[0] != '\0' &&
         path.rfind(plan.root, 0) == 0;
}

// Writes without coming by here again.
void RawWrite(int descriptor, const void* bytes, size_t count) {
  static const auto real = Next<decltype(::write)>("write");
  while (count > 0) {
    const ssize_t put = real(descriptor, bytes, count);
    if (put <= 0) return;
    bytes = static_cast<const char*>(bytes) + put;
    count -= static_cast<size_t>(put);
  }
}

bool IsTracing() { return ThePlan().trace.load(std::memory_order_relaxed) >= 0; }

// The caller holds the files' mutex, so that changes are recorded in the order they were made.
void Record(const DiskChange& change) {
  std::string bytes;
  EncodeChange(change, &bytes);
  RawWrite(ThePlan().trace, bytes.data(), bytes.size());
}

enum class Verdict { kGo, kFail, kTear, kFlip, kMisplace };

// Counts a call and says what becomes of it.
Verdict Judge(Call call, const std::string& where) {
  Plan& plan = ThePlan();
  const int64_t own = ++plan.count[static_cast<int>(call)];
  if (plan.effect == Effect::kNone || (!plan.any_call && plan.call != call)) return Verdict::kGo;
  const int64_t number = plan.any_call ? TotalCalls() : own;
  if (plan.nth == 0 || number < plan.nth || (number > plan.nth && !plan.sticky)) {
    return Verdict::kGo;
  }
  if (plan.fired++ == 0) {
    ::snprintf(plan.where, sizeof(plan.where), "%s %lld of %s", Name(call),
               static_cast<long long>(number), where.c_str());
  }
  switch (plan.effect) {
    case Effect::kSlow:
      ::usleep(2000);
      return Verdict::kGo;
    case Effect::kKill:
      if (call == Call::kWrite) return Verdict::kTear;
      ::raise(SIGKILL);
      return Verdict::kGo;
    case Effect::kFlip:
      return call == Call::kRead ? Verdict::kFlip : Verdict::kGo;
    case Effect::kMisplace:
      return call == Call::kRead ? Verdict::kMisplace : Verdict::kGo;
    case Effect::kTear:
      return Verdict::kTear;
    default:
      return Verdict::kFail;
  }
}

std::string PathOf(int descriptor) {
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  const auto found = files.open.find(descriptor);
  return found == files.open.end() ? "?" : found->second.path;
}

Verdict JudgeOpen(Call call, int descriptor) { return Judge(call, PathOf(descriptor)); }

int Failed() {
  errno = ThePlan().error;
  return -1;
}

// Files get numbers that a later file with the same inode does not share.
uint64_t NumberOf(Files& files, const struct stat& status, bool created) {
  const auto key = std::make_pair(status.st_dev, status.st_ino);
  const auto found = files.numbers.find(key);
  if (found != files.numbers.end() && !created) return found->second;
  return files.numbers[key] = files.next++;
}

int OpenWatched(int directory, const char* name, int flags, mode_t mode,
                int (*real)(int, const char*, int, ...)) {
  const std::string path = Absolute(directory, name);
  if (!IsBelow(path)) return real(directory, name, flags, mode);
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  Files& files = TheFiles();
  struct stat before;
  const bool exists = ::lstat(path.c_str(), &before) == 0;
  const bool creates = (flags & O_CREAT) != 0 && !exists;
  // Opening to read is a read; making a file changes a directory.
  const Call call = creates ? Call::kName : writes ? Call::kWrite : Call::kRead;
  const Verdict verdict = Judge(call, path);
  if (verdict == Verdict::kFail) return Failed();
  if (verdict == Verdict::kTear) {
    if (ThePlan().effect == Effect::kKill) ::raise(SIGKILL);
    return Failed();
  }
  const std::lock_guard lock(files.mutex);
  const int descriptor = real(directory, name, flags, mode);
  if (descriptor < 0 || descriptor >= kDescriptorsMax) return descriptor;
  struct stat status;
  if (::fstat(descriptor, &status) != 0) return descriptor;
  Watched watched;
  watched.on = true;
  watched.directory = S_ISDIR(status.st_mode);
  watched.appends = (flags & O_APPEND) != 0;
  watched.path = path;
  if (!watched.directory) {
    const uint64_t known = files.next;
    watched.file = NumberOf(files, status, creates);
    if (IsTracing()) {
      if (creates) {
        Record({.change = Change::kCreate, .file = watched.file, .path = path});
      } else if (watched.file >= known) {
        Record({.change = Change::kBind, .file = watched.file, .path = path});
      }
      if (!creates && (flags & O_TRUNC) != 0) {
        Record({.change = Change::kTruncate, .file = watched.file});
      }
    }
  }
  files.open[descriptor] = watched;
  is_watched[descriptor] = true;
  return descriptor;
}

void Forget(int descriptor) {
  if (!IsWatched(descriptor)) return;
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  files.open.erase(descriptor);
  is_watched[descriptor] = false;
}

void SpoilBytes(void* bytes, ssize_t count) {
  if (count > 0) static_cast<char*>(bytes)[count / 3] ^= 0x10;
}

// Runs a write of `count` bytes, of which a torn one does half; at: its place, or -1 for the end.
template <typename Put>
ssize_t WriteWatched(int descriptor, const void* bytes, size_t count, off_t at, const Put& put) {
  const Verdict verdict = JudgeOpen(Call::kWrite, descriptor);
  if (verdict == Verdict::kFail) return Failed();
  const size_t wanted = verdict == Verdict::kTear ? count / 2 : count;
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  ssize_t done = 0;
  if (wanted > 0 || verdict == Verdict::kGo) {
    done = put(wanted);
    if (done > 0 && IsTracing()) {
      if (at < 0) at = ::lseek(descriptor, 0, SEEK_CUR) - done;
      Record({.change = Change::kWrite,
              .file = files.open[descriptor].file,
              .offset = static_cast<uint64_t>(at),
              .bytes = std::string(static_cast<const char*>(bytes), static_cast<size_t>(done))});
    }
  }
  if (verdict != Verdict::kTear) return done;
  if (ThePlan().effect == Effect::kKill) ::raise(SIGKILL);
  return Failed();
}

// Runs a call that changes names below the root.
template <typename Run>
int ChangeNames(const DiskChange& change, const Run& run) {
  const Verdict verdict = Judge(Call::kName, change.path);
  if (verdict != Verdict::kGo && verdict != Verdict::kFlip) return Failed();
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  const int result = run();
  if (result == 0 && IsTracing()) Record(change);
  return result;
}

int SyncWatched(int descriptor, int (*real)(int)) {
  const Verdict verdict = JudgeOpen(Call::kSync, descriptor);
  if (verdict != Verdict::kGo) return Failed();
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  const int result = real(descriptor);
  if (result == 0 && IsTracing()) {
    const Watched& watched = files.open[descriptor];
    if (watched.directory) {
      Record({.change = Change::kSyncDirectory, .path = watched.path});
    } else {
      Record({.change = Change::kSync, .file = watched.file});
    }
  }
  return result;
}

// Sets a size, or asks for room.
template <typename Run>
int ChangeSize(int descriptor, int64_t size, const Run& run) {
  const Verdict verdict = JudgeOpen(Call::kSpace, descriptor);
  if (verdict != Verdict::kGo) return Failed();
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  const int result = run();
  if (result == 0 && size >= 0 && IsTracing()) {
    Record({.change = Change::kTruncate,
            .file = files.open[descriptor].file,
            .offset = static_cast<uint64_t>(size)});
  }
  return result;
}

}  // namespace

const char* Name(Call call) {
  constexpr const char* kNames[] = {"read", "write", "sync", "name", "space", "memory"};
  return kNames[static_cast<int>(call)];
}

Plan& ThePlan() {
  static Plan* const plan = [] {
    void* memory =
        ::mmap(nullptr, sizeof(Plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LUTDB_CHECK(memory != MAP_FAILED);
    auto* made = static_cast<Plan*>(memory);
    made->trace = -1;
    return made;
  }();
  return *plan;
}

void Watch(const std::string& root) {
  Plan& plan = ThePlan();
  plan.watching = false;
  plan.effect = Effect::kNone;
  plan.any_call = false;
  plan.nth = 0;
  plan.fired = 0;
  plan.where[0] = '\0';
  plan.message[0] = '\0';
  plan.trace = -1;
  plan.acknowledged = 0;
  for (std::atomic<int64_t>& count : plan.count) count = 0;
  LUTDB_CHECK(root.size() < sizeof(plan.root));
  ::strcpy(plan.root, root.c_str());
  plan.watching = true;
}

void Arm(Effect effect, Call call, int64_t nth, bool sticky, int error) {
  Plan& plan = ThePlan();
  plan.effect = effect;
  plan.call = call;
  plan.any_call = effect == Effect::kKill;
  plan.nth = nth;
  plan.sticky = sticky;
  plan.error = error;
}

void FaultMemoryHere() { memory_faults = true; }
bool MemoryFaultsHere() { return memory_faults.load(std::memory_order_relaxed); }

void Unwatch() { ThePlan().watching = false; }

int64_t TotalCalls() {
  int64_t total = 0;
  for (int i = 0; i < static_cast<int>(Call::kMemory); ++i) total += ThePlan().count[i];
  return total;
}

void StartTrace(const std::string& path) {
  ThePlan().trace = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  LUTDB_CHECK(ThePlan().trace >= 0);
}

void Acknowledge() {
  Files& files = TheFiles();
  const std::lock_guard lock(files.mutex);
  ++ThePlan().acknowledged;
  if (IsTracing()) Record({.change = Change::kAcknowledge});
}

}  // namespace lutdb::fault

using namespace lutdb::fault;

namespace {

// Whether this allocation is the one that fails.
bool IsExhausted() {
  Plan& plan = ThePlan();
  if (!MemoryFaultsHere()) return false;
  if (!plan.watching.load(std::memory_order_relaxed)) return false;
  const int64_t number = ++plan.count[static_cast<int>(Call::kMemory)];
  if (plan.call != Call::kMemory || plan.nth == 0 || number < plan.nth) return false;
  ++plan.fired;
  return true;
}

}  // namespace

// As the standard library's own, but for the failure.
void* operator new(size_t bytes) {
  for (;;) {
    void* memory = IsExhausted() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
    if (memory != nullptr) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes == 0 ? 1 : bytes);  // for scratch that the library does without
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

// The C library's names. Each does the real call for files that are not watched.
extern "C" {

int openat(int directory, const char* path, int flags, ...) {
  LUTDB_REAL(openat);
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return OpenWatched(directory, path, flags, mode, real);
}

int open(const char* path, int flags, ...) {
  static const auto real = lutdb::fault::Next<decltype(::openat)>("openat");
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return OpenWatched(AT_FDCWD, path, flags, mode, real);
}

// Reads through io_uring would go by unseen: there is none here, as in many containers.
struct io_uring;
struct io_uring_params;
int io_uring_queue_init(unsigned, struct io_uring*, unsigned) { return -ENOSYS; }
int io_uring_queue_init_params(unsigned, struct io_uring*, struct io_uring_params*) {
  return -ENOSYS;
}

FILE* fopen(const char* path, const char* mode) {
  LUTDB_REAL(fopen);
  // Only reading goes by here: nothing in lutdb or RocksDB's data path writes through streams.
  if (IsBelow(Absolute(AT_FDCWD, path)) && mode[0] == 'r') {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    return descriptor < 0 ? nullptr : fdopen(descriptor, mode);
  }
  return real(path, mode);
}

int close(int descriptor) {
  LUTDB_REAL(close);
  Forget(descriptor);
  return real(descriptor);
}

int fclose(FILE* file) {
  LUTDB_REAL(fclose);
  Forget(fileno(file));
  return real(file);
}

ssize_t pread(int descriptor, void* bytes, size_t count, off_t at) {
  LUTDB_REAL(pread);
  if (!IsWatched(descriptor)) return real(descriptor, bytes, count, at);
  const Verdict verdict = JudgeOpen(Call::kRead, descriptor);
  if (verdict == Verdict::kFail || verdict == Verdict::kTear) return Failed();
  if (verdict == Verdict::kMisplace) at = at >= 4096 ? at - 4096 : at + 512;
  const ssize_t got = real(descriptor, bytes, count, at);
  if (verdict == Verdict::kFlip) SpoilBytes(bytes, got);
  return got;
}

ssize_t read(int descriptor, void* bytes, size_t count) {
  LUTDB_REAL(read);
  if (!IsWatched(descriptor)) return real(descriptor, bytes, count);
  const Verdict verdict = JudgeOpen(Call::kRead, descriptor);
  if (verdict == Verdict::kFail || verdict == Verdict::kTear) return Failed();
  const ssize_t got = real(descriptor, bytes, count);
  if (verdict == Verdict::kFlip || verdict == Verdict::kMisplace) SpoilBytes(bytes, got);
  return got;
}

// A failed read of a stream: fewer bytes, and the stream's error set.
static size_t ReadStream(void* bytes, size_t size, size_t count, FILE* file,
                         size_t (*real)(void*, size_t, size_t, FILE*)) {
  if (!IsWatched(fileno(file))) return real(bytes, size, count, file);
  const Verdict verdict = JudgeOpen(Call::kRead, fileno(file));
  if (verdict == Verdict::kFail || verdict == Verdict::kTear) {
    constexpr int kErrorSeen = 0x20;  // _IO_ERR_SEEN of glibc
    file->_flags |= kErrorSeen;
    errno = ThePlan().error;
    return 0;
  }
  const size_t got = real(bytes, size, count, file);
  if (verdict == Verdict::kFlip || verdict == Verdict::kMisplace) {
    SpoilBytes(bytes, static_cast<ssize_t>(got * size));
  }
  return got;
}

size_t fread(void* bytes, size_t size, size_t count, FILE* file) {
  LUTDB_REAL(fread);
  return ReadStream(bytes, size, count, file, real);
}

#undef fread_unlocked
size_t fread_unlocked(void* bytes, size_t size, size_t count, FILE* file) {
  LUTDB_REAL(fread_unlocked);
  return ReadStream(bytes, size, count, file, real);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  LUTDB_REAL(write);
  if (!IsWatched(descriptor)) return real(descriptor, bytes, count);
  return WriteWatched(descriptor, bytes, count, -1,
                      [&](size_t wanted) { return real(descriptor, bytes, wanted); });
}

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t at) {
  LUTDB_REAL(pwrite);
  if (!IsWatched(descriptor)) return real(descriptor, bytes, count, at);
  return WriteWatched(descriptor, bytes, count, at,
                      [&](size_t wanted) { return real(descriptor, bytes, wanted, at); });
}

int fsync(int descriptor) {
  LUTDB_REAL(fsync);
  return IsWatched(descriptor) ? SyncWatched(descriptor, real) : real(descriptor);
}

int fdatasync(int descriptor) {
  LUTDB_REAL(fdatasync);
  return IsWatched(descriptor) ? SyncWatched(descriptor, real) : real(descriptor);
}

int rename(const char* from, const char* to) {
  LUTDB_REAL(rename);
  const std::string path = Absolute(AT_FDCWD, from);
  if (!IsBelow(path)) return real(from, to);
  return ChangeNames({.change = Change::kRename, .path = path, .to = Absolute(AT_FDCWD, to)},
                     [&] { return real(from, to); });
}

int link(const char* from, const char* to) {
  LUTDB_REAL(link);
  const std::string path = Absolute(AT_FDCWD, from);
  if (!IsBelow(path)) return real(from, to);
  return ChangeNames({.change = Change::kLink, .path = path, .to = Absolute(AT_FDCWD, to)},
                     [&] { return real(from, to); });
}

int unlink(const char* name) {
  LUTDB_REAL(unlink);
  const std::string path = Absolute(AT_FDCWD, name);
  if (!IsBelow(path)) return real(name);
  return ChangeNames({.change = Change::kUnlink, .path = path}, [&] { return real(name); });
}

int unlinkat(int directory, const char* name, int flags) {
  LUTDB_REAL(unlinkat);
  const std::string path = Absolute(directory, name);
  if (!IsBelow(path)) return real(directory, name, flags);
  const Change change = (flags & AT_REMOVEDIR) != 0 ? Change::kRemoveDirectory : Change::kUnlink;
  return ChangeNames({.change = change, .path = path},
                     [&] { return real(directory, name, flags); });
}

int mkdir(const char* name, mode_t mode) {
  LUTDB_REAL(mkdir);
  const std::string path = Absolute(AT_FDCWD, name);
  if (!IsBelow(path)) return real(name, mode);
  return ChangeNames({.change = Change::kMakeDirectory, .path = path},
                     [&] { return real(name, mode); });
}

int rmdir(const char* name) {
  LUTDB_REAL(rmdir);
  const std::string path = Absolute(AT_FDCWD, name);
  if (!IsBelow(path)) return real(name);
  return ChangeNames({.change = Change::kRemoveDirectory, .path = path},
                     [&] { return real(name); });
}

int ftruncate(int descriptor, off_t size) {
  LUTDB_REAL(ftruncate);
  if (!IsWatched(descriptor)) return real(descriptor, size);
  return ChangeSize(descriptor, size, [&] { return real(descriptor, size); });
}

// Room asked for changes no bytes that anything reads: holes punched are in the arena, a cache.
int fallocate(int descriptor, int mode, off_t at, off_t bytes) {
  LUTDB_REAL(fallocate);
  if (!IsWatched(descriptor)) return real(descriptor, mode, at, bytes);
  return ChangeSize(descriptor, -1, [&] { return real(descriptor, mode, at, bytes); });
}

}  // extern "C"
