// `lutdb tune --propose-chunks N`: pairs of inputs worth a joint table, printed; nothing is
// trained.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "cli/command.h"
#include "lutdb/dataset.h"

namespace lutdb::cli {

// Looks at the training rows alone, so that what decides later has no part in the choice. Errors
// of ProposePairs.
absl::Status ProposeChunks(const Dataset& data, const RowSplit& split, uint32_t pairs_max,
                           bool json, Output& output);

}  // namespace lutdb::cli
