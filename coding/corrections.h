// Bodies of delta records of kind 3: what entries add to the products of slopes, in units of a
// power of two, as differences along the codes. For tiles that were tuned or edited and still have
// slopes under them. docs/format.md, "Tile records".
//
// Rejected: differences of the entries themselves, which hold the rounding of every product, but
// where all entries were rounded to such units; a list of the entries that depart, which loses as
// soon as a few in a hundred do.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coding/levels.h"
#include "coding/record.h"

namespace lutdb {

// The first byte of such a body; delta.cc has the others. Persisted.
inline constexpr char kCorrectionsKind = 3;

// Appends the body, its kind byte included. slopes: of the whole tile; both null: all zero, so that
// the corrections are the entries. entries: the payload.
void AppendCorrections(const TableGeometry& geometry, const TileShape& shape, Slopes slopes,
                       const void* entries, std::string* out);

// Bytes of a tile's slopes in memory.
size_t SlopeBytes(const TableGeometry& geometry, const TileShape& shape);

// Restores slopes (SlopeBytes of them, aligned for int64) and payload from a whole body. DataLoss
// when it is damaged; both are then unspecified.
absl::Status ReadCorrections(const TableGeometry& geometry, const TileShape& shape,
                             std::string_view body, void* slopes, void* entries);

// Slopes that lie at `memory`, as ReadCorrections and product records leave them.
Slopes SlopesIn(const TableGeometry& geometry, const void* memory);

}  // namespace lutdb
