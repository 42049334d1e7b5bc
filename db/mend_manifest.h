// RocksDB's own small files, CURRENT and MANIFEST, made whole again.
//
// They are the only ones that nothing else could make anew, so a copy of both is kept in `current`,
// beside them, whenever a database is closed: then nothing is written any more, and as long as the
// file of that name has not grown since, the copy is what it was. A MANIFEST is only ever appended
// to, so one of that name begins with the copy for good.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace lutdb::db {

// For a closed database that was opened for writing. Best effort: without it damage to the two
// files is named instead of mended.
void KeepManifest(const std::string& database);

// DataLoss when the MANIFEST is not what was kept, or is damaged in the middle. To be asked before
// RocksDB opens it: RocksDB takes some damage, a spoilt length for one, for the end of the file,
// and one that then writes deletes every file that the rest of the MANIFEST named. A torn end is
// RocksDB's own business. Also beside a writer; OK when there is nothing to read.
absl::Status CheckManifest(const std::string& database);

// DataLoss when what was kept is damaged itself; a writer's close makes it anew.
absl::Status CheckKeptManifest(const std::string& database);

// Puts back a damaged CURRENT or MANIFEST from the copy; or cuts off the end of a MANIFEST when it
// is not whole and nothing follows it, as a power cut leaves it. False when there was nothing to
// mend or no way to.
absl::StatusOr<bool> MendManifest(const std::string& database);

}  // namespace lutdb::db
