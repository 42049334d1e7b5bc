// The graph of a decoder-only language model: embedding, layers of attention and gated
// feed-forward, norm, head. Ops are named after the tensors they use.
#pragma once

#include "absl/status/status.h"
#include "ingest/architectures.h"
#include "ingest/lowering.h"

namespace lutdb {

// Adds tensors, tables and the graph. The catalog must use the architecture's Hugging Face names.
// Fused projections stay one table, whose answer is sliced: a neuron's name and number are then
// those of the file, and rows are long. Errors as Lowering's.
absl::Status LowerDecoder(const DecoderConfig& config, Lowering* lowering);

}  // namespace lutdb
