// The body of delta records: differences along the stored codes of each chunk, byte planes of i16
// apart, then LZ4 or ZSTD. docs/format.md, "Delta records".
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coding/levels.h"
#include "coding/record.h"

namespace lutdb {

// Appends the body for a tile's payload (stored codes x 64 entries, chunk after chunk).
void AppendDelta(const TableGeometry& geometry, const TileShape& shape, const void* entries,
                 std::string* out);

// Restores the payload from a whole body. DataLoss when it is damaged; entries are then
// unspecified.
absl::Status ReadDelta(const TableGeometry& geometry, const TileShape& shape, std::string_view body,
                       void* entries);

}  // namespace lutdb
