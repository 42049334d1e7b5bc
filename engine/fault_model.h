// Damaged cells as sums see them: what lutdb/faults.h promises, applied where rows are added.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "coding/levels.h"
#include "lutdb/faults.h"
#include "query/edits.h"
#include "query/store_reader.h"

namespace lutdb {

// Immutable; safe to use from many threads.
class FaultModel {
 public:
  // Null for a share of 0. Errors of Model::SetFaults.
  static absl::StatusOr<std::shared_ptr<const FaultModel>> Create(const StoreReader& store,
                                                                  const FaultOptions& options);

  bool Damages(uint32_t table) const { return damaged_[table]; }

  // What the damaged entry of a sound one reads as, were its cell to fail. The most negative number
  // of an entry type is read as the one above it, so that entries stay within +-EntryLimit.
  int32_t Damaged(int32_t entry, uint64_t cell_hash, EntryType type) const;

  // Rows as LookUpAdd has pinned them, and the edits of the table (null: none).
  struct Rows {
    uint32_t table;
    const TableGeometry& geometry;
    uint32_t chunk_begin;
    absl::Span<const uint16_t> codes;
    const void* const* rows;
    const int8_t* signs;
    const TableEdits* edits;
  };
  // Adds to acc[n], n in [neuron_begin, neuron_end), what the damage makes of a sum of these rows
  // with their edits.
  void Correct(const Rows& rows, uint32_t neuron_begin, uint32_t neuron_end, int32_t* acc) const;

 private:
  FaultModel(const FaultOptions& options, std::vector<bool> damaged);
  bool Fails(uint64_t cell_hash) const { return (cell_hash >> 11) < limit_; }
  uint64_t RowHash(uint32_t table, uint32_t chunk, uint32_t code) const;
  template <typename Entry>
  void CorrectRow(const Rows& rows, size_t index, uint32_t neuron_begin, uint32_t neuron_end,
                  int32_t* acc) const;

  FaultKind kind_;
  uint64_t seed_;
  uint64_t limit_;  // of 2^53
  std::vector<bool> damaged_;
};

}  // namespace lutdb
