// What a store holds and how it is cut into files: the same answer for the builder, for verify and
// for repair, because it follows from the specs alone (never from threads, memory or the data).
//
// A range is one SST file: a run of consecutive keys of one family that no other range shares.
// Ranges of tables hold whole chunks (all neuron blocks, all codes), so that each has its own share
// of the content hash. Sizes are such that redoing a lost range costs a second or two.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coding/levels.h"
#include "db/rocks.h"
#include "schemas/table_spec.h"

namespace lutdb {

struct PlannedTable {
  TableSpec spec;
  TableGeometry geometry;
  std::vector<float> input_scales;  // empty: all 1
};

struct RangePlan {
  db::Family family = db::Family::kTile;
  // Tables: first_id == last_id, units [begin, end) are chunk groups (tile) or chunks (row).
  // Weights: records from block `begin` of tensor first_id up to, not including, block `end` of
  // tensor last_id; small tensors share a range.
  uint32_t first_id = 0;
  uint32_t last_id = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t records = 0;
  uint64_t raw_bytes = 0;  // entries, or bytes of source weights
};

struct StoreLayout {
  std::vector<PlannedTable> tables;  // index = id
  std::vector<TensorSpec> tensors;   // index = id
  std::vector<RangePlan> ranges;     // weights first, then tables in order of id
};

// Fills `ranges` from tables and tensors.
void PlanRanges(StoreLayout* layout);

uint64_t RowBlocks(const TensorSpec& tensor);
// Chunks [begin, end) of a table range.
uint32_t FirstChunk(const PlannedTable& table, const RangePlan& range);
uint32_t LastChunkEnd(const PlannedTable& table, const RangePlan& range);
// Records, and bytes of all entries, of a table.
uint64_t RecordsOf(const PlannedTable& table);

std::string FirstKey(const StoreLayout& layout, const RangePlan& range);
std::string LastKey(const StoreLayout& layout, const RangePlan& range);
// For messages: "table l1, chunks 0..783" or "weights of l1".
std::string Describe(const StoreLayout& layout, const RangePlan& range);

}  // namespace lutdb
