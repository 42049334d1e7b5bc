// What must hold of the numbers of a manifest before anybody computes with them.
#pragma once

#include "absl/status/status.h"
#include "schemas/manifest.h"

namespace lutdb {

// DataLoss, in one line, for the first thing that does not hold: enumerations in range, shapes that
// neither overflow nor exceed what keys and sums can hold, chunks that cover every input, tensors
// that have the shape their table needs, lists as long as those they belong to.
absl::Status ValidateManifest(const Manifest& manifest);

}  // namespace lutdb
