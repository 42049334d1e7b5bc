// From an activation vector to the codes of a table: x = s * r * v, one level v per input, or one
// codeword per chunk. Where the table rotates its inputs, x is the rotated vector.
//
// The scale s is the table's fixed one, or chosen per vector so that least is lost; r are the
// table's own scales per input (usually all 1). Padding of the last chunk is coded as zero (as +1
// where one signed bit has no zero).
#pragma once

#include <cstdint>
#include <vector>

#include "coding/levels.h"
#include "engine/kernels/kernels.h"
#include "schemas/table_spec.h"

namespace lutdb {

class InputCoder {
 public:
  // `geometry` is that of `spec`; input_scales is empty or has one positive number per input.
  InputCoder(const TableSpec& spec, const TableGeometry& geometry, std::vector<float> input_scales);

  // Whether a table would be coded exactly alike, so that codes of one vector can be shared.
  bool Serves(const TableSpec& spec, const std::vector<float>& input_scales) const;

  uint32_t inputs() const { return spec_.inputs; }
  uint32_t chunks() const { return chunks_; }
  bool fixed_scale() const { return spec_.fixed_scale > 0; }

  // Codes of x (inputs() finite values) into codes (chunks() of them); returns the scale s.
  // Allocates nothing. Not thread-safe: it has scratch of its own.
  float Encode(const float* x, uint16_t* codes);

  // Level index of one position for the value x of its input; fixed scale only.
  uint16_t LevelIndexOf(uint32_t chunk, uint32_t position, float x) const;

 private:
  void EncodeUniform(const float* x, float scale, uint16_t* codes);
  void EncodeCodewords(const float* x, float scale, uint16_t* codes);
  float ChooseScale(const float* x);
  float ChooseCodewordScale(const float* x);
  double MixedError(const float* x, float scale);
  void PrepareUniform(const TableGeometry& geometry);
  void PrepareLists(const TableGeometry& geometry);
  void KeepLevelSets();
  void EncodeLists(const float* x, float scale, uint16_t* codes);
  float ChooseMixedScale(const float* x);

  TableSpec spec_;  // shape and coding only are used
  uint32_t chunks_ = 0;
  std::vector<float> input_scales_;
  kernels::Levels levels_{0, 0, 1};  // of every input when one_grid_
  uint32_t level_count_ = 1;
  bool one_grid_ = true;

  // Scratch, sized once.
  std::vector<float> divided_;   // x rotated, and divided by r
  std::vector<float> gathered_;  // lists: one per position of every chunk
  std::vector<uint16_t> index_;  // level index per position, the padding's preset

  // Chunks given as lists: one element per position of every chunk, in order.
  std::vector<uint32_t> position_input_;
  std::vector<uint32_t> position_place_;
  std::vector<kernels::Levels> position_levels_;
  std::vector<uint32_t> position_set_;         // of learned levels; kNone: a grid
  std::vector<uint32_t> chunk_first_;          // chunks + 1 offsets
  std::vector<kernels::Levels> input_levels_;  // of the chunk that owns each input
  std::vector<uint32_t> input_set_;
  std::vector<uint16_t> input_index_;
  bool any_learned_ = false;

  // Learned levels and codewords as the kernels take them.
  std::vector<float> learned_numbers_;
  std::vector<kernels::UnevenLevels> learned_;  // one per set of the table
  std::vector<float> codewords_;                // empty: no codebook
  std::vector<float> padded_;                   // codebooks: the vector filled up to whole chunks
};

}  // namespace lutdb
