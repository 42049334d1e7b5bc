// The slopes of a whole table in memory: entries of any code in a few additions, without a record
// being read. Two uses. Many vectors: making all codes of a chunk anew in the second-level cache
// costs less than reading their rows from memory, since slopes take a hundredth of the rows. Rows
// that an arena has no room for: one code of all neurons is read from one end to the other of
// what its chunk has here.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/aligned_buffer.h"
#include "coding/levels.h"
#include "query/row_reader.h"
#include "query/store_reader.h"

namespace lutdb {

// Immutable, so thread-safe. Must not outlive the store.
class TableSlopes {
 public:
  // Memory they take; 0 for tables that have none to keep (rows, levels at uneven distances, inputs
  // of more than 8 bits).
  static uint64_t BytesOf(const StoreReader& store, uint32_t table);

  // Reads every record of the table, for which BytesOf is not 0. Null when one of them is no
  // product record (an edited or tuned one).
  static absl::StatusOr<std::unique_ptr<const TableSlopes>> Read(const StoreReader& store,
                                                                 const RowReader& reader,
                                                                 uint32_t table);

  // Writes 64 entries of neuron block `block` for each code of `chunk`, all codes (mirrored ones
  // too), one after the other without gaps. out is aligned to 64 bytes.
  void AllCodes(uint32_t block, uint32_t chunk, void* out) const;

  // Fetches into the cache what AllCodes will read.
  void Prefetch(uint32_t block, uint32_t chunk) const;

  // The row of one code: row_bytes of it (at least one entry, no more than whole blocks of 64
  // neurons have); what lies beyond the last neuron is zero. out is aligned to 64 bytes.
  void Row(uint32_t chunk, uint32_t code, uint64_t row_bytes, uint8_t* out) const;

 private:
  explicit TableSlopes(const TableGeometry& geometry);
  uint64_t FirstPosition(uint32_t chunk) const {
    return first_position_.empty() ? uint64_t{chunk} * positions_each_ : first_position_[chunk];
  }
  uint64_t Positions(uint32_t chunk) const {
    return first_position_.empty() ? positions_each_ : geometry_.positions(chunk).size();
  }
  const int32_t* At(uint32_t block, uint32_t chunk) const {
    const uint64_t row = FirstPosition(chunk) * blocks_ + block * Positions(chunk);
    return slopes_.get() + row * kBlockNeurons;
  }

  const TableGeometry& geometry_;
  uint64_t positions_each_ = 0;           // of each chunk when all are alike
  std::vector<uint64_t> first_position_;  // by chunk; else
  const uint64_t blocks_;
  AlignedArray<int32_t> slopes_;  // [chunk][neuron block][position][64]
};

}  // namespace lutdb
