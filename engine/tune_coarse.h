// Rounds what was learned to as few bits as validation rows allow, so that it takes little room on
// disk: most low bits of a trained entry are noise of the training.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/tune_rounding.h"
#include "engine/tune_trainer.h"

namespace lutdb {

// Rounds every trained table, as rows of `train` make their errors cancel. The shift is the
// largest, first for all tables together, then for each by itself, that leaves the loss on `valid`
// at most 1 + `share` times what it is. may_round_all: entries that did not change may be rounded,
// too; then a table's whole entries are wherever they are expected to take fewer bits than its
// corrections. units: per table.
absl::Status CoarsenEntries(TuneTrainer& trainer, TuneNetwork* network,
                            absl::Span<const uint32_t> train, absl::Span<const uint32_t> valid,
                            double share, bool may_round_all, std::vector<CoarseUnit>* units);

}  // namespace lutdb
