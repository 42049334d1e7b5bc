// Sums of many vectors in one walk of a table. All codes of a few chunks are made from slopes for
// 64 neurons at a time, packed in the second-level cache, and every vector adds its rows from
// there: no row is read from memory, and none is added less.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/aligned_buffer.h"
#include "coding/levels.h"
#include "engine/thread_team.h"
#include "query/edits.h"
#include "query/table_slopes.h"

namespace lutdb {

// Not thread-safe; uses the team inside, which outlives it. Keeps its memory from call to call:
// half a megabyte a thread, and where all codes of one chunk take more than their 256 KiB of it,
// those (1.25 MiB in all for 8,192 codes, the most that 512 vectors are served from slopes).
class PackedWalk {
 public:
  explicit PackedWalk(ThreadTeam& team) : team_(team), slices_(team.count()) {}

  struct Table {
    const TableGeometry* geometry = nullptr;
    const TableSlopes* slopes = nullptr;
    const TableEdits* edits = nullptr;  // null: none
  };
  // As LookUpAdd::SumsOfMany.
  absl::Status Sums(const Table& table, size_t vectors, absl::Span<const uint16_t> codes,
                    int32_t* acc);

 private:
  // Consecutive chunks whose packed rows fit the cache together.
  struct Batch {
    uint32_t chunk_begin = 0;
    uint32_t chunk_end = 0;
    uint32_t rows = 0;
    uint32_t count() const { return chunk_end - chunk_begin; }
  };
  // Where a chunk's packed rows are in its batch.
  struct FirstRow {
    uint32_t row = 0;
    uint32_t codes = 0;
  };
  // What one thread works in.
  struct Slice {
    AlignedArray<uint8_t> rows;
    AlignedArray<uint8_t> sums;
    AlignedArray<int32_t> acc;
    uint64_t rows_bytes = 0;
    uint64_t sums_bytes = 0;
  };
  // Some of the vectors, few enough for their sums to stay in the cache.
  struct Group {
    size_t vectors = 0;
    int32_t* acc = nullptr;  // of the first
  };

  void ListBatches(const TableGeometry& geometry);
  void ListNumbers(const TableGeometry& geometry, size_t vectors, const uint16_t* codes);
  template <typename Entry>
  void WalkBlock(const Table& table, const Group& group, uint32_t block, Slice* slice) const;
  template <typename Entry>
  absl::Status WalkBlocks(const Table& table, const Group& group);

  ThreadTeam& team_;
  std::vector<Slice> slices_;
  std::vector<Batch> batches_;
  std::vector<FirstRow> first_rows_;  // by chunk
  std::vector<uint16_t> numbers_;     // [batch][vector][chunk of the batch]: which packed row
  uint32_t rows_max_ = 0;             // of any batch
};

}  // namespace lutdb
