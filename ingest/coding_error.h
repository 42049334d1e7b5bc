// What coding the inputs of a table costs, measured on samples of them.
#pragma once

#include "absl/types/span.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"

namespace lutdb {

// Squared error of the table's outputs over their squares: sum |W (x - coded x)|^2 / sum |W x|^2,
// over a few of the vectors in `rows` (a whole number of vectors of the table's inputs) and of the
// neurons, spread evenly. rotated: the vectors already are, as the table codes them. 0 where all
// outputs are zero. Rounding of entries is not in it: it is far smaller.
double CodingError(const SourceTensor& weights, const PlannedTable& table,
                   absl::Span<const float> rows, bool rotated);

}  // namespace lutdb
