// What a store holds: one record in the `default` family, swapped in one synced write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "schemas/table_spec.h"

namespace lutdb {

// Sizes of one table, fixed when its generation was built.
struct TableStats {
  uint64_t records = 0;
  uint64_t raw_bytes = 0;        // all entries decoded: sum of codes x neurons x entry bytes
  uint64_t stored_bytes = 0;     // bytes of its record keys and values
  uint64_t derived_entries = 0;  // entries that follow from slopes: all, until edits are baked in
  bool operator==(const TableStats&) const = default;
};

struct Manifest {
  uint32_t format_version = kFormatVersion;
  uint32_t generation = 1;
  std::string source_format;  // "safetensors", "llama2.c", ...
  std::string source_name;    // base name of the model file or directory
  bool integer_only = false;
  std::vector<TableSpec> tables;              // index = id
  std::vector<TableStats> stats;              // one per table
  std::vector<TensorSpec> tensors;            // index = id
  std::vector<uint64_t> tensor_stored_bytes;  // one per tensor
  Hash128 content_hash;                       // of the base generation
  Hash128 graph_hash;                         // graph, norms, embeddings, biases, tokenizer
  Hash128 plan_hash;            // weights' identity and every option that changes what is built
  uint64_t ranges = 0;          // ranges of the build
  uint64_t ranges_resumed = 0;  // of them, found finished by the run that completed the build
  bool operator==(const Manifest&) const = default;
};

// FlatBuffers bytes (schemas/manifest.fbs). Parsing verifies the buffer and every number:
// DataLoss when malformed, Unimplemented when format_version is newer.
std::string SerializeManifest(const Manifest& manifest);
absl::StatusOr<Manifest> ParseManifest(std::string_view bytes);

}  // namespace lutdb
