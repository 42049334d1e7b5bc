// Reads of a batch of keys that are found out first and then made side by side. RocksDB looks up 32
// keys at a time, waits for the blocks of one file before it asks for those of the next, and
// computes while the disk idles. With a plan a MultiGet is run twice for every part of the batch:
// the first time each block that is not cached is written down instead of read and the kernel is
// given all of them at once; the second time, while the blocks of the next part are on their way,
// they are there. Costs a second look into the index for each key, which only reads from a disk
// are worth. Blocks that are read so are not put into the block cache: rows that are worth it are
// kept by the arena, and the page cache has the others.
//
// Rejected: threads that each read a part (they take turns on two cores, and a caller that asked
// for one thread gets many), O_DIRECT (a store that fits the page cache would never get there).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace rocksdb {
struct FSReadRequest;
}

namespace lutdb::db {

// Looks up keys [begin, end) of a batch, by reads through the parallel file system on the calling
// thread. May be asked for the same keys again: what it found before is then void. keep: whether
// RocksDB shall cache the blocks it reads.
using LookUp = std::function<void(size_t begin, size_t end, bool keep)>;

// One thread's; not thread-safe.
class ReadPlan {
 public:
  ReadPlan();
  ~ReadPlan();
  ReadPlan(const ReadPlan&) = delete;

  // Looks up `keys` keys as above.
  void Run(size_t keys, const LookUp& look_up);

  uint64_t blocks() const;  // read by the last Run

  // For the file system: takes over these requests of a file, or returns false when no plan of this
  // thread wants them.
  static bool TakeOver(int descriptor, rocksdb::FSReadRequest* requests, size_t count);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// For tests and measurements: every batch of any database that is large enough is planned from now
// on, or none is; or, as at first, those are whose reads take long.
enum class Planning { kWhenSlow, kAlways, kNever };
void ForcePlannedReads(Planning planning);

// Plans the batches of one database while its blocks come from a disk, and leaves them alone while
// they are in memory, by what the last batches took. Thread-safe.
class PlannedReads {
 public:
  void Run(size_t keys, const LookUp& look_up);

 private:
  std::atomic<bool> slow_{false};
};

}  // namespace lutdb::db
