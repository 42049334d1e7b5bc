// Rounds what was learned to as few bits as validation rows allow, so that it takes little room on
// disk: most low bits of a trained entry are noise of the training.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/tune_trainer.h"

namespace lutdb {

// Makes every correction (entry less entry before, as stored integers) of every trained table a
// multiple of 2^shift, to the nearest and within the limit. The shift is the largest, first for all
// tables together, then for each by itself, that leaves the loss on `valid` at most 1 + `share`
// times what it is. shifts: per table.
absl::Status CoarsenCorrections(TuneTrainer& trainer, TuneNetwork* network,
                                absl::Span<const uint32_t> valid, double share,
                                std::vector<uint32_t>* shifts);

}  // namespace lutdb
