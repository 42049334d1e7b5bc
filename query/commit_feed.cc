#include "query/commit_feed.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <map>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

namespace lutdb {
namespace {

// Readers that fall further behind read the history instead.
constexpr size_t kRecentMax = 64;

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
  if (file_ >= 0) ::close(file_);
}

absl::StatusOr<uint64_t> CommitCounter::Raise() {
  if (file_ < 0) {
    value_ = ReadCommitCounter(path_);
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file_ < 0) return Unavailable("{} cannot be written: {}", path_, std::strerror(errno));
  }
  char bytes[sizeof(uint64_t)];
  StoreLittle(value_ + 1, bytes);
  if (::pwrite(file_, bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return Unavailable("{} cannot be written", path_);
  }
  return ++value_;
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
  recent_.push_back(std::move(item));
  if (recent_.size() > kRecentMax) recent_.pop_front();
  published_.fetch_add(1, std::memory_order_release);
}

std::optional<std::vector<CommitFeed::Item>> CommitFeed::Since(uint64_t from) const {
  const std::lock_guard lock(mutex_);
  const uint64_t published = published_.load(std::memory_order_relaxed);
  if (from + recent_.size() < published) return std::nullopt;
  return std::vector<Item>(recent_.end() - static_cast<int64_t>(published - from), recent_.end());
}

}  // namespace lutdb
