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

// Root mean square of the numbers a codebook was fitted to, in levels.
constexpr float kCodewordRms = 2048;  // as ingest/fit_levels.cc has it

}  // namespace

InputCoder::InputCoder(const TableSpec& spec, const TableGeometry& geometry,
                       std::vector<float> input_scales)
    : spec_(spec), chunks_(geometry.chunks()), input_scales_(std::move(input_scales)) {
  LUTDB_CHECK(input_scales_.empty() || input_scales_.size() == spec.inputs);
  if (!input_scales_.empty() || spec.rotation != 0) divided_.resize(spec.inputs);
  KeepLevelSets();
  if (geometry.uniform()) {
    PrepareUniform(geometry);
  } else {
    PrepareLists(geometry);
  }
}

void InputCoder::KeepLevelSets() {
  size_t count = 0;
  for (const LevelSet& set : spec_.level_sets) count += set.levels.size() + set.thresholds.size();
  learned_numbers_.reserve(count);  // kernels keep pointers into it
  for (const LevelSet& set : spec_.level_sets) {
    const float* levels = learned_numbers_.data() + learned_numbers_.size();
    for (const int32_t level : set.levels) learned_numbers_.push_back(static_cast<float>(level));
    const float* thresholds = learned_numbers_.data() + learned_numbers_.size();
    learned_numbers_.insert(learned_numbers_.end(), set.thresholds.begin(), set.thresholds.end());
    learned_.push_back({levels, thresholds, static_cast<uint32_t>(set.levels.size())});
  }
}

void InputCoder::PrepareUniform(const TableGeometry& geometry) {
  // Beyond the inputs lie the padding's level indices, which Encode never overwrites.
  uint16_t zero_index = 0;
  const float zero = 0;
  if (geometry.codebook() != nullptr) {
    for (const int32_t level : geometry.codebook()->levels) {
      codewords_.push_back(static_cast<float>(level));
    }
    level_count_ = geometry.codes_max();
    padded_.assign(size_t{chunks_} * spec_.chunk, 0.0f);
    index_.resize(chunks_);
    return;
  }
  any_learned_ = spec_.levels.set != kNone;
  if (any_learned_) {
    level_count_ = learned_[spec_.levels.set].count;
    kernels::ThresholdIndices(&zero, 1, 1.0f, learned_[spec_.levels.set], &zero_index);
  } else {
    const LevelRange range = RangeOf(spec_.levels);
    levels_ = KernelLevels(range);
    level_count_ = range.count;
    kernels::LevelIndices(&zero, 1, 1.0f, levels_, &zero_index);
  }
  index_.assign(size_t{chunks_} * spec_.chunk, zero_index);
}

void InputCoder::PrepareLists(const TableGeometry& geometry) {
  input_levels_.resize(spec_.inputs);
  input_set_.assign(spec_.inputs, kNone);
  input_index_.resize(spec_.inputs);
  chunk_first_.push_back(0);
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    const absl::Span<const Position> positions = geometry.positions(chunk);
    for (size_t p = 0; p < positions.size(); ++p) {
      const Position& position = positions[p];
      const kernels::Levels levels = KernelLevels(position.range);
      const uint32_t set = spec_.chunks[chunk].levels[p].set;
      position_input_.push_back(position.input);
      position_place_.push_back(position.place);
      position_levels_.push_back(levels);
      position_set_.push_back(set);
      any_learned_ |= set != kNone;
      if (!position.owns || position.input == kPadding) continue;
      input_levels_[position.input] = levels;
      input_set_[position.input] = set;
    }
    chunk_first_.push_back(static_cast<uint32_t>(position_input_.size()));
  }
  gathered_.assign(position_input_.size(), 0.0f);
  index_.assign(position_input_.size(), 0);
  levels_ = input_levels_.front();
  one_grid_ = !any_learned_ &&
              std::all_of(input_levels_.begin(), input_levels_.end(),
                          [this](const kernels::Levels& levels) { return Same(levels, levels_); });
}

bool InputCoder::Serves(const TableSpec& spec, const std::vector<float>& input_scales) const {
  return spec.inputs == spec_.inputs && spec.chunk == spec_.chunk && spec.levels == spec_.levels &&
         spec.chunks == spec_.chunks && spec.level_sets == spec_.level_sets &&
         spec.codebook == spec_.codebook && spec.rotation == spec_.rotation &&
         spec.fixed_scale == spec_.fixed_scale && input_scales == input_scales_;
}

float InputCoder::Encode(const float* x, uint16_t* codes) {
  if (!divided_.empty()) {
    std::copy_n(x, spec_.inputs, divided_.begin());
    if (spec_.rotation != 0) kernels::Rotate(divided_.data(), spec_.inputs, spec_.rotation);
    for (uint32_t i = 0; i < input_scales_.size(); ++i) divided_[i] /= input_scales_[i];
    x = divided_.data();
  }
  const float scale = fixed_scale() ? spec_.fixed_scale : ChooseScale(x);
  if (!codewords_.empty()) {
    EncodeCodewords(x, scale, codes);
  } else if (chunk_first_.empty()) {
    EncodeUniform(x, scale, codes);
  } else {
    EncodeLists(x, scale, codes);
  }
  return scale;
}

