// Folding edits into records: the tables of a new base generation.
//
// A new generation is a copy of the database (hard links) in which the files with edited records
// are written again, file for file with the same ranges of keys, beside the old one, which readers
// go on using. Rejected: replacing files of the generation in use (an open reader would miss them).
#pragma once

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "lutdb/options.h"
#include "query/edits.h"
#include "query/history_records.h"
#include "query/store_reader.h"

namespace lutdb {

struct BakeRequest {
  const StoreReader* store = nullptr;  // the generation in use
  const Edits* edits = nullptr;        // of the commit to be folded in, against that generation
  TileChanges since_build = {};        // how the commit differs from what was built
  const ProgressFn* progress = nullptr;
  const std::atomic<bool>* cancel = nullptr;
};

// Turns the database at `path`, a copy of the store's, into the next generation. Not atomic: until
// it returns OK the copy is of no use. Cancelled within about a second of the flag.
absl::Status BakeInto(const BakeRequest& request, const std::string& path);

}  // namespace lutdb
