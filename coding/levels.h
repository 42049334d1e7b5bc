// Levels of inputs, the geometry of a table's chunks and codes, and the choice of the input scale.
// docs/format.md, "Levels and codes", has the numbering.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "schemas/table_spec.h"

namespace lutdb {

// The levels of one input in ascending order: min, min + stride, ..., max, or those of a list.
struct LevelRange {
  int32_t min = 0;
  int32_t max = 0;
  int32_t stride = 1;  // 2 for one signed bit, else 1; 0 for learned levels
  uint32_t count = 1;
  const LevelSet* learned = nullptr;  // owned by the table's geometry

  int32_t level(uint32_t index) const {
    return learned == nullptr ? min + static_cast<int32_t>(index) * stride : learned->levels[index];
  }
  // Each level's opposite is a level.
  bool symmetric() const;
  // The number of level 0, or kNone.
  uint32_t zero_index() const;
};
// Of a grid; learned levels are found in their table's geometry.
LevelRange RangeOf(GridLevels levels);
// OK when a set can be coded with: enough levels in range and in order, thresholds between them.
absl::Status CheckLevelSet(const LevelSet& set);

inline constexpr uint32_t kMaxCodes = 65536;   // a code fits 16 bits
inline constexpr uint32_t kMaxChunks = 65538;  // so that an int32 sum cannot overflow
inline constexpr uint32_t kMaxChunkInputs = 16;
inline constexpr uint32_t kPadding = kNone;  // an input position beyond K, weight zero

// One position of a chunk.
struct Position {
  uint32_t input = kPadding;  // index into the layer's input vector
  LevelRange range;
  uint32_t place = 1;  // code = sum over positions of level index x place
  bool owns = true;    // false when an earlier chunk lists this input: its slope is zero
};

// Everything that follows from a TableSpec's shape and coding. Immutable, cheap to share.
class TableGeometry {
 public:
  // InvalidArgument when a shape is zero or too large, levels or codewords are not valid, codes do
  // not fit 16 bits, there are more than kMaxChunks chunks, an input is out of range, listed twice
  // in a chunk, or in no chunk.
  static absl::StatusOr<TableGeometry> Create(const TableSpec& spec);

  uint32_t inputs() const { return inputs_; }
  uint32_t neurons() const { return neurons_; }
  EntryType entry() const { return entry_; }
  bool mirror() const { return mirror_; }
  uint32_t chunks() const { return chunk_count_; }
  uint32_t neuron_blocks() const { return (neurons_ + kBlockNeurons - 1) / kBlockNeurons; }
  uint32_t max_bits() const { return max_bits_; }
  // Fraction bits F of slopes: 16 for i16, 24 for i8, 32 when an input has more than 8 bits.
  int slope_shift() const { return slope_shift_; }
  bool wide_slopes() const { return max_bits_ > 8; }  // int64 instead of int32

  // All chunks alike (consecutive, same levels).
  bool uniform() const { return first_position_.empty(); }
  absl::Span<const Position> positions(uint32_t chunk) const;  // uniform: inputs are
                                                               // chunk-relative, use InputAt
  uint32_t InputAt(uint32_t chunk, uint32_t position) const;   // kPadding beyond K
  uint32_t codes(uint32_t chunk) const;
  uint32_t codes_max() const { return codes_max_; }
  uint64_t codes_total() const;  // sum over chunks
  uint64_t raw_bytes() const { return codes_total() * neurons_ * EntryBytes(entry_); }

  // Entries rise by the same amount from level to level of every chunk, so that a running addition
  // makes them; not so with learned levels and codebooks, whose entries are made by multiplying.
  bool even_steps() const { return even_steps_; }
  // Chunks take the nearest of these codewords instead of one level per input; null: they do not.
  const Codebook* codebook() const { return codebook_.get(); }

  // Level of each position for a code; levels has positions(chunk).size() elements.
  void LevelsOf(uint32_t chunk, uint32_t code, int32_t* levels) const;
  // The code whose levels are all zero, or kNone (one signed bit has no zero).
  uint32_t ZeroCode(uint32_t chunk) const;

  // Codes come in +- pairs (every position signed): code c mirrors codes - 1 - c.
  bool symmetric(uint32_t chunk) const;
  // Codes kept when mirrored and symmetric: the upper half, zero code included; else all.
  uint32_t stored_codes(uint32_t chunk) const;
  // Where a code's row is kept: index below stored_codes(chunk), and whether it is negated.
  struct StoredRow {
    uint32_t index;
    bool negated;
  };
  StoredRow Stored(uint32_t chunk, uint32_t code) const;
  uint32_t CodeOfStored(uint32_t chunk, uint32_t index) const;

  // Chunks of one tile record: as many as keep its decoded entries within 256 KiB, 1 to 8. From the
  // full number of codes, mirrored or not, so that keys do not depend on mirroring.
  uint32_t tile_chunks() const { return tile_chunks_; }
  uint32_t chunk_groups() const { return (chunk_count_ + tile_chunks_ - 1) / tile_chunks_; }
  // Neurons of one row record: a multiple of 64, at most 4,000 bytes.
  uint32_t row_neurons() const { return entry_ == EntryType::kI8 ? 3968 : 1984; }
  uint32_t row_blocks() const { return (neurons_ + row_neurons() - 1) / row_neurons(); }

 private:
  absl::Status KeepLearned(const TableSpec& spec);
  absl::StatusOr<LevelRange> RangeIn(const TableSpec& spec, const GridLevels& levels) const;
  absl::Status FillUniform(const TableSpec& spec);
  absl::Status FillCodebook(const TableSpec& spec);
  absl::Status FillLists(const TableSpec& spec);
  absl::Status AppendChunk(const TableSpec& spec, uint32_t index,
                           std::vector<uint32_t>* last_chunk_of_input);

  uint32_t inputs_ = 0, neurons_ = 0, chunk_count_ = 0, codes_max_ = 0, max_bits_ = 0;
  uint32_t tile_chunks_ = 1;
  int slope_shift_ = 16;
  EntryType entry_ = EntryType::kI16;
  bool mirror_ = false;
  bool free_zero_ = false;
  bool even_steps_ = true;
  std::shared_ptr<const std::vector<LevelSet>> level_sets_;  // null: none
  std::shared_ptr<const Codebook> codebook_;
  std::vector<Position> positions_;       // of one chunk when uniform, else of all
  std::vector<uint32_t> first_position_;  // chunks + 1 offsets; empty when uniform
};

}  // namespace lutdb
