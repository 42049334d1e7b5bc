// Rows of entries from slopes, in portable C++: what records promise, made for whole ranges of
// codes by running addition. engine/kernels has the same for every instruction set, faster.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "coding/levels.h"
#include "coding/record.h"

namespace lutdb {

// Entries of one chunk for 64 neurons and codes [code_begin, code_end), as section "Entries" of
// docs/format.md defines them; made by running addition where levels are evenly spaced, else by
// multiplying. `slopes` point at the chunk's first row (positions x 64, neuron
// fastest). Row of code c goes to out + (c - code_begin) * stride_bytes.
void ProductRows(const TableGeometry& geometry, uint32_t chunk, Slopes slopes, uint32_t code_begin,
                 uint32_t code_end, void* out, uint64_t stride_bytes);

}  // namespace lutdb
