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

 private:
  template <typename Entry>
  absl::Status AddPinned(uint32_t neurons, int32_t* acc);
  absl::Status AddFaults(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                         int32_t* acc);

  const StoreReader& store_;
  RowSource& rows_;
  ThreadTeam& team_;
  std::shared_ptr<const Edits> edits_;
  std::shared_ptr<const FaultModel> faults_;
  PinnedRows pinned_;
  std::vector<std::vector<const void*>> shifted_;  // per slice: row pointers moved to its neurons
};

}  // namespace lutdb
