// Ranges of row layout: one record per stored code and block of about 2,000 neurons.
#pragma once

#include "absl/status/status.h"
#include "db/bulk.h"
#include "ingest/range_writer.h"

namespace lutdb {

// As WriteRange, for a range of family kRow and an open file.
absl::Status WriteRowRange(const RangeInputs& inputs, const RangePlan& range,
                           const RangeOptions& options, db::SstWriter* file, RangeResult* result);

}  // namespace lutdb
