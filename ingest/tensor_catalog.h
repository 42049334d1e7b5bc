// The tensors a model file offers, by the file's own names, before any of them is asked for. Every
// reader fills one; lowering takes from it what the graph needs and checks shapes and types then.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "ingest/gguf_blocks.h"

namespace lutdb {

struct CatalogTensor {
  std::string dtype;  // as safetensors or GGUF spells it: "F32", "BF16", "I64", "Q4_K", ...
  std::vector<uint64_t> shape;
  const uint8_t* data = nullptr;     // in one of TensorCatalog::files; may be unaligned
  uint32_t rope_head_dim = 0;        // see SourceTensor
  const GgufType* packed = nullptr;  // not null: data are its blocks
};

struct TensorCatalog {
  std::string path;  // what error messages call it
  std::vector<std::unique_ptr<MappedFile>> files;
  std::map<std::string, CatalogTensor, std::less<>> tensors;
};

}  // namespace lutdb
