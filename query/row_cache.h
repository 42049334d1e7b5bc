// Rows of tables that are too large for the arena: resident one by one, within one budget for all
// tables. Goals: never beyond the budget, never a row gone while pinned, no cycling when everything
// is read once in turn. Non-goal: the last percent of hit rate.
//
// Admission is by frequency: while there is room a row is kept when it is asked for the second
// time; after that it must have been asked for at least twice more than the least used of a few
// residents that a clock hand comes by, which then loses its pages. Uses are counted approximately,
// in a table of small counters that is halved from time to time. A scan over everything, each row
// once a round, leaves all counts alike, so nothing is exchanged and what is resident keeps
// serving.
//
// Memory is counted in pages: rows may share their first and last page with neighbours, and a page
// is punched out of the file when no resident row lies in it any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "query/arena_file.h"
#include "query/arena_index.h"
#include "query/resident_panel.h"
#include "query/row_places.h"

namespace lutdb {

// The resident rows that one pin uses. Written by Find under the cache's shared lock, read by
// eviction under the exclusive one; `active` alone is changed without a lock.
struct RowPins {
  std::atomic<bool> active{false};
  uint32_t table = 0;
  std::vector<uint64_t> rows;  // ascending
};

// All pins of one cache; shared with them, so that either side may be destroyed first.
struct PinRegistry {
  std::shared_mutex mutex;  // guards the list, and residency
  std::vector<RowPins*> pins;
};

class RowCache {
 public:
  struct Row {
    uint64_t row = 0;
    const uint8_t* entries = nullptr;  // where it was found, or where it was made
  };

  // counters->used_bytes may already count other tables; limit_bytes bounds it all.
  RowCache(uint64_t limit_bytes, ArenaCounters* counters, FillBudget* budget);
  ~RowCache();

  // Before any use. kept: rows of an index of this very table, to be verified before their first
  // use.
  void AddTable(uint32_t table, const RowPlaces* places, std::unique_ptr<ArenaFile> file,
                const std::vector<ArenaUnit>& kept);
  bool Holds(uint32_t table) const { return table < tables_.size() && tables_[table] != nullptr; }
  const std::shared_ptr<PinRegistry>& registry() const { return registry_; }

  // Sets `entries` of those rows (ascending, all of one table) that are resident, null for the
  // others, and protects them by `pins` (registered) until its `active` is false. Counts the uses.
  void Find(uint32_t table, absl::Span<Row> rows, RowPins* pins);
  // Offers rows that were made: copies some of them into the arena, while the budget of
  // time allows. Never fails; a file that takes
  // no more is left as it is.
  void Offer(uint32_t table, absl::Span<const Row> rows);

  // Drops rows until no more bytes are used than the limit; false when it cannot.
  bool Shrink();

  ArenaIndexTable Index(uint32_t table) const;

 private:
  struct Table;
  struct Slot {
    uint64_t key = 0;  // table << 40 | row
    uint64_t checksum = 0;
    bool verified = true;
  };
  struct PageRange {
    uint64_t begin = 0;  // in pages
    uint64_t end = 0;
    uint64_t bytes() const { return (end - begin) * kPageBytes; }
  };

  static uint64_t KeyOf(uint32_t table, uint64_t row) { return uint64_t{table} << 40 | row; }
  PageRange PagesOfAlone(const Table& table, uint64_t row) const;
  bool Occupied(const Table& table, uint64_t row) const;
  void Insert(uint32_t table, uint64_t row, uint64_t checksum, bool verified);
  const uint8_t* Verify(Table* table, uint64_t row, Slot* slot);
  void Admit(uint32_t table, const Row& row);
  bool MakeRoom(uint64_t bytes, uint32_t uses);
  size_t LeastUsed(uint32_t* uses);
  bool Evict(size_t slot);
  bool Pinned(uint64_t key) const;
  struct Counters {
    uint64_t first = 0;  // into uses_
    uint64_t second = 0;
  };
  Counters CountersOf(uint64_t key) const;
  void CountUse(uint64_t key);
  uint32_t UsesOf(uint64_t key) const;
  void AgeCounts(uint64_t uses);

  const uint64_t limit_bytes_;
  ArenaCounters* const counters_;
  FillBudget* const budget_;
  const std::shared_ptr<PinRegistry> registry_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::vector<Slot> slots_;  // resident rows, in no order
  absl::flat_hash_map<uint64_t, size_t> slot_of_key_;
  size_t unverified_ = 0;
  size_t hand_ = 0;
  bool full_ = false;          // a write failed
  bool frozen_ = false;        // punching failed: nothing can be evicted
  std::vector<uint8_t> uses_;  // a power of two of counters, by hash of the key; relaxed atomics
  std::atomic<uint64_t> uses_since_aging_{0};
};

}  // namespace lutdb
