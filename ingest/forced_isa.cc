#include "ingest/forced_isa.h"

#include <cstdlib>

#include "base/status.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

absl::Status ApplyForcedIsa() {
  static const absl::Status status = [] {
    const char* name = std::getenv("LUTDB_FORCE_ISA");
    if (name == nullptr || *name == 0 || kernels::ForceIsa(name)) return absl::OkStatus();
    return InvalidArgument("LUTDB_FORCE_ISA={}: not an instruction set of this machine; choose: {}",
                           name, kernels::IsaList());
  }();
  return status;
}

}  // namespace lutdb
