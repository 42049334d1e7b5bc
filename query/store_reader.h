// An open store as the layers above the database see it: manifest, graph, steps and records by key.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "coding/levels.h"
#include "db/manifest.h"
#include "db/rocks.h"
#include "schemas/graph.h"
#include "schemas/manifest.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {

// Read-only and thread-safe. Everything small is loaded on open; steps and tensors on demand.
class StoreReader {
 public:
  // NotFound when there is no store (says so when a half-built one lies beside it), DataLoss when
  // damaged, Unimplemented for a newer format version.
  static absl::StatusOr<std::unique_ptr<StoreReader>> Open(const std::string& path,
                                                           uint64_t cache_bytes);
  // Over a database opened by the caller, for writing perhaps; the reader takes it.
  static absl::StatusOr<std::unique_ptr<StoreReader>> Over(db::OpenedStore store);
  ~StoreReader();

  // The lock of the writer that opened the database (null: a reader did), for one that opens it
  // again and must not lose it to another meanwhile: then nothing may be written through this one.
  std::unique_ptr<FileLock>& lock();

  const std::string& path() const;
  const Manifest& manifest() const;
  const db::Rocks& rocks() const;
  absl::StatusOr<Graph> LoadGraph() const;
  absl::StatusOr<TokenizerSpec> LoadTokenizer() const;  // kind kNone when there is none

  // The store's counter of commits (query/commit_feed.h) from before it was opened.
  uint64_t commit_counter() const;

  const TableSpec& spec(uint32_t table) const;
  const std::vector<TableGeometry>& geometries() const;
  const TableGeometry& geometry(uint32_t table) const;
  // Index of a table by name; NotFound names the nearest.
  absl::StatusOr<uint32_t> FindTable(const std::string& name) const;
  // Per neuron.
  absl::StatusOr<std::vector<float>> Steps(uint32_t table) const;
  absl::StatusOr<std::vector<float>> InputScales(uint32_t table) const;  // empty: all 1
  absl::StatusOr<std::string> Blob(const std::string& key) const;

  // Rows [row_begin, row_begin + row_count) of a kept source tensor as f32, row-major.
  absl::Status ReadTensorRows(uint32_t tensor, uint64_t row_begin, uint64_t row_count,
                              float* out) const;

 private:
  struct State;
  explicit StoreReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
