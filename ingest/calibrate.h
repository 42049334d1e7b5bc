// Levels fitted to data. Goals: the least squared error of inputs for the levels there are; the
// same levels on every machine. Non-goals: gradients (`tune` has those), weights fitted to the
// coding (tried: with 2,048 tokens it over-fits, and perplexity on unseen text rises).
//
// Two ways, by how the table scales its inputs:
// - one set for all inputs of a table, under a scale chosen for each vector: language models, and
//   whatever is rotated, since a rotation makes inputs alike;
// - a set for every input, under a fixed scale: feed-forward networks, whose inputs differ.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"
#include "lutdb/build.h"
#include "schemas/table_spec.h"

namespace lutdb {

// The step from fixed-point levels to numbers, and the levels.
struct FittedInput {
  float scale = 1;  // a power of two: x = scale * level
  LevelSet set;
};
// Levels of one input from its values (not empty, finite, ascending). Fewer than 2^bits where there
// are not so many values; two where the input never changes. scale_min: a power of two or 0.
FittedInput FitInput(const std::vector<float>& values, int bits, LevelsFrom from, float scale_min);

// One set for vectors of `width` numbers, each under the scale that suits it best.
// FailedPrecondition when all numbers are zero.
absl::StatusOr<LevelSet> FitVectors(absl::Span<const float> rows, uint32_t width, int bits,
                                    LevelsFrom from);
// A codebook for chunks of g of such vectors' numbers, the last chunk filled up with zeros.
absl::StatusOr<Codebook> FitCodebook(absl::Span<const float> rows, uint32_t width, uint32_t g,
                                     uint32_t codes);

// Fills in the coding of every table that the model's own files leave open, from the options'
// samples. choices (may be null) gets what other numbers of bits would do. InvalidArgument for
// options in contradiction or samples of the wrong width or not finite.
absl::Status CalibrateTables(const ModelSource& source, const BuildOptions& options,
                             std::vector<TableSpec>* specs,
                             std::vector<std::vector<float>>* input_scales,
                             std::vector<PlanChoice>* choices);

}  // namespace lutdb
