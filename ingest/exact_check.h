// Recomputes entries from the kept weights and compares them with what the store holds.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "db/rocks.h"
#include "ingest/store_contents.h"

namespace lutdb {

// Cells (a chunk x 64 neurons, all codes) of neuron block `block` of a table, each chosen with
// probability `fraction` by a hash of seed and place, at least one per table. Steps of the block
// are recomputed too. Returns the number of cells compared; DataLoss names the first difference.
// Thread-safe.
absl::StatusOr<uint64_t> CheckBlockExactly(const db::Rocks& rocks, const StoreContents& contents,
                                           uint32_t table, uint32_t block, double fraction,
                                           uint64_t seed);

}  // namespace lutdb
