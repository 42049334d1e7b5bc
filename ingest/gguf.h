// GGUF, versions 2 and 3, little-endian: a magic number, counts, key-value pairs, one description
// per tensor, then the tensors, each at a multiple of the alignment.
//
// Nothing that the file says sizes an allocation before it is checked against the bytes that are
// there. Tensors may lie apart (padding), but do not overlap.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "ingest/gguf_metadata.h"
#include "ingest/tensor_catalog.h"

namespace lutdb {

// Whether the bytes begin with GGUF's magic number.
bool LooksLikeGguf(const MappedFile& file);

struct GgufFile {
  GgufMetadata metadata;  // points into the catalog's file
  TensorCatalog catalog;  // the file's own names; shapes with the longest stride first, as in NumPy
};

// Takes the file. DataLoss (truncated, malformed, overlapping, out of range, absurd shape, a name
// twice); Unimplemented (another version or byte order, a tensor type of unknown size, a part of a
// split model; the message names what is supported).
absl::StatusOr<GgufFile> OpenGguf(MappedFile file);

}  // namespace lutdb
