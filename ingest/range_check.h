// Reads one planned range of a store and judges every record of it.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "db/rocks.h"
#include "ingest/store_contents.h"

namespace lutdb {

struct RangeFindings {
  uint64_t records = 0;
  uint64_t bytes = 0;
  Hash128 cells;  // sum of cell hashes; tables only
};

// Every record that the range should hold, in key order, and none besides: identity, shape,
// checksum of the decoded payload. The first thing wrong is returned, naming where. Thread-safe.
absl::Status CheckRange(const db::Rocks& rocks, const StoreContents& contents,
                        const RangePlan& range, RangeFindings* findings);

// One tile record: its header, decoding and checksum.
absl::Status CheckTileRecord(const db::Rocks& rocks, const PlannedTable& table, uint32_t group,
                             uint32_t block);

}  // namespace lutdb
