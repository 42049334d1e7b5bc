// Copies of the table files of the `default` family (the manifest, the graph, the tokenizer,
// steps): a few small files that nothing else could make anew. They are kept in `blobs`, beside
// them. Table files are written once and their numbers are never used again, so a copy holds for as
// long as a file of that name is there.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/rocks.h"

namespace lutdb::db {

// For a closed database that was opened for writing; files: its live ones. Best effort: without a
// copy damage to these files is named instead of mended.
void KeepBlobs(const std::string& database, absl::Span<const LiveFile> files);

// DataLoss when what was kept is damaged itself; a writer's close makes it anew.
absl::Status CheckKeptBlobs(const std::string& database);

// Puts back each file that is not what was kept, in a database that nobody has open. False when
// there was nothing to mend or no way to.
absl::StatusOr<bool> MendBlobs(const std::string& database);

}  // namespace lutdb::db
