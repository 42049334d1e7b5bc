#include "engine/input_coder.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace lutdb {
namespace {

kernels::Levels KernelLevels(const LevelRange& range) {
  return {.min = range.min, .max = range.max, .stride = range.stride};
}

bool Same(const kernels::Levels& a, const kernels::Levels& b) {
  return a.min == b.min && a.max == b.max && a.stride == b.stride;
}

int32_t Magnitude(const kernels::Levels& levels) { return std::max(-levels.min, levels.max); }

}  // namespace

InputCoder::InputCoder(const TableSpec& spec, const TableGeometry& geometry,
                       std::vector<float> input_scales)
    : spec_(spec), chunks_(geometry.chunks()), input_scales_(std::move(input_scales)) {
  LUTDB_CHECK(input_scales_.empty() || input_scales_.size() == spec.inputs);
  if (!input_scales_.empty()) divided_.resize(spec.inputs);
  if (geometry.uniform()) {
    const LevelRange range = RangeOf(spec.levels);
    levels_ = KernelLevels(range);
    level_count_ = range.count;
    // Beyond the inputs lie the padding's level indices, which Encode never overwrites.
    uint16_t zero_index = 0;
    const float zero = 0;
    kernels::LevelIndices(&zero, 1, 1.0f, levels_, &zero_index);
    index_.assign(size_t{chunks_} * spec.chunk, zero_index);
    return;
  }
  input_levels_.resize(spec.inputs);
  input_index_.resize(spec.inputs);
  chunk_first_.push_back(0);
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    for (const Position& position : geometry.positions(chunk)) {
      const kernels::Levels levels = KernelLevels(position.range);
      position_input_.push_back(position.input);
      position_place_.push_back(position.place);
      position_levels_.push_back(levels);
      if (position.owns && position.input != kPadding) input_levels_[position.input] = levels;
    }
    chunk_first_.push_back(static_cast<uint32_t>(position_input_.size()));
  }
  gathered_.assign(position_input_.size(), 0.0f);
  index_.assign(position_input_.size(), 0);
  levels_ = input_levels_.front();
  one_grid_ = std::all_of(input_levels_.begin(), input_levels_.end(),
                          [this](const kernels::Levels& levels) { return Same(levels, levels_); });
}

bool InputCoder::Serves(const TableSpec& spec, const std::vector<float>& input_scales) const {
  return spec.inputs == spec_.inputs && spec.chunk == spec_.chunk && spec.levels == spec_.levels &&
         spec.chunks == spec_.chunks && spec.fixed_scale == spec_.fixed_scale &&
         input_scales == input_scales_;
}

float InputCoder::Encode(const float* x, uint16_t* codes) {
  if (!input_scales_.empty()) {
    for (uint32_t i = 0; i < spec_.inputs; ++i) divided_[i] = x[i] / input_scales_[i];
    x = divided_.data();
  }
  float scale = spec_.fixed_scale;
  if (!fixed_scale()) {
    scale = one_grid_ ? kernels::ChooseScale(x, spec_.inputs, levels_) : ChooseMixedScale(x);
  }
  if (chunk_first_.empty()) {
    EncodeUniform(x, scale, codes);
  } else {
    EncodeLists(x, scale, codes);
  }
  return scale;
}

void InputCoder::EncodeUniform(const float* x, float scale, uint16_t* codes) {
  if (spec_.chunk == 1) {
    kernels::LevelIndices(x, spec_.inputs, scale, levels_, codes);
    return;
  }
  kernels::LevelIndices(x, spec_.inputs, scale, levels_, index_.data());
  kernels::CombineIndices(index_.data(), chunks_, spec_.chunk, level_count_, codes);
}

void InputCoder::EncodeLists(const float* x, float scale, uint16_t* codes) {
  for (size_t p = 0; p < gathered_.size(); ++p) {
    if (position_input_[p] != kPadding) gathered_[p] = x[position_input_[p]];
  }
  kernels::MixedLevelIndices(gathered_.data(), gathered_.size(), scale, position_levels_.data(),
                             index_.data());
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    uint32_t code = 0;
    for (uint32_t p = chunk_first_[chunk]; p < chunk_first_[chunk + 1]; ++p) {
      code += index_[p] * position_place_[p];
    }
    codes[chunk] = static_cast<uint16_t>(code);
  }
}

// Tries the scale at which nothing is clipped and fractions of it, weighing each input's error by
// its own scale: with mixed grids the kernel's one-grid choice does not see what coarse inputs
// lose.
float InputCoder::ChooseMixedScale(const float* x) {
  constexpr int kCandidates = 24;  // down to 9/32 of the widest
  float widest = 0;
  for (uint32_t i = 0; i < spec_.inputs; ++i) {
    widest = std::max(widest, std::fabs(x[i]) / static_cast<float>(Magnitude(input_levels_[i])));
  }
  if (widest == 0) return 1;
  float best_scale = widest;
  double best_error = HUGE_VAL;
  for (int candidate = 0; candidate < kCandidates; ++candidate) {
    const float fraction = static_cast<float>(32 - candidate) / 32.0f;
    const float scale = std::max(widest * fraction, FLT_MIN);
    kernels::MixedLevelIndices(x, spec_.inputs, scale, input_levels_.data(), input_index_.data());
    double error = 0;
    for (uint32_t i = 0; i < spec_.inputs; ++i) {
      const kernels::Levels& levels = input_levels_[i];
      const double level = levels.min + double(levels.stride) * input_index_[i];
      const double weight = input_scales_.empty() ? 1.0 : double{input_scales_[i]};
      const double lost = (double{x[i]} - double{scale} * level) * weight;
      error += lost * lost;
    }
    if (error < best_error) {
      best_error = error;
      best_scale = scale;
    }
  }
  return best_scale;
}

uint16_t InputCoder::LevelIndexOf(uint32_t chunk, uint32_t position, float x) const {
  LUTDB_CHECK(fixed_scale());
  uint32_t input = chunk * spec_.chunk + position;
  kernels::Levels levels = levels_;
  if (!chunk_first_.empty()) {
    const uint32_t p = chunk_first_[chunk] + position;
    input = position_input_[p];
    levels = position_levels_[p];
  }
  if (input >= spec_.inputs) {
    x = 0;  // padding
  } else if (!input_scales_.empty()) {
    x = x / input_scales_[input];
  }
  uint16_t index = 0;
  kernels::LevelIndices(&x, 1, spec_.fixed_scale, levels, &index);
  return index;
}

}  // namespace lutdb
