// The arena: the cache of decoded rows that the hot path reads, in STORE/arena.
//
//   arena/lock       held (flock) by the process whose arena this is; others run without
//   arena/N.rows     rows of table N, [chunk][stored code][neurons padded to 64 bytes], sparse; of
//                    all tables of a panel (panels.h), row by row side by side, where N is its
//                    first one
//   arena/index      what is in them, while no process has them open (arena_index.h)
//
// Goals: bounded, never wrong, safe to delete, reusable after a restart, and never the reason that
// a run fails: where the directory cannot be written (read-only medium, full disk) the rows lie in
// anonymous memory. When all tables fit the budget they become resident by chunk groups and stay
// (resident_panel.h); else row by row, by frequency (row_cache.h).
// Rejected: huge tables through RocksDB's block cache alone (2 us a row against 50 ns), slots with
// headers between rows (rows would not be where their number says).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "query/fill_ahead.h"
#include "query/panels.h"
#include "query/resident_panel.h"
#include "query/row_cache.h"
#include "query/row_places.h"
#include "query/row_reader.h"
#include "query/store_reader.h"

namespace lutdb {

// STORE/arena/N.rows.
std::string ArenaFilePath(const std::string& store, uint32_t table);

class Arena {
 public:
  struct Context {
    const StoreReader* store = nullptr;
    const RowReader* reader = nullptr;
    const Workers* workers = nullptr;
    const std::vector<RowPlaces>* places = nullptr;  // one per table
  };
  // limit_bytes is lowered to what memory and disk allow. Null when another process owns the arena
  // or there is no memory of any kind for it: the caller runs without.
  static std::unique_ptr<Arena> Open(const Context& context, uint64_t limit_bytes);
  // Writes the index, so that the next process finds what this one leaves.
  ~Arena();

  // At most one of the two is not null for a table; both are when its rows cannot be mapped.
  ResidentPanel* resident(uint32_t table) const { return residents_[table].panel; }
  // Where the table's part of a row begins in the panel's row, in bytes.
  uint64_t offset(uint32_t table) const { return residents_[table].offset; }
  RowCache* cache(uint32_t table) const {
    return cache_ != nullptr && cache_->Holds(table) ? cache_.get() : nullptr;
  }

  // A row of a resident table was missing.
  void Missed(uint32_t table) {
    if (ahead_ != nullptr) ahead_->Missed(table);
  }

  // Takes bytes of the budget for something else than rows: what resident tables leave, or up to
  // three quarters of what rows have one by one, some of which are then dropped. False: there is no
  // room.
  bool Reserve(uint64_t bytes);
  void GiveBack(uint64_t bytes);

  uint64_t limit_bytes() const { return limit_bytes_; }
  ArenaCounters& counters() { return counters_; }
  FillBudget& budget() { return budget_; }

 private:
  explicit Arena(const Context& context) : context_(context) {}
  ArenaIndex TakeIndex();
  struct Resident {
    ResidentPanel* panel = nullptr;
    uint64_t offset = 0;
  };
  void AddPanel(const Panel& panel, const ArenaIndex& kept);
  void AddCached(uint32_t table, const ArenaIndex& kept, uint64_t kept_bytes);
  std::unique_ptr<ArenaFile> OpenFile(uint32_t table, ArenaFile::Options options);
  void AddTables(bool whole, const ArenaIndex& kept);
  void SaveIndex() const;
  ArenaIndex EmptyIndex() const;
  uint64_t DiskLimit() const;

  const Context context_;
  uint64_t limit_bytes_ = 0;
  uint64_t resident_bytes_ = 0;  // of tables that are, or will be, resident whole
  std::mutex reserved_mutex_;
  uint64_t reserved_bytes_ = 0;
  std::string directory_;           // empty: anonymous memory
  std::unique_ptr<FileLock> lock_;  // of the directory; released last
  ArenaCounters counters_;
  FillBudget budget_;
  std::vector<std::unique_ptr<ResidentPanel>> panels_;
  std::vector<Resident> residents_;  // one per table
  std::unique_ptr<RowCache> cache_;
  std::unique_ptr<FillAhead> ahead_;  // null: one thread only, or nothing to fill
};

}  // namespace lutdb
