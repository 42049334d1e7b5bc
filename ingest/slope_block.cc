#include "ingest/slope_block.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

// Adding 1.5 * 2^52 leaves no fraction bits, so the addition itself rounds half to even, and the
// integer then stands in the low bits of the sum.
constexpr double kRounder = 6755399441055744.0;

// Rotating inputs and weights multiplies their products by 2^k * 2^-2(k/2) for blocks of 2^k
// numbers: by 2 where k is odd, which is taken from the weights.
void HalveOddBlocks(uint64_t block_max, std::vector<float>* weights) {
  for (size_t begin = 0; begin < weights->size();) {
    uint64_t size = 1;
    bool odd = false;
    while (size * 2 <= std::min<uint64_t>(block_max, weights->size() - begin)) {
      size *= 2;
      odd = !odd;
    }
    for (size_t i = begin; odd && i < begin + size; ++i) (*weights)[i] *= 0.5f;
    begin += size;
  }
}

}  // namespace

void SlopesOf(const float* weights, const float* steps, size_t count, int slope_shift,
              int32_t* slopes) {
  const auto one = static_cast<double>(int64_t{1} << slope_shift);
  for (size_t i = 0; i < count; ++i) {
    const double rounded =
        static_cast<double>(weights[i]) * one / static_cast<double>(steps[i]) + kRounder;
    int64_t bits;
    std::memcpy(&bits, &rounded, sizeof(bits));
    slopes[i] = static_cast<int32_t>(bits);
  }
}

void SlopesOf(const float* weights, const float* steps, size_t count, int slope_shift,
              int64_t* slopes) {
  const auto one = static_cast<double>(int64_t{1} << slope_shift);
  for (size_t i = 0; i < count; ++i) {
    const double scaled =
        static_cast<double>(weights[i]) * one / static_cast<double>(steps[i]) + kRounder;
    slopes[i] = static_cast<int64_t>(scaled - kRounder);
  }
}

void ReadCodedWeights(const SourceTensor& weights, const PlannedTable& table, uint64_t row,
                      uint64_t begin, uint64_t count, float* out, std::vector<float>* block) {
  if (table.spec.rotation == 0) {
    weights.ReadRow(row, begin, count, out);
  } else {
    // Whole blocks around what is asked for. Blocks of the largest size come first, so one starts
    // at each of its multiples, or the shorter last ones do.
    const uint64_t size = table.spec.rotation;
    const uint64_t from = begin / size * size;
    const uint64_t to =
        std::min<uint64_t>(table.spec.inputs, (begin + count + size - 1) / size * size);
    block->resize(to - from);
    weights.ReadRow(row, from, to - from, block->data());
    kernels::Rotate(block->data(), block->size(), table.spec.rotation);
    HalveOddBlocks(table.spec.rotation, block);
    std::copy_n(block->data() + (begin - from), count, out);
  }
  if (table.input_scales.empty()) return;
  const float* scales = table.input_scales.data() + begin;
  for (uint64_t c = 0; c < count; ++c) out[c] *= scales[c];
}

SlopeBlock::SlopeBlock(const PlannedTable& table, const SourceTensor& weights,
                       absl::Span<const float> steps)
    : table_(table), weights_(weights), steps_(steps), block_steps_(kBlockNeurons) {}

uint64_t SlopeBlock::BytesPerPosition(const TableGeometry& geometry) {
  return kBlockNeurons * (geometry.wide_slopes() ? sizeof(int64_t) : sizeof(int32_t));
}

uint32_t RunEnd(const TableGeometry& geometry, uint32_t begin, uint32_t end,
                uint64_t positions_max) {
  uint32_t run_end = begin + 1;
  uint64_t positions = geometry.positions(begin).size();
  for (; run_end < end; ++run_end) {
    positions += geometry.positions(run_end).size();
    if (positions > positions_max) break;
  }
  return run_end;
}

size_t SlopeBlock::PositionOffset(uint32_t chunk) const {
  const TableGeometry& geometry = table_.geometry;
  if (geometry.uniform()) {
    return size_t{chunk - chunk_begin_} * geometry.positions(0).size();
  }
  return static_cast<size_t>(geometry.positions(chunk).data() -
                             geometry.positions(chunk_begin_).data());
}

// The input of each position of the loaded chunks, kPadding where it adds nothing.
void SlopeBlock::ListInputs(std::vector<uint32_t>* inputs) const {
  const TableGeometry& geometry = table_.geometry;
  inputs->clear();
  for (uint32_t chunk = chunk_begin_; chunk < chunk_end_; ++chunk) {
    const absl::Span<const Position> places = geometry.positions(chunk);
    for (uint32_t p = 0; p < places.size(); ++p) {
      inputs->push_back(places[p].owns ? geometry.InputAt(chunk, p) : kPadding);
    }
  }
}

