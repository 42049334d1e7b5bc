// Entries out of an open tile: product records through the kernels, others through the decoder.
// Which of the two a record needs is decided here and nowhere else.
#pragma once

#include <cstdint>

#include "coding/record.h"

namespace lutdb {

// Writes the 64 entries of each code in [code_begin, code_end) of `chunk`, code after code
// stride_bytes apart (a multiple of 64). out is aligned to 64 bytes. The chunk belongs to the tile
// that `decoder` has open.
void TileCodes(const TableGeometry& geometry, const TileDecoder& decoder, uint32_t chunk,
               uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes);

// The same from the chunk's own slopes, 64 for each position.
void SlopeCodes(const TableGeometry& geometry, const int32_t* slopes, uint32_t chunk,
                uint32_t code_begin, uint32_t code_end, void* out, uint64_t stride_bytes);

}  // namespace lutdb
