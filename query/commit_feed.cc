#include "query/commit_feed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace lutdb {
namespace {

// Readers that fall further behind read the history instead.
constexpr size_t kRecentMax = 64;
constexpr uint64_t kRecentEntriesMax = 1 << 20;  // of all that are kept: 8 MiB

}  // namespace

std::string CommitCounterPath(const std::string& store) { return JoinPath(store, "commits"); }

uint64_t ReadCommitCounter(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char bytes[sizeof(uint64_t)] = {};
  const ssize_t got = ::pread(file, bytes, sizeof(bytes), 0);
  ::close(file);
  return got == sizeof(bytes) ? LoadLittle<uint64_t>(bytes) : 0;
}

CommitCounter::~CommitCounter() {
  if (mapped_ != nullptr) ::munmap(mapped_, sizeof(uint64_t));
}

absl::Status CommitCounter::Map() {
  const auto fails = [&] {
    return Unavailable("{} cannot be written: {}", path_, std::strerror(errno));
  };
  const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fails();
  struct stat status;
  bool ready = ::fstat(file, &status) == 0;
  // Space is set aside now, so that a full disk is an error here and not a fault later.
  if (ready && status.st_size < static_cast<off_t>(sizeof(uint64_t))) {
    const char zero[sizeof(uint64_t)] = {};
    ready = ::pwrite(file, zero, sizeof(zero), 0) == sizeof(zero);
  }
  void* mapped = MAP_FAILED;
  if (ready) {
    mapped = ::mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  const absl::Status status_of_map = mapped == MAP_FAILED ? fails() : absl::OkStatus();
  ::close(file);
  if (status_of_map.ok()) mapped_ = static_cast<uint64_t*>(mapped);
  return status_of_map;
}

absl::StatusOr<uint64_t> CommitCounter::Raise() {
  if (mapped_ == nullptr) LUTDB_RETURN_IF_ERROR(Map());
  const uint64_t next = LoadLittle<uint64_t>(reinterpret_cast<const char*>(mapped_)) + 1;
  char bytes[sizeof(uint64_t)];
  StoreLittle(next, bytes);
  uint64_t stored;
  std::memcpy(&stored, bytes, sizeof(stored));
  std::atomic_ref<uint64_t>(*mapped_).store(stored, std::memory_order_release);
  return next;
}

std::shared_ptr<CommitFeed> CommitFeed::Of(const std::string& store) {
  static std::mutex mutex;
  static auto* const feeds = new std::map<std::string, std::weak_ptr<CommitFeed>>;
  char real[PATH_MAX];
  const std::string path = ::realpath(store.c_str(), real) == nullptr ? store : real;
  const std::lock_guard lock(mutex);
  std::erase_if(*feeds, [](const auto& item) { return item.second.expired(); });
  std::weak_ptr<CommitFeed>& known = (*feeds)[path];
  std::shared_ptr<CommitFeed> feed = known.lock();
  if (feed == nullptr) known = feed = std::make_shared<CommitFeed>();
  return feed;
}

void CommitFeed::Publish(Item item) {
  const std::lock_guard lock(mutex_);
  recent_entries_ += CountEntries(*item.changes);
  recent_.push_back(std::move(item));
  while (!recent_.empty() && (recent_.size() > kRecentMax || recent_entries_ > kRecentEntriesMax)) {
    recent_entries_ -= CountEntries(*recent_.front().changes);
    recent_.pop_front();
  }
  published_.fetch_add(1, std::memory_order_release);
}

std::optional<std::vector<CommitFeed::Item>> CommitFeed::Since(uint64_t from) const {
  const std::lock_guard lock(mutex_);
  const uint64_t published = published_.load(std::memory_order_relaxed);
  if (from + recent_.size() < published) return std::nullopt;
  return std::vector<Item>(recent_.end() - static_cast<int64_t>(published - from), recent_.end());
}

}  // namespace lutdb