float InputCoder::ChooseScale(const float* x) {
  if (!codewords_.empty()) return ChooseCodewordScale(x);
  if (!chunk_first_.empty() && !one_grid_) return ChooseMixedScale(x);
  if (any_learned_) {
    return kernels::ChooseUnevenScale(x, spec_.inputs, learned_[spec_.levels.set]);
  }
  return kernels::ChooseScale(x, spec_.inputs, levels_);
}

void InputCoder::EncodeUniform(const float* x, float scale, uint16_t* codes) {
  uint16_t* index = spec_.chunk == 1 ? codes : index_.data();
  if (any_learned_) {
    kernels::ThresholdIndices(x, spec_.inputs, scale, learned_[spec_.levels.set], index);
  } else {
    kernels::LevelIndices(x, spec_.inputs, scale, levels_, index);
  }
  if (spec_.chunk == 1) return;
  kernels::CombineIndices(index_.data(), chunks_, spec_.chunk, level_count_, codes);
}

void InputCoder::EncodeCodewords(const float* x, float scale, uint16_t* codes) {
  std::copy_n(x, spec_.inputs, padded_.begin());
  kernels::NearestCodewords(padded_.data(), chunks_, spec_.chunk, scale, codewords_.data(),
                            level_count_, codes);
}

// The scale at which the vector's mean square is that of the codebook's codewords, and two steps
// to either side of it, by squared error. Codebooks are fitted to vectors of that mean square.
float InputCoder::ChooseCodewordScale(const float* x) {
  const float square = kernels::Dot(x, x, spec_.inputs) / static_cast<float>(spec_.inputs);
  if (!(square > 0)) return 1;
  std::copy_n(x, spec_.inputs, padded_.begin());
  const float base = std::max(std::sqrt(square) / kCodewordRms, FLT_MIN);
  float best_scale = base;
  double best_error = HUGE_VAL;
  for (const float factor : {1.0f, 1.0625f, 0.9375f, 1.125f, 0.875f}) {
    const float scale = std::max(base * factor, FLT_MIN);
    kernels::NearestCodewords(padded_.data(), chunks_, spec_.chunk, scale, codewords_.data(),
                              level_count_, index_.data());
    double error = 0;
    for (uint32_t i = 0; i < spec_.inputs; ++i) {
      const size_t word = size_t{index_[i / spec_.chunk]} * spec_.chunk;
      const double lost = double{x[i]} - double{scale} * codewords_[word + i % spec_.chunk];
      error += lost * lost;
    }
    if (error < best_error) {
      best_error = error;
      best_scale = scale;
    }
  }
  return best_scale;
}

void InputCoder::EncodeLists(const float* x, float scale, uint16_t* codes) {
  for (size_t p = 0; p < gathered_.size(); ++p) {
    if (position_input_[p] != kPadding) gathered_[p] = x[position_input_[p]];
  }
  kernels::MixedLevelIndices(gathered_.data(), gathered_.size(), scale, position_levels_.data(),
                             index_.data());
  for (size_t p = 0; any_learned_ && p < gathered_.size(); ++p) {
    if (position_set_[p] == kNone) continue;
    kernels::ThresholdIndices(&gathered_[p], 1, scale, learned_[position_set_[p]], &index_[p]);
  }
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    uint32_t code = 0;
    for (uint32_t p = chunk_first_[chunk]; p < chunk_first_[chunk + 1]; ++p) {
      code += index_[p] * position_place_[p];
    }
    codes[chunk] = static_cast<uint16_t>(code);
  }
}

double InputCoder::MixedError(const float* x, float scale) {
  kernels::MixedLevelIndices(x, spec_.inputs, scale, input_levels_.data(), input_index_.data());
  double error = 0;
  for (uint32_t i = 0; i < spec_.inputs; ++i) {
    const kernels::Levels& levels = input_levels_[i];
    double level = levels.min + double(levels.stride) * input_index_[i];
    if (input_set_[i] != kNone) {
      const kernels::UnevenLevels& learned = learned_[input_set_[i]];
      kernels::ThresholdIndices(x + i, 1, scale, learned, &input_index_[i]);
      level = learned.levels[input_index_[i]];
    }
    const double weight = input_scales_.empty() ? 1.0 : double{input_scales_[i]};
    const double lost = (double{x[i]} - double{scale} * level) * weight;
    error += lost * lost;
  }
  return error;
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
    const double error = MixedError(x, scale);
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
  uint32_t set = spec_.levels.set;
  LUTDB_CHECK(codewords_.empty() && spec_.rotation == 0);
  if (!chunk_first_.empty()) {
    const uint32_t p = chunk_first_[chunk] + position;
    input = position_input_[p];
    levels = position_levels_[p];
    set = position_set_[p];
  }
  if (input >= spec_.inputs) {
    x = 0;  // padding
  } else if (!input_scales_.empty()) {
    x = x / input_scales_[input];
  }
  uint16_t index = 0;
  if (set != kNone) {
    kernels::ThresholdIndices(&x, 1, spec_.fixed_scale, learned_[set], &index);
  } else {
    kernels::LevelIndices(&x, 1, spec_.fixed_scale, levels, &index);
  }
  return index;
}

}  // namespace lutdb
