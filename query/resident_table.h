// A table that fits the arena whole. The unit of residency is the chunk group of a tile record: the
// first row that misses brings its whole group, and nothing is ever evicted, so that a warm lookup
// is an address computation without lock or allocation.
#pragma once

#include <atomic>
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

class ResidentTable {
 public:
  struct Context {
    const RowReader* reader = nullptr;
    const Workers* workers = nullptr;
    const RowPlaces* places = nullptr;
    uint32_t table = 0;
    uint32_t neuron_blocks = 0;
    uint32_t group_chunks = 0;
    uint32_t block_bytes = 0;  // of 64 entries
    ArenaCounters* counters = nullptr;
  };
  // kept: units of an index of this very table, to be verified before their first use.
  ResidentTable(const Context& context, std::unique_ptr<ArenaFile> file,
                const std::vector<ArenaUnit>& kept);

  bool complete() const { return missing_.load(std::memory_order_acquire) == 0; }
  bool Has(uint32_t chunk) const {
    return state_[chunk / context_.group_chunks].load(std::memory_order_acquire) == kReady;
  }
  const uint8_t* At(uint64_t row) const {
    return file_->base() + row * context_.places->stride_bytes();
  }

  // Makes the groups of these chunks (ascending) resident. Errors are the store's; when the file
  // cannot take a group, that one stays missing and nothing is reported. Thread-safe.
  absl::Status Fill(absl::Span<const uint32_t> chunks);

  ArenaIndexTable Index() const;

 private:
  enum State : uint8_t { kMissing = 0, kReady = 1, kUnverified = 2 };

  absl::Status FillGroup(uint32_t group, uint8_t* buffer, uint64_t buffer_bytes);
  uint64_t GroupRowBegin(uint32_t group) const;
  uint64_t GroupBytes(uint32_t group) const;
  uint64_t Checksum(uint32_t group) const;

  const Context context_;
  const std::unique_ptr<ArenaFile> file_;
  std::unique_ptr<std::atomic<uint8_t>[]> state_;  // one per group
  std::vector<uint64_t> checksums_;                // of groups that are not missing
  uint32_t groups_ = 0;
  std::atomic<uint32_t> missing_{0};  // groups that are not ready
  std::atomic<bool> full_{false};     // a write failed: take no more
  std::mutex fill_mutex_;             // one Fill at a time
};

}  // namespace lutdb
