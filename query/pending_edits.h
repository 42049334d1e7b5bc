// Changes that are not committed, on top of a commit: what a branch would be with them.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/history.h"
#include "query/edits.h"
#include "query/store_reader.h"

namespace lutdb {

// changes: as History::Preview gives them. Only the new values are taken: those they replace are
// read from the store at the commit of `head`, since others may have committed after the preview.
// DataLoss when a record is damaged.
absl::StatusOr<std::shared_ptr<const Edits>> WithPending(const StoreReader& store,
                                                         const Edits& head,
                                                         absl::Span<const EntryChange> changes);

}  // namespace lutdb
