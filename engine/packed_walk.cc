#include "engine/packed_walk.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

// Half of a second-level cache is for rows, the sums of a group of vectors take a quarter.
constexpr uint64_t kPackedBytes = 256 << 10;
constexpr size_t kGroupVectors = 512;

// Sets the edited entries of one chunk for 64 neurons. packed: all its codes.
template <typename Entry>
void PutEdits(const ChunkEdits& edits, uint32_t block, Entry* packed) {
  for (const ChunkEdits::Row& row : edits.rows) {
    Entry* to = packed + uint64_t{row.code} * kBlockNeurons;
    for (const EntryEditValue& entry : row.edits->InBlock(block)) {
      to[entry.neuron % kBlockNeurons] = static_cast<Entry>(entry.value);
    }
  }
}

}  // namespace

void PackedWalk::ListBatches(const TableGeometry& geometry) {
  const uint64_t row_bytes = uint64_t{kBlockNeurons} * EntryBytes(geometry.entry());
  const uint64_t rows_wanted = kPackedBytes / row_bytes;
  batches_.clear();
  rows_max_ = 0;
  first_rows_.clear();
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const uint32_t codes = geometry.codes(chunk);
    const bool full = batches_.empty() || batches_.back().rows + codes > rows_wanted ||
                      batches_.back().count() == kernels::kPackedRowsMax;
    if (full) batches_.push_back({.chunk_begin = chunk, .chunk_end = chunk});
    first_rows_.push_back({.row = batches_.back().rows, .codes = codes});
    batches_.back().chunk_end = chunk + 1;
    batches_.back().rows += codes;
    rows_max_ = std::max(rows_max_, batches_.back().rows);
  }
  // A row's number fits 16 bits: a batch of several chunks is small, and so is any one chunk.
  LUTDB_CHECK(rows_max_ <= 1 << 16);
}

// Codes in the order in which they are used, so that the walk of every block reads them from one
// end to the other.
void PackedWalk::ListNumbers(const TableGeometry& geometry, size_t vectors, const uint16_t* codes) {
  numbers_.resize(vectors * geometry.chunks());
  for (size_t v = 0; v < vectors; ++v, codes += geometry.chunks()) {
    for (const Batch& batch : batches_) {
      uint16_t* to = numbers_.data() + vectors * batch.chunk_begin + v * batch.count();
      for (uint32_t chunk = batch.chunk_begin; chunk < batch.chunk_end; ++chunk) {
        LUTDB_CHECK(codes[chunk] < first_rows_[chunk].codes);
        *to++ = static_cast<uint16_t>(first_rows_[chunk].row + codes[chunk]);
      }
    }
  }
}

template <typename Entry>
void PackedWalk::WalkBlock(const Table& table, const Group& group, uint32_t block,
                           Slice* slice) const {
  using Sum = kernels::PackedSum<Entry>;
  auto* rows = reinterpret_cast<Entry*>(slice->rows.get());
  auto* sums = reinterpret_cast<Sum*>(slice->sums.get());
  const size_t numbers_of_neurons = group.vectors * kBlockNeurons;
  std::memset(sums, 0, numbers_of_neurons * sizeof(Sum));
  std::memset(slice->acc.get(), 0, numbers_of_neurons * sizeof(int32_t));
  const uint32_t neuron_begin = block * kBlockNeurons;
  size_t added = 0;
  for (size_t b = 0; b < batches_.size(); ++b) {
    const Batch& batch = batches_[b];
    Entry* to = rows;
    for (uint32_t chunk = batch.chunk_begin; chunk < batch.chunk_end; ++chunk) {
      table.slopes->AllCodes(block, chunk, to);
      const ChunkEdits* edits = table.edits == nullptr ? nullptr : table.edits->Find(chunk);
      if (edits != nullptr) PutEdits(*edits, block, to);
      to += size_t{table.geometry->codes(chunk)} * kBlockNeurons;
    }
    if (added + batch.count() > kernels::kPackedRowsMax) {
      kernels::PassOnPacked(sums, group.vectors, added, slice->acc.get());
      added = 0;
    }
    if (b + 1 < batches_.size()) {
      const Batch& next = batches_[b + 1];
      for (uint32_t chunk = next.chunk_begin; chunk < next.chunk_end; ++chunk) {
        table.slopes->Prefetch(block, chunk);
      }
    }
    kernels::AddPacked(rows, numbers_.data() + group.vectors * batch.chunk_begin, batch.count(),
                       group.vectors, sums);
    added += batch.count();
  }
  kernels::PassOnPacked(sums, group.vectors, added, slice->acc.get());
  const size_t neurons = table.geometry->neurons();
  const size_t columns = std::min<size_t>(kBlockNeurons, neurons - neuron_begin);
  for (size_t v = 0; v < group.vectors; ++v) {
    std::memcpy(group.acc + v * neurons + neuron_begin, slice->acc.get() + v * kBlockNeurons,
                columns * sizeof(int32_t));
  }
}

template <typename Entry>
absl::Status PackedWalk::WalkBlocks(const Table& table, const Group& group) {
  const uint64_t rows_bytes = uint64_t{rows_max_} * kBlockNeurons * sizeof(Entry);
  const uint64_t sums_bytes = group.vectors * kBlockNeurons * sizeof(kernels::PackedSum<Entry>);
  for (Slice& slice : slices_) {
    if (slice.acc == nullptr) slice.acc = MakeAligned<int32_t>(kGroupVectors * kBlockNeurons);
    if (slice.rows_bytes < rows_bytes) slice.rows = MakeAligned<uint8_t>(rows_bytes);
    if (slice.sums_bytes < sums_bytes) slice.sums = MakeAligned<uint8_t>(sums_bytes);
    slice.rows_bytes = std::max(slice.rows_bytes, rows_bytes);
    slice.sums_bytes = std::max(slice.sums_bytes, sums_bytes);
  }
  const TableGeometry& geometry = *table.geometry;
  const uint64_t work = uint64_t{geometry.neurons()} * group.vectors * geometry.chunks();
  return team_.Split(
      geometry.neuron_blocks(), 1, work, [&](unsigned slice, size_t begin, size_t end) {
        for (size_t block = begin; block < end; ++block) {
          WalkBlock<Entry>(table, group, static_cast<uint32_t>(block), &slices_[slice]);
        }
      });
}

absl::Status PackedWalk::Sums(const Table& table, size_t vectors, absl::Span<const uint16_t> codes,
                              int32_t* acc) {
  const TableGeometry& geometry = *table.geometry;
  const size_t chunks = geometry.chunks();
  LUTDB_CHECK(codes.size() == vectors * chunks);
  ListBatches(geometry);
  for (size_t first = 0; first < vectors; first += kGroupVectors) {
    const Group group = {.vectors = std::min(kGroupVectors, vectors - first),
                         .acc = acc + first * geometry.neurons()};
    ListNumbers(geometry, group.vectors, codes.data() + first * chunks);
    LUTDB_RETURN_IF_ERROR(geometry.entry() == EntryType::kI8 ? WalkBlocks<int8_t>(table, group)
                                                             : WalkBlocks<int16_t>(table, group));
  }
  return absl::OkStatus();
}

}  // namespace lutdb
