// Where things lie inside a tile; shared by the record encoders and the decoder.
#pragma once

#include <cstdint>

#include "coding/levels.h"
#include "coding/record.h"
#include "coding/record_header.h"

namespace lutdb {

// Bytes of one code's entries of a tile: 64, missing neurons included.
inline uint64_t RowBytes(const TableGeometry& geometry) {
  return uint64_t{kBlockNeurons} * static_cast<uint64_t>(EntryBytes(geometry.entry()));
}

// The header a tile's record must have.
RecordShape HeaderShape(const TableGeometry& geometry, const TileId& tile, const TileShape& shape);

// Slopes from the given row of 64 on.
Slopes SlopesAt(Slopes slopes, uint32_t position);

}  // namespace lutdb
