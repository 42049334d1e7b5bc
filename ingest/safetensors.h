// safetensors: an 8-byte little-endian header length, a JSON header, then the tensors end to end.
//
// Strict as the format's own definition is: tensors cover the data part exactly, without overlap or
// hole, and each spans exactly what its shape and element type need. Element types lutdb cannot use
// (I64, F8_E4M3, ...) are listed and only refused when a graph asks for such a tensor.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ingest/tensor_catalog.h"

namespace lutdb {

// Whether the bytes begin as a safetensors file does: a header length and an opening brace.
bool LooksLikeSafetensors(const MappedFile& file);

// One file. NotFound; DataLoss (truncated, malformed, overlapping, out of range, absurd shape);
// Unimplemented for an element type without a known size.
absl::StatusOr<TensorCatalog> OpenSafetensorsFile(const std::string& path);

// model.safetensors, or the shards that model.safetensors.index.json names, all of which must lie
// in the directory itself: names with a slash, and links that lead out of it, are refused. NotFound
// when neither is there; errors as above.
absl::StatusOr<TensorCatalog> OpenSafetensorsDirectory(const std::string& directory);

}  // namespace lutdb
