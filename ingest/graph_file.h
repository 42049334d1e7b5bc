// Graph files: a feed-forward network written down in JSON, its tensors in safetensors beside it.
// schemas/graph.schema.json describes the format, examples/mnist_mlp.graph.json is one.
//
// Fields nobody knows are refused: they may be misspelt, and a network that silently lacks its bias
// is worse than an error.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "ingest/lowering.h"

namespace lutdb {

// Adds the tensors, tables and graph that the file at `path` describes. NotFound (file, or a tensor
// it names); DataLoss (malformed, shapes that do not fit; the message names the op and both sizes);
// Unimplemented (an op or format version; the message names what is known).
absl::Status LowerGraphFile(const std::string& path, Lowering* lowering);

}  // namespace lutdb
