// How open readers learn of commits. In one process a commit is handed over in memory; across
// processes a counter in STORE/commits says that there is something to read.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "query/history_records.h"

namespace lutdb {

// The counter: 8 bytes, little-endian; raised after each change of a branch by the one writer, who
// holds the store's lock. Absent (nothing was ever committed) and unreadable count as 0.
// Reading takes its path and allocates nothing.
std::string CommitCounterPath(const std::string& store);
uint64_t ReadCommitCounter(const std::string& path);

// The writer's side. Not thread-safe. The file is mapped: raising the number then neither is a call
// nor makes the next sync of the log write the file's time of change.
class CommitCounter {
 public:
  explicit CommitCounter(std::string path) : path_(std::move(path)) {}
  ~CommitCounter();
  CommitCounter(const CommitCounter&) = delete;
  // Returns the new value. Unavailable when the file cannot be written.
  absl::StatusOr<uint64_t> Raise();

 private:
  const std::string path_;
  absl::Status Map();
  uint64_t* mapped_ = nullptr;  // by the first Raise
};

// One per store and process. Thread-safe.
class CommitFeed {
 public:
  struct Item {
    std::string branch;
    std::string parent;  // the branch's commit before; "": the build
    std::string commit;  // and after
    std::shared_ptr<const TileChanges> changes;
    uint64_t counter = 0;  // the value it raised the store's counter to
  };

  // The feed of a store, by its real path, shared by all who ask while one of them lives.
  static std::shared_ptr<CommitFeed> Of(const std::string& store);

  // Items published so far.
  uint64_t published() const { return published_.load(std::memory_order_acquire); }
  void Publish(Item item);
  // Items from number `from` on; nothing when the oldest of them are forgotten.
  std::optional<std::vector<Item>> Since(uint64_t from) const;

 private:
  mutable std::mutex mutex_;
  std::deque<Item> recent_;
  uint64_t recent_entries_ = 0;  // of all in recent_
  std::atomic<uint64_t> published_{0};
};

}  // namespace lutdb
