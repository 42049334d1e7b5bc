// The content hash of a commit: that of the base generation, with the cells that differ taken out
// and put in again.
#pragma once

#include "absl/status/statusor.h"
#include "query/edits.h"
#include "query/store_reader.h"

namespace lutdb {

// Reads and hashes each cell that edits touch once; costs nothing without edits.
absl::StatusOr<Hash128> EditedContentHash(const StoreReader& store, const Edits& edits);

}  // namespace lutdb
