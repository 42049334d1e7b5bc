// The content hash: a sum modulo 2^128 of one XXH3-128 per cell, so that it depends on the logical
// entries alone, in any order and layout, and one cell can be replaced. docs/format.md,
// "Content hash", lists the bytes of a cell.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "coding/levels.h"
#include "schemas/table_spec.h"

namespace lutdb {

// Hashes one cell: one chunk x one block of 64 neurons, all codes. Reusable; not thread-safe.
class CellHasher {
 public:
  explicit CellHasher(const TableSpec& spec, const TableGeometry& geometry);
  ~CellHasher();
  CellHasher(CellHasher&&) noexcept;

  // steps: of the block's real neurons (1..64).
  void Begin(uint32_t chunk, uint32_t neuron_block, absl::Span<const float> steps);
  // Entries of consecutive codes from code 0 up, 64 per code, missing neurons zero.
  void Update(const void* entries, uint64_t bytes);
  Hash128 Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