// Weights of the inputs listed for all neurons of the block, neuron by neuron: as they lie where
// chunks are consecutive; else those of each position, because lists take them from anywhere in the
// row, and 64 whole rows of a wide table would be far more than its run of chunks.
void SlopeBlock::ReadWeights(uint32_t neuron_count, SlopeScratch* scratch) const {
  const std::vector<uint32_t>& inputs = scratch->inputs;
  uint32_t begin = kPadding, end = 0;
  for (const uint32_t input : inputs) {
    if (input == kPadding) continue;
    begin = std::min(begin, input);
    end = std::max(end, input + 1);
  }
  scratch->weights.resize(inputs.size() * kBlockNeurons);
  if (begin >= end) return;
  const bool listed = !table_.geometry.uniform();
  if (listed) scratch->row.resize(end - begin);
  for (uint32_t n = 0; n < neuron_count; ++n) {
    float* to = scratch->weights.data() + n * inputs.size();
    float* row = listed ? scratch->row.data() : to;
    ReadCodedWeights(weights_, table_, uint64_t{block_} * kBlockNeurons + n, begin, end - begin,
                     row, &scratch->rotated);
    for (size_t i = 0; listed && i < inputs.size(); ++i) {
      if (inputs[i] != kPadding) to[i] = row[inputs[i] - begin];
    }
  }
}

void SlopeBlock::Load(uint32_t chunk_begin, uint32_t chunk_end, uint32_t block,
                      SlopeScratch* scratch) {
  const TableGeometry& geometry = table_.geometry;
  chunk_begin_ = chunk_begin;
  chunk_end_ = chunk_end;
  block_ = block;
  ListInputs(&scratch->inputs);
  const size_t positions = scratch->inputs.size();
  if (positions > capacity_) {
    capacity_ = positions;
    if (geometry.wide_slopes()) {
      wide_ = MakeAligned<int64_t>(positions * kBlockNeurons);
    } else {
      narrow_ = MakeAligned<int32_t>(positions * kBlockNeurons);
    }
  }
  const uint32_t first_neuron = block * kBlockNeurons;
  const uint32_t neuron_count = std::min(kBlockNeurons, geometry.neurons() - first_neuron);
  ReadWeights(neuron_count, scratch);
  std::fill(block_steps_.begin(), block_steps_.end(), 1.0f);
  std::copy_n(steps_.begin() + first_neuron, neuron_count, block_steps_.begin());

  alignas(kCacheLineBytes) float column[kBlockNeurons] = {};
  const int shift = geometry.slope_shift();
  for (size_t i = 0; i < positions; ++i) {
    if (scratch->inputs[i] == kPadding) {
      std::fill(column, column + kBlockNeurons, 0.0f);
    } else {
      const float* from = scratch->weights.data() + i;
      for (uint32_t n = 0; n < neuron_count; ++n) column[n] = from[n * positions];
      std::fill(column + neuron_count, column + kBlockNeurons, 0.0f);
    }
    if (geometry.wide_slopes()) {
      SlopesOf(column, block_steps_.data(), kBlockNeurons, shift, wide_.get() + i * kBlockNeurons);
    } else {
      SlopesOf(column, block_steps_.data(), kBlockNeurons, shift,
               narrow_.get() + i * kBlockNeurons);
    }
  }
}

Slopes SlopeBlock::At(uint32_t chunk) const {
  LUTDB_DCHECK(chunk >= chunk_begin_ && chunk < chunk_end_);
  const size_t offset = PositionOffset(chunk) * kBlockNeurons;
  if (table_.geometry.wide_slopes()) return {.narrow = nullptr, .wide = wide_.get() + offset};
  return {.narrow = narrow_.get() + offset, .wide = nullptr};
}

absl::Span<const float> SlopeBlock::steps() const {
  const uint32_t first = block_ * kBlockNeurons;
  return steps_.subspan(first, std::min(kBlockNeurons, table_.geometry.neurons() - first));
}

void ReleaseRows(const MappedFiles* files, const SourceTensor& tensor, uint64_t begin,
                 uint64_t end) {
  if (files == nullptr) return;
  const bool mapped = std::any_of(files->begin(), files->end(), [&](const auto& file) {
    return tensor.data >= file->data() && tensor.data < file->data() + file->size();
  });
  if (!mapped) return;
  // Rows may be re-ordered within heads: the span of source rows is that of whole heads.
  const uint64_t head = std::max<uint64_t>(1, tensor.rope_head_dim);
  const uint64_t first = begin / head * head;
  const uint64_t last = std::min(tensor.rows, (end + head - 1) / head * head);
  const uint64_t row_bytes = tensor.source_row_bytes();
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = reinterpret_cast<uintptr_t>(tensor.data) + first * row_bytes;
  const uintptr_t to = reinterpret_cast<uintptr_t>(tensor.data) + last * row_bytes;
  const uintptr_t from_page = (from + page - 1) / page * page;
  const uintptr_t to_page = to / page * page;
  if (from_page >= to_page) return;
  // Only a hint: a page that is needed again is read again.
  (void)madvise(reinterpret_cast<void*>(from_page), to_page - from_page, MADV_DONTNEED);
}

}  // namespace lutdb
