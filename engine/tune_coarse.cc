#include "engine/tune_coarse.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/status.h"
#include "engine/tune_run.h"
#include "engine/tune_state.h"

namespace lutdb {
namespace {

constexpr uint32_t kShiftMax = 14;  // of 15 bits and a sign

// entries: as trained; the table's are overwritten.
void Round(uint32_t shift, const std::vector<float>& entries, TuneTable* table) {
  table->entries = entries;
  const int32_t unit = int32_t{1} << shift;
  for (size_t row = 0; row < table->rows(); ++row) {
    for (uint32_t n = 0; n < table->neurons; ++n) {
      const size_t at = row * table->neurons + n;
      const double step = table->unit[n];
      const auto before = static_cast<int32_t>(std::nearbyint(double{table->initial[at]} / step));
      const int32_t correction = table->Rounded(row, n) - before;
      int32_t coarse = static_cast<int32_t>(std::nearbyint(double(correction) / unit)) * unit;
      if (std::abs(before + coarse) > table->limit) coarse -= coarse > 0 ? unit : -unit;
      table->entries[at] = static_cast<float>(step * (before + coarse));
    }
  }
}

}  // namespace

absl::Status CoarsenCorrections(TuneTrainer& trainer, TuneNetwork* network,
                                absl::Span<const uint32_t> valid, double share,
                                std::vector<uint32_t>* shifts) {
  const TuneEntries trained = CopyEntries(*network);
  shifts->assign(network->tables.size(), 0);
  const auto round_all = [&](const std::vector<uint32_t>& to) {
    for (size_t t = 0; t < to.size(); ++t) {
      if (network->tables[t].trained) Round(to[t], trained[t], &network->tables[t]);
    }
  };
  LUTDB_ASSIGN_OR_RETURN(const TuneFigures before, MeasureStored(trainer, network, valid));
  const auto raise = [&](std::vector<uint32_t> higher) -> absl::StatusOr<bool> {
    round_all(higher);
    LUTDB_ASSIGN_OR_RETURN(const TuneFigures after, MeasureStored(trainer, network, valid));
    if (!(after.loss <= before.loss * (1 + share))) return false;
    *shifts = std::move(higher);
    return true;
  };
  for (uint32_t shift = kShiftMax; shift > 0; --shift) {
    LUTDB_ASSIGN_OR_RETURN(const bool fits,
                           raise(std::vector<uint32_t>(network->tables.size(), shift)));
    if (fits) break;
  }
  for (size_t t = 0; t < network->tables.size(); ++t) {
    if (!network->tables[t].trained) continue;
    while ((*shifts)[t] < kShiftMax) {
      std::vector<uint32_t> higher = *shifts;
      ++higher[t];
      LUTDB_ASSIGN_OR_RETURN(const bool fits, raise(std::move(higher)));
      if (!fits) break;
    }
  }
  round_all(*shifts);
  return absl::OkStatus();
}

}  // namespace lutdb
