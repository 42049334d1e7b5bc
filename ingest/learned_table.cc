#include "ingest/learned_table.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "coding/levels.h"

namespace lutdb {

SourceTensor WeightsOf(const std::vector<SourceTensor>& tensors, const TableSpec& spec) {
  if (spec.weight_tensor != kNone) return tensors[spec.weight_tensor];
  SourceTensor zeros;  // no data
  zeros.name = spec.name;
  zeros.rows = spec.neurons;
  zeros.cols = spec.inputs;
  return zeros;
}

absl::Status ResolveLearned(float range, TableSpec* spec) {
  if (spec->fixed_scale == 0) {
    int32_t widest = RangeOf(spec->levels).max;
    if (!spec->chunks.empty()) widest = 1;
    for (const ChunkSpec& chunk : spec->chunks) {
      for (const GridLevels& levels : chunk.levels) {
        widest = std::max(widest, RangeOf(levels).max);
      }
    }
    spec->fixed_scale = 1.0f / static_cast<float>(widest);
  }
  const double limit = spec->entry == EntryType::kI8 ? 127 : 32767;
  spec->learned_step = static_cast<float>(double{range} / (limit * double{spec->fixed_scale}));
  if (std::isnormal(spec->learned_step)) return absl::OkStatus();
  return InvalidArgument("table {}: a range of {} at the input scale {} gives no step in 32 bits",
                         spec->name, range, spec->fixed_scale);
}

absl::Status RefuseLearned(const std::vector<SourceTable>& tables, const char* what) {
  for (const SourceTable& table : tables) {
    if (table.spec.weight_tensor != kNone) continue;
    return Unimplemented("table {} starts without weights, which {} needs", table.spec.name, what);
  }
  return absl::OkStatus();
}

}  // namespace lutdb
