// llama2.c checkpoints: a short header of sizes, then f32 tensors end to end in a fixed order.
//
// Version 0 has seven int32 and nothing to recognise it by; the file's size, which follows from
// them, has to agree exactly. Version 1 begins with a magic number. Version 2 (int8 groups) is not
// read. Query and key rows are interleaved pairs there; they come out in Hugging Face order.
#pragma once

#include "absl/status/statusor.h"
#include "base/file.h"
#include "ingest/architectures.h"
#include "ingest/tensor_catalog.h"

namespace lutdb {

// Whether the bytes may be a checkpoint: the magic number, or seven plausible sizes.
bool LooksLikeLlama2c(const MappedFile& file);

struct Llama2cModel {
  DecoderConfig config;
  TensorCatalog catalog;  // Hugging Face names
};
// Takes the file. DataLoss (sizes absurd, file too short or too long for them), Unimplemented
// (another version).
absl::StatusOr<Llama2cModel> OpenLlama2c(MappedFile file);

}  // namespace lutdb
