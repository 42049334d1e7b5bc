// A panel of tables (panels.h), most often one, that fits the arena whole: row r of each table, one
// behind the other, then row r + 1. The unit of residency is the chunk group of a tile record: the
// first row that misses brings its group of every table, and nothing is ever evicted, so that a
// warm lookup is an address computation without lock or allocation.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "query/arena_file.h"
#include "query/arena_index.h"
#include "query/row_places.h"
#include "query/row_reader.h"

namespace lutdb {

// Counts of all tables of an arena.
struct ArenaCounters {
  std::atomic<uint64_t> used_bytes{0};
  std::atomic<uint64_t> hits{0};
  std::atomic<uint64_t> misses{0};
  std::atomic<uint64_t> fills{0};
  std::atomic<uint64_t> evictions{0};
};

// Filling is paid for: it may take as long as making rows without the arena has taken so far, and
// half a second more. So a short run, or one on a disk that cannot keep up with the writes, is
// never much slower than with the arena off, and a long one has everything resident soon.
// Thread-safe.
class FillBudget {
 public:
  using Clock = std::chrono::steady_clock;
  bool allows() const { return spent_.load() < earned_.load() + 500'000'000; }
  void Earn(Clock::duration time) { earned_ += Nanoseconds(time); }
  // `sharers`: threads that filled side by side.
  void Spend(Clock::duration time, unsigned sharers) { spent_ += Nanoseconds(time) / sharers; }

 private:
  static int64_t Nanoseconds(Clock::duration time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }
  std::atomic<int64_t> spent_{0};
  std::atomic<int64_t> earned_{0};
};

class ResidentPanel {
 public:
  struct Column {
    uint32_t table = 0;
    const RowPlaces* places = nullptr;
    uint32_t neuron_blocks = 0;
    uint64_t offset = 0;  // of its part of a row, in bytes: the strides of the columns before it
  };
  struct Context {
    const RowReader* reader = nullptr;
    const Workers* workers = nullptr;
    std::vector<Column> columns;  // at least one; their rows have the same numbers
    uint64_t row_bytes = 0;       // from row to row: the strides of all columns
    uint32_t group_chunks = 0;
    uint32_t block_bytes = 0;  // of 64 entries
    ArenaCounters* counters = nullptr;
    FillBudget* budget = nullptr;
  };
  // kept: units of an index of this very panel, to be verified before their first use.
  ResidentPanel(Context context, std::unique_ptr<ArenaFile> file,
                const std::vector<ArenaUnit>& kept);

  bool complete() const { return missing_.load(std::memory_order_acquire) == 0; }
  bool Has(uint32_t chunk) const {
    return state_[chunk / context_.group_chunks].load(std::memory_order_acquire) == kReady;
  }
  // Of the first column.
  const uint8_t* At(uint64_t row) const { return file_->base() + row * context_.row_bytes; }
  uint64_t row_bytes() const { return context_.row_bytes; }  // from row to row

  // Makes the groups of these chunks (ascending) resident, as many as the budget allows. Errors are
  // the store's; when the file cannot take a group, that one stays missing and nothing is reported.
  // Thread-safe.
  absl::Status Fill(absl::Span<const uint32_t> chunks);

  // Makes the first group that is missing resident; false when there is none, or it cannot be had
  // now. For filling ahead: errors are left to the look-up that meets them. Thread-safe.
  bool FillNext();

  ArenaIndexTable Index() const;

 private:
  enum State : uint8_t { kMissing = 0, kReady = 1, kUnverified = 2 };

  bool VerifyGroup(uint32_t group);
  absl::Status FillGroup(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes);
  absl::Status FillAtOnce(uint32_t group, uint8_t* buffer);
  absl::Status FillInPieces(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes);
  void Write(uint64_t offset, const uint8_t* from, uint64_t bytes);
  void Publish(uint32_t group);
  const RowPlaces& places() const { return *context_.columns.front().places; }
  uint64_t GroupRowBegin(uint32_t group) const;
  uint64_t GroupRows(uint32_t group) const {
    return GroupRowBegin(group + 1) - GroupRowBegin(group);
  }
  uint64_t GroupBytes(uint32_t group) const;
  uint64_t Checksum(uint32_t group) const;

  const Context context_;
  const std::unique_ptr<ArenaFile> file_;
  std::unique_ptr<std::atomic<uint8_t>[]> state_;  // one per group
  std::vector<uint64_t> checksums_;                // of groups that are not missing
  std::vector<uint8_t> checked_;                   // groups whose checksum was compared: once
  uint32_t groups_ = 0;
  uint32_t kept_ = 0;                 // groups that came from an index
  std::atomic<uint32_t> missing_{0};  // groups that are not ready
  std::atomic<bool> full_{false};     // a write failed: take no more
  std::mutex fill_mutex_;             // one Fill at a time
  std::atomic<uint32_t> next_{0};     // groups before it were looked at by FillNext
};

}  // namespace lutdb
