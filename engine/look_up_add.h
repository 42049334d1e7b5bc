// acc[n] = sum over chunks of the entry that the chunk's code selects: the hot loop. Rows come from
// query's row source, pinned block by block between calls of the kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/fault_model.h"
#include "engine/packed_walk.h"
#include "engine/thread_team.h"
#include "query/row_source.h"

namespace lutdb {

// Not thread-safe; uses the team inside. Allocates nothing once each table was summed once.
class LookUpAdd {
 public:
  // All three outlive it.
  LookUpAdd(const StoreReader& store, RowSource& rows, ThreadTeam& team);

  // The edits of the commit that sums are made of from now on (null: the base).
  void Use(std::shared_ptr<const Edits> edits) { edits_ = std::move(edits); }

  const Edits* edits() const { return edits_.get(); }

  // The cells that are damaged from now on (null: none).
  void Use(std::shared_ptr<const FaultModel> faults) { faults_ = std::move(faults); }

  // codes: one per chunk of the table, each below its chunk's number of codes. acc: one per neuron,
  // overwritten.
  absl::Status Sums(uint32_t table, absl::Span<const uint16_t> codes, int32_t* acc);

  // The same for several tables that are looked up with the same codes, in one walk over rows that
  // hold them all. acc: for each table one sum per neuron, then unused ones to the end of its row
  // (RowStrideBytes). False, and nothing is summed, when their rows do not lie side by side or are
  // edited or damaged.
  absl::StatusOr<bool> SumsTogether(absl::Span<const uint32_t> tables,
                                    absl::Span<const uint16_t> codes, int32_t* acc);

  // The same for many vectors in one walk of the table, so that a row that several of them use is
  // fetched once. codes: `vectors` times one per chunk, vector after vector; acc: `vectors` times
  // one per neuron, overwritten. The sums are those of one call of Sums for each vector.
  absl::Status SumsOfMany(uint32_t table, size_t vectors, absl::Span<const uint16_t> codes,
                          int32_t* acc);

 private:
  template <typename Entry>
  absl::Status AddPinned(uint32_t neurons, int32_t* acc);
  template <typename Entry>
  absl::Status AddRowSlices(uint32_t neurons, int32_t* acc);
  absl::Status AddFaults(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                         int32_t* acc);

  // A few chunks of a table and the codes that many vectors have for them.
  struct Block {
    uint32_t table = 0;
    uint32_t chunk_begin = 0;
    size_t chunks = 0;
    size_t vectors = 0;
    const uint16_t* codes = nullptr;  // of the first vector's first chunk of the block
    size_t codes_stride = 0;          // from vector to vector
  };
  size_t BlockChunks(uint32_t table, size_t vectors, size_t chunk_begin) const;
  void ListCodes(const Block& block);
  template <typename Entry>
  absl::Status AddBlock(const Block& block, uint32_t neurons, int32_t* acc);
  void AddAdditions(const Block& block, uint32_t neurons, int32_t* acc) const;

  const StoreReader& store_;
  RowSource& rows_;
  ThreadTeam& team_;
  std::shared_ptr<const Edits> edits_;
  std::shared_ptr<const FaultModel> faults_;
  PinnedRows pinned_;
  std::vector<std::vector<const void*>> shifted_;  // per slice: row pointers moved to its neurons
  std::vector<std::vector<int32_t>> slice_sums_;  // per slice of rows but the first: one per neuron
  // Of SumsOfMany:
  PackedWalk packed_;  // tables whose slopes are in memory; the others by the rows below
  std::vector<ChunkCode> wanted_;        // codes that any vector has in a block, ascending
  std::vector<uint32_t> places_;         // per vector and chunk of a block: which of wanted_
  std::vector<uint32_t> place_of_code_;  // of one chunk
  std::vector<uint64_t> used_codes_;     // of one chunk, a bit each
  std::vector<const void*> listed_;      // per vector: the rows it adds, then those it subtracts
};

}  // namespace lutdb
