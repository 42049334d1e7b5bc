// From weights to entries: steps, slopes and the rounding that every codec reproduces exactly
// (docs/format.md, "Entries").
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "coding/levels.h"

namespace lutdb {

// The step of one neuron: its largest entry becomes the entry limit (i8), or seven eighths of it
// (i16, the rest is left free for edits). weights has geometry.inputs() finite values; 1 for a
// neuron whose weights are all zero, never below FLT_MIN; infinite when the weights are so large
// that no f32 step fits them, which the caller refuses. Computed in double, rounded to the f32 that
// is stored.
float StepOf(const TableGeometry& geometry, absl::Span<const float> weights);

// m = round_half_even(weight * 2^F / step), exact in double for F <= 32.
int64_t SlopeOf(float weight, float step, int slope_shift);

// (a + 2^(F-1)) >> F when the code's first non-zero level is positive; the negated entry of the
// mirrored code otherwise; 0 when all levels are zero. slopes and levels have `count` elements.
int32_t EntryOf(const int64_t* slopes, const int32_t* levels, uint32_t count, int slope_shift);

}  // namespace lutdb
