// Opening a store that may not open: what says which database holds it, and where that begins, is
// mended first.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "db/manifest.h"
#include "lutdb/build.h"

namespace lutdb {

// Opens for writing. What is lost for good goes to report->unrecoverable, what was made again is
// counted in report->files_rebuilt. Errors of db::OpenStore.
absl::StatusOr<db::OpenedStore> OpenToRepair(const std::string& store, RepairReport* report);

}  // namespace lutdb
