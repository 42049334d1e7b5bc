#include "ingest/coding_error.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/kernels.h"
#include "ingest/slope_block.h"

namespace lutdb {
namespace {

constexpr size_t kVectorsMax = 64;
constexpr size_t kNeuronsMax = 256;

// The level set or grid of each input, as the chunk that owns it has it.
std::vector<LevelRange> RangesOf(const TableGeometry& geometry) {
  std::vector<LevelRange> ranges(geometry.inputs());
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const auto positions = geometry.positions(chunk);
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const uint32_t input = geometry.InputAt(chunk, p);
      if (input != kPadding && positions[p].owns) ranges[input] = positions[p].range;
    }
  }
  return ranges;
}

// Codes vectors the way engine/input_coder does, for tables of one grid or set, or of a fixed
// scale.
class VectorCoder {
 public:
  explicit VectorCoder(const PlannedTable& table)
      : table_(table), ranges_(RangesOf(table.geometry)) {
    const LevelRange& range = ranges_.front();
    if (range.learned == nullptr) return;
    levels_.assign(range.learned->levels.begin(), range.learned->levels.end());
    thresholds_ = range.learned->thresholds;
  }

  // In place: from the vector to how far its coded self is from it, in the units of coded weights;
  // `whole` gets the vector itself in those units.
  void ErrorOf(bool rotated, std::vector<float>* x, std::vector<float>* whole) const {
    const TableSpec& spec = table_.spec;
    if (spec.rotation != 0 && !rotated) kernels::Rotate(x->data(), x->size(), spec.rotation);
    for (size_t i = 0; i < table_.input_scales.size(); ++i) (*x)[i] /= table_.input_scales[i];
    *whole = *x;
    const float scale = spec.fixed_scale > 0 ? spec.fixed_scale : ChooseScale(*x);
    for (size_t i = 0; i < x->size(); ++i) {
      (*x)[i] -= scale * static_cast<float>(LevelOf((*x)[i] / scale, ranges_[i]));
    }
  }

 private:
  float ChooseScale(const std::vector<float>& x) const {
    if (!levels_.empty()) {
      return kernels::ChooseUnevenScale(
          x.data(), x.size(),
          {levels_.data(), thresholds_.data(), static_cast<uint32_t>(levels_.size())});
    }
    const LevelRange& range = ranges_.front();
    return kernels::ChooseScale(x.data(), x.size(), {range.min, range.max, range.stride});
  }

  static int32_t LevelOf(float t, const LevelRange& range) {
    if (range.learned != nullptr) {
      const auto& thresholds = range.learned->thresholds;
      const auto above = std::upper_bound(thresholds.begin(), thresholds.end(), t);
      return range.learned->levels[static_cast<size_t>(above - thresholds.begin())];
    }
    uint16_t index = 0;
    kernels::LevelIndices(&t, 1, 1.0f, {range.min, range.max, range.stride}, &index);
    return range.level(index);
  }

  const PlannedTable& table_;
  std::vector<LevelRange> ranges_;
  std::vector<float> levels_, thresholds_;
};

}  // namespace

double CodingError(const SourceTensor& weights, const PlannedTable& table,
                   absl::Span<const float> rows, bool rotated) {
  const uint32_t inputs = table.spec.inputs;
  const VectorCoder coder(table);
  const size_t count = rows.size() / inputs;
  std::vector<std::vector<float>> errors, wholes;
  for (size_t k = 0; k < std::min(count, kVectorsMax); ++k) {
    const float* from = rows.data() + k * count / std::min(count, kVectorsMax) * inputs;
    errors.emplace_back(from, from + inputs);
    wholes.emplace_back();
    coder.ErrorOf(rotated, &errors.back(), &wholes.back());
  }
  std::vector<float> row(inputs), block;
  double lost = 0, all = 0;
  const size_t neurons = std::min<size_t>(table.spec.neurons, kNeuronsMax);
  for (size_t k = 0; k < neurons; ++k) {
    ReadCodedWeights(weights, table, k * table.spec.neurons / neurons, 0, inputs, row.data(),
                     &block);
    for (size_t v = 0; v < errors.size(); ++v) {
      const double error = kernels::Dot(row.data(), errors[v].data(), inputs);
      const double whole = kernels::Dot(row.data(), wholes[v].data(), inputs);
      lost += error * error;
      all += whole * whole;
    }
  }
  return all > 0 ? lost / all : 0;
}

}  // namespace lutdb
