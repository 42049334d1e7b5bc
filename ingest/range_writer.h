// Makes one range of a store: an SST file of table records or of kept weights. What is written
// depends on the layout, the weights and the steps alone, so a range made again is the same bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "db/bulk.h"
#include "ingest/baked_edits.h"
#include "ingest/model_source.h"
#include "ingest/progress_meter.h"
#include "ingest/slope_block.h"
#include "ingest/store_layout.h"

namespace lutdb {

// What ranges are made from. Everything must outlive the writing; read-only, shared by threads.
struct RangeInputs {
  const StoreLayout* layout = nullptr;
  const std::vector<SourceTensor>* weights = nullptr;      // index = tensor id
  const std::vector<std::vector<float>>* steps = nullptr;  // per table, per neuron
  const BakedEdits* baked = nullptr;   // to be put over what the weights give; null: none
  const MappedFiles* files = nullptr;  // whose pages are given back after use; null: none
};

struct RangeOptions {
  uint64_t buffer_bytes = 64 << 20;  // of records and entries held at once, roughly
  const std::atomic<bool>* cancel = nullptr;
  ProgressMeter* progress = nullptr;  // null: none; done is counted in raw bytes
};

// What the journal keeps of a finished range.
struct RangeResult {
  uint64_t file_bytes = 0;
  uint64_t records = 0;
  uint64_t raw_bytes = 0;     // entries, or bytes of source weights
  uint64_t stored_bytes = 0;  // keys and values
  // Entries that follow from slopes: all that a build makes, whatever codec writes them.
  uint64_t derived_entries = 0;
  Hash128 cells;  // sum of cell hashes; tables only
  bool operator==(const RangeResult&) const = default;
};

// Writes, syncs and closes the file at `path`; nothing is left there on error. ResourceExhausted
// when the disk is full, Cancelled within about a second of the flag.
absl::StatusOr<RangeResult> WriteRange(const RangeInputs& inputs, const RangePlan& range,
                                       const std::string& path, const RangeOptions& options);

}  // namespace lutdb
