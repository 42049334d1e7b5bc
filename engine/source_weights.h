// Kept source tensors as the engine uses them: rows of embeddings on demand, and whole matrices for
// reference mode, held in memory where they fit and streamed from the store where they do not.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/aligned_buffer.h"
#include "engine/thread_team.h"
#include "query/store_reader.h"

namespace lutdb {

// Rows of one tensor, remembered: a direct-mapped cache of at most kCacheBytes, so that a small
// vocabulary is decoded once and a large one costs bounded memory. Not thread-safe.
class EmbeddingRows {
 public:
  static constexpr uint64_t kCacheBytes = 8 << 20;

  EmbeddingRows(const StoreReader& store, uint32_t tensor);

  uint64_t rows() const { return rows_; }
  // Copies row `row` (cols elements). OutOfRange beyond rows(), DataLoss when the store is damaged.
  absl::Status Read(uint64_t row, float* out);

 private:
  const StoreReader& store_;
  uint32_t tensor_;
  uint64_t rows_;
  uint64_t cols_;
  std::vector<uint64_t> held_;  // per slot: row + 1, 0 when empty
  AlignedArray<float> cache_;   // slots x cols
};

// y = W x + b by the source weights of one table, in f32. Not thread-safe.
class SourceMatrix {
 public:
  SourceMatrix(const StoreReader& store, uint32_t tensor, ThreadTeam& team);

  uint64_t bytes() const { return spec_.rows * spec_.cols * sizeof(float); }
  // Decodes all rows now; without it every Multiply reads them from the store.
  absl::Status Hold();
  // x: cols; bias: rows or null; y: rows.
  absl::Status Multiply(const float* x, const float* bias, float* y);

 private:
  absl::Status MultiplyStreamed(const float* x, const float* bias, float* y);

  const StoreReader& store_;
  const TensorSpec& spec_;
  ThreadTeam& team_;
  AlignedArray<float> held_;                  // rows x cols; null when streamed
  std::vector<AlignedArray<float>> scratch_;  // per slice: one record's rows
  std::vector<absl::Status> statuses_;        // per slice
};

}  // namespace lutdb
