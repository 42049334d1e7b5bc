// The instruction set asked for by the environment, applied once before kernels run.
#pragma once

#include "absl/status/status.h"

namespace lutdb {

// Uses the instruction set that LUTDB_FORCE_ISA names, if it is set. InvalidArgument when unknown
// or not supported by this machine; the message lists what is. Thread-safe; the first call decides.
absl::Status ApplyForcedIsa();

}  // namespace lutdb
