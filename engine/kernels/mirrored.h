// All codes of a chunk whose codes come in +- pairs, made two by two: what ProductCodes hands such
// chunks to. Not for callers of the kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kernels.h"

namespace lutdb::kernels {

// Whether `codes` is all codes of these levels and every level has its negation among them.
bool AllMirrored(const Levels* levels, uint32_t positions, uint32_t codes);

// ProductCodes of all codes, for which AllMirrored holds, by F = 16 (i16) or 24 (i8). 1 to 16
// positions.
void MirroredProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions,
                          uint32_t codes, int16_t* out, size_t out_stride);
void MirroredProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions,
                          uint32_t codes, int8_t* out, size_t out_stride);

}  // namespace lutdb::kernels
