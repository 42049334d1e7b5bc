// Changes that are not committed, on top of a commit: what a branch would be with them.
#pragma once

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "lutdb/history.h"
#include "query/edits.h"

namespace lutdb {

// changes: as History::Preview gives them, against the commit of `head`.
std::shared_ptr<const Edits> WithPending(const Edits& head, absl::Span<const EntryChange> changes,
                                         const std::vector<TableGeometry>& geometries);

}  // namespace lutdb
