// Kept source weights: records of consecutive rows of one tensor, in the tensor's own element type,
// byte planes apart and compressed with ZSTD where that helps. docs/format.md, "Source weights".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "schemas/table_spec.h"

namespace lutdb {

// Rows of one record: about 64 KiB of them, at least 1.
uint32_t RowsPerRecord(DType dtype, uint64_t cols);

// rows: row_count x cols elements of spec.dtype, contiguous, starting at row
// row_block * spec.rows_per_record.
void EncodeTensorRows(const TensorSpec& spec, uint32_t row_block, const uint8_t* rows,
                      uint32_t row_count, std::string* out);

// Decodes a record into the source's own bytes (all rows of the block). DataLoss when damaged, of
// another tensor or block, or when the XXH3-64 differs.
absl::Status DecodeTensorRows(const TensorSpec& spec, uint32_t row_block, std::string_view bytes,
                              std::string* rows);

// Elements of a kept or source tensor as f32, exactly. from may be unaligned.
void ToFloat(DType dtype, const void* from, uint64_t count, float* to);

}  // namespace lutdb
