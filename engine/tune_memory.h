// How much memory a training needs at its peak, so that one that does not fit is refused before it
// begins.
#pragma once

#include <cstdint>

#include "lutdb/tune.h"

namespace lutdb {

// Entries of the tables bound for training.
struct TuneSize {
  uint64_t trained = 0, frozen = 0;
  uint64_t chunk_max = 0;  // of the largest chunk of a trained table
  uint64_t edited = 0;     // that the branch has edited already
};

// Of all that grows with the entries; what grows with the data or is the store's is not in it.
// threads: as many as train.
uint64_t TunePeakBytes(const TuneSize& size, const TuneOptions& options, unsigned threads);

}  // namespace lutdb
