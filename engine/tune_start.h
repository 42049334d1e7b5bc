// Before the first step: how large each table's outputs are, and where tables that hold nothing
// begin.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/tune_trainer.h"

namespace lutdb {

// Tables whose entries are all zero, in networks where tables follow tables, start as random
// slopes: from zero, every neuron would learn the same, and nothing would flow through a table that
// is flat. target_size: the targets' standard deviation, or 1 for classes. initial stays zero, so
// penalties pull towards nothing. Depends on the seed alone.
void StartEmptyTables(TuneNetwork* network, double target_size, uint64_t seed);

// Sets every table's gain to the root mean square of its outputs (less their bias) over at most
// 1,024 of the rows, or to what follows from its place where that is zero; divided by the scale its
// sums are multiplied by, and less for tables of fine levels that read another one's outputs.
absl::Status SetGains(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows,
                      double target_size);

// A fraction in [0, 1) and a normal variate, functions of (seed, index) alone.
double TuneUniform(uint64_t seed, uint64_t index);
double TuneNormal(uint64_t seed, uint64_t index);

}  // namespace lutdb
