// Single entries of the rows that a sum was made of: what lutdb/explain.h is built on.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "query/edits.h"
#include "query/row_source.h"
#include "query/store_reader.h"

namespace lutdb {

// entries[i * chunks + c]: what chunk c adds to neurons[i] when it has codes[c], read through the
// same rows and edits (null: the base) as LookUpAdd reads. neurons: in range.
absl::StatusOr<std::vector<int16_t>> EntriesOf(const StoreReader& store, RowSource& rows,
                                               uint32_t table, absl::Span<const uint16_t> codes,
                                               absl::Span<const uint32_t> neurons,
                                               const Edits* edits);

// Indices of the `top` entries of largest magnitude (0: of all), largest first, equals by index.
std::vector<uint32_t> LargestEntries(absl::Span<const int16_t> entries, uint32_t top);

}  // namespace lutdb
