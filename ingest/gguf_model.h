// A GGUF file as the model it holds: the numbers of its decoder, its tensors under Hugging Face
// names.
#pragma once

#include "absl/status/statusor.h"
#include "ingest/architectures.h"
#include "ingest/gguf.h"

namespace lutdb {

// Reads the decoder's numbers from the metadata and renames the catalog's tensors; those that no
// name is known for keep theirs. Llama's query and key rows are put back in Hugging Face's order.
// DataLoss (a key missing or out of range), Unimplemented (architecture, RoPE scaling, experts).
absl::StatusOr<DecoderConfig> ReadGgufDecoder(GgufFile* file);

}  // namespace lutdb
