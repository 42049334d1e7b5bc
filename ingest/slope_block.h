// Slopes of one block of 64 neurons over a run of chunks, made from source weights.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "base/aligned_buffer.h"
#include "base/file.h"
#include "coding/record.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"

namespace lutdb {

// SlopeOf for `count` weights of neurons with a step each; the same numbers, many at a time. The
// narrow form needs slopes that fit 32 bits: true for every table without wide slopes, because step
// is chosen so that they do.
void SlopesOf(const float* weights, const float* steps, size_t count, int slope_shift,
              int32_t* slopes);
void SlopesOf(const float* weights, const float* steps, size_t count, int slope_shift,
              int64_t* slopes);

// Columns [begin, begin + count) of one neuron's weights as the table codes its inputs: rotated
// where inputs are rotated, each scaled by its input scale. The same numbers whatever is asked for
// at once. `block` is scratch.
void ReadCodedWeights(const SourceTensor& weights, const PlannedTable& table, uint64_t row,
                      uint64_t begin, uint64_t count, float* out, std::vector<float>* block);

// What a load needs besides the slopes it leaves; one serves any number of blocks, one after the
// other.
struct SlopeScratch {
  std::vector<float> weights;  // 64 x columns or positions, as coded
  std::vector<float> row;      // of lists: the columns they take their inputs from
  std::vector<float> rotated;  // whole blocks of a rotation
  std::vector<uint32_t> inputs;
};

// The end of the longest run of chunks from `begin` that has at most so many positions and ends at
// `end` or before; one chunk at least.
uint32_t RunEnd(const TableGeometry& geometry, uint32_t begin, uint32_t end,
                uint64_t positions_max);

// Reads weights and keeps the slopes of one block. Reused from block to block; not thread-safe.
class SlopeBlock {
 public:
  // weights: neurons x inputs. All must outlive the object. steps: one per neuron.
  SlopeBlock(const PlannedTable& table, const SourceTensor& weights, absl::Span<const float> steps);

  // Makes slopes of chunks [chunk_begin, chunk_end) for neurons of `block`.
  void Load(uint32_t chunk_begin, uint32_t chunk_end, uint32_t block, SlopeScratch* scratch);

  // Slopes of a chunk that was loaded, and of the chunks after it: positions x 64.
  Slopes At(uint32_t chunk) const;
  // Real neurons of the loaded block, and their steps.
  absl::Span<const float> steps() const;
  // Bytes this object holds for a position of a run.
  static uint64_t BytesPerPosition(const TableGeometry& geometry);
  // Bytes the scratch holds for one, besides a row or two of a single neuron.
  static constexpr uint64_t kScratchBytesPerPosition = kBlockNeurons * sizeof(float);

 private:
  size_t PositionOffset(uint32_t chunk) const;
  void ListInputs(std::vector<uint32_t>* inputs) const;
  void ReadWeights(uint32_t neuron_count, SlopeScratch* scratch) const;

  const PlannedTable& table_;
  const SourceTensor& weights_;
  absl::Span<const float> steps_;
  uint32_t chunk_begin_ = 0;
  uint32_t chunk_end_ = 0;
  uint32_t block_ = 0;
  size_t capacity_ = 0;             // positions
  std::vector<float> block_steps_;  // 64, 1 beyond the real neurons
  AlignedArray<int32_t> narrow_;
  AlignedArray<int64_t> wide_;
};

using MappedFiles = std::vector<std::unique_ptr<MappedFile>>;
// Lets go of the mapped pages of a tensor's rows [begin, end): they stay in the page cache, but no
// longer count as memory of this process. Does nothing for a tensor that lies in none of the files
// (null: no files), whose memory could not be read again.
void ReleaseRows(const MappedFiles* files, const SourceTensor& tensor, uint64_t begin,
                 uint64_t end);

}  // namespace lutdb
