#include "engine/source_weights.h"

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "engine/kernels/kernels.h"

namespace lutdb {

EmbeddingRows::EmbeddingRows(const StoreReader& store, uint32_t tensor)
    : store_(store),
      tensor_(tensor),
      rows_(store.manifest().tensors[tensor].rows),
      cols_(store.manifest().tensors[tensor].cols) {
  const uint64_t row_bytes = std::max<uint64_t>(1, cols_ * sizeof(float));
  const uint64_t slots =
      std::clamp<uint64_t>(kCacheBytes / row_bytes, 1, std::max<uint64_t>(1, rows_));
  held_.assign(slots, 0);
  cache_ = MakeAligned<float>(slots * cols_);
}

absl::Status EmbeddingRows::Read(uint64_t row, float* out) {
  if (row >= rows_) return OutOfRange("token {} is not below the vocabulary size {}", row, rows_);
  const uint64_t slot = row % held_.size();
  float* cached = cache_.get() + slot * cols_;
  if (held_[slot] != row + 1) {
    held_[slot] = 0;
    LUTDB_RETURN_IF_ERROR(store_.ReadTensorRows(tensor_, row, 1, cached));
    held_[slot] = row + 1;
  }
  std::memcpy(out, cached, cols_ * sizeof(float));
  return absl::OkStatus();
}

SourceMatrix::SourceMatrix(const StoreReader& store, uint32_t tensor, ThreadTeam& team)
    : store_(store), spec_(store.manifest().tensors[tensor]), team_(team) {}

absl::Status SourceMatrix::Hold() {
  held_ = MakeAligned<float>(spec_.rows * spec_.cols);
  return store_.ReadTensorRows(spec_.id, 0, spec_.rows, held_.get());
}

absl::Status SourceMatrix::Multiply(const float* x, const float* bias, float* y) {
  if (held_ == nullptr) return MultiplyStreamed(x, bias, y);
  return team_.Split(spec_.rows, 16, spec_.rows * spec_.cols,
                     [&](unsigned, size_t begin, size_t end) {
                       kernels::MatVec(held_.get() + begin * spec_.cols, x,
                                       bias == nullptr ? nullptr : bias + begin, end - begin,
                                       spec_.cols, y + begin);
                     });
}

absl::Status SourceMatrix::MultiplyStreamed(const float* x, const float* bias, float* y) {
  const size_t block = std::clamp<uint64_t>(spec_.rows_per_record, 1, spec_.rows);
  if (scratch_.empty()) {
    const uint64_t bytes = block * spec_.cols * sizeof(float) * team_.count();
    if (bytes > UsableMemoryBytes() / 2) {
      return ResourceExhausted("the records of tensor '{}' need {} MiB of memory each", spec_.name,
                               bytes / team_.count() >> 20);
    }
    scratch_.resize(team_.count());
    for (auto& rows : scratch_) rows = MakeAligned<float>(block * spec_.cols);
    statuses_.resize(team_.count());
  }
  std::fill(statuses_.begin(), statuses_.end(), absl::OkStatus());
  // Slices are cut between records, so that none is decoded twice.
  LUTDB_RETURN_IF_ERROR(
      team_.Split(spec_.rows, block, spec_.rows * spec_.cols * 8,
                  [&](unsigned slice, size_t begin, size_t end) {
                    float* rows = scratch_[slice].get();
                    for (size_t row = begin; row < end && statuses_[slice].ok(); row += block) {
                      const size_t count = std::min(block, end - row);
                      statuses_[slice] = store_.ReadTensorRows(spec_.id, row, count, rows);
                      if (!statuses_[slice].ok()) break;
                      kernels::MatVec(rows, x, bias == nullptr ? nullptr : bias + row, count,
                                      spec_.cols, y + row);
                    }
                  }));
  for (const absl::Status& status : statuses_) LUTDB_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace lutdb
