// The constants of one stage: for every position of the next table's chunks, the sums at which its
// level changes. The exact f32 pipeline (scale, bias, folded ops, level) is evaluated, so that an
// integer-only network answers as the f32 one would with the same fixed scales.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/status.h"
#include "coding/levels.h"
#include "engine/kernels/kernels.h"
#include "ingest/integer_only.h"

namespace lutdb {
namespace {

constexpr size_t kConstantsMax = size_t{1} << 28;  // of one stage, over all lanes

// Where an activation function that falls and rises turns. Near it the function is flat, so that an
// error here moves no level.
std::optional<float> TurningPoint(const FoldedOp& op) {
  if (op.kind != OpKind::kActivation) return std::nullopt;
  switch (op.activation) {
    case Activation::kSilu:
      return -1.2784645f;
    case Activation::kGelu:
      return -0.7517916f;
    case Activation::kGeluTanh:
      return -0.7524614f;
    case Activation::kLeakyRelu:
      return op.alpha < 0 ? std::optional<float>(0.0f) : std::nullopt;
    default:
      return std::nullopt;
  }
}

// One neuron's way from its sum to the level index of the input it becomes.
struct Lane {
  const IntegerStage& stage;
  const PlannedTable& next;
  uint32_t neuron;
  float scale;  // of the stage's table
  float step;
  const LevelRange& range;

  // Value after the first `ops` folded ops.
  float ValueOf(int64_t sum, size_t ops) const {
    const auto acc = static_cast<int32_t>(sum);
    const float* bias = stage.bias.empty() ? nullptr : &stage.bias[neuron];
    float y = 0;
    kernels::ScaleSums(&acc, &step, bias, scale, 1, &y);
    for (size_t i = 0; i < ops; ++i) {
      const FoldedOp& op = stage.folded[i];
      const float x = y;
      if (op.kind == OpKind::kScaleShift) {
        const float shift = op.shift.empty() ? 0.0f : op.shift[neuron];
        kernels::ScaleShift(&x, &op.scale[neuron], &shift, 1, &y);
      } else {
        kernels::Activate(op.activation, op.alpha, &x, 1, &y);
      }
    }
    return y;
  }

  uint16_t IndexOf(int64_t sum) const {
    float y = ValueOf(sum, stage.folded.size()) - stage.offsets[neuron];
    if (!next.input_scales.empty()) y = y / next.input_scales[neuron];
    uint16_t index = 0;
    if (range.learned == nullptr) {
      kernels::LevelIndices(&y, 1, next.spec.fixed_scale, {range.min, range.max, range.stride},
                            &index);
      return index;
    }
    const std::vector<float>& thresholds = range.learned->thresholds;
    y = y / next.spec.fixed_scale;
    const auto above = std::partition_point(thresholds.begin(), thresholds.end(),
                                            [y](float threshold) { return y >= threshold; });
    return static_cast<uint16_t>(above - thresholds.begin());
  }

  // First sum in (low, high] for which `holds`, which is false at low and true at high.
  template <typename Predicate>
  static int64_t FirstWhere(int64_t low, int64_t high, Predicate holds) {
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (holds(middle) ? high : low) = middle;
    }
    return high;
  }

  // Ends of the runs of sums over which the index is monotone.
  std::vector<int64_t> RunEnds(int64_t low, int64_t high) const {
    for (size_t i = 0; i < stage.folded.size(); ++i) {
      const std::optional<float> turn = TurningPoint(stage.folded[i]);
      if (!turn) continue;
      const bool below_at_low = ValueOf(low, i) < *turn;
      if (below_at_low == (ValueOf(high, i) < *turn)) continue;
      const int64_t end = FirstWhere(
          low, high, [&](int64_t sum) { return (ValueOf(sum, i) < *turn) != below_at_low; });
      return {end - 1, high};
    }
    return {high};
  }

  void AppendChanges(int64_t limit, std::vector<int32_t>* at, std::vector<uint16_t>* index) const {
    int64_t sum = -limit;
    uint16_t current = IndexOf(sum);
    index->push_back(current);
    for (const int64_t end : RunEnds(-limit, limit)) {
      while (sum < end && IndexOf(end) != current) {
        // Within a monotone run the index never comes back once it has left.
        sum = FirstWhere(sum, end, [&](int64_t s) { return IndexOf(s) != current; });
        current = IndexOf(sum);
        at->push_back(static_cast<int32_t>(sum));
        index->push_back(current);
      }
      sum = end;
    }
  }
};

// Largest magnitude a sum can have, whatever is edited.
int64_t SumLimit(const PlannedTable& table) {
  return int64_t{table.geometry.chunks()} * EntryLimit(table.spec.entry);
}

absl::StatusOr<Thresholds> IntegerBias(const IntegerStage& stage, const PlannedTable& table,
                                       absl::Span<const float> steps) {
  Thresholds constants;
  for (size_t n = 0; n < stage.bias.size(); ++n) {
    const double unit = double{table.spec.fixed_scale} * steps[n];
    const double bias = std::nearbyint(stage.bias[n] / unit);
    // Sum and bias together fit an int32, whatever is edited.
    const auto limit = static_cast<double>(std::numeric_limits<int32_t>::max() - SumLimit(table));
    constants.bias.push_back(static_cast<int32_t>(std::clamp(bias, -limit, limit)));
  }
  return constants;
}

}  // namespace

absl::StatusOr<Thresholds> MakeThresholds(const IntegerStage& stage,
                                          const std::vector<PlannedTable>& tables,
                                          absl::Span<const float> steps) {
  const PlannedTable& table = tables[stage.table];
  if (stage.next_table == kNone) return IntegerBias(stage, table, steps);
  const PlannedTable& next = tables[stage.next_table];
  const TableGeometry& geometry = next.geometry;
  const int64_t limit = SumLimit(table);
  Thresholds constants;
  constants.base.assign(geometry.chunks(), 0);
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const auto positions = geometry.positions(chunk);
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const LevelRange& range = positions[p].range;
      const uint32_t neuron = geometry.InputAt(chunk, p);
      if (neuron == kPadding) {
        // Coded as zero; one signed bit has no zero and takes +1.
        const uint32_t index = range.stride == 2 ? 1 : static_cast<uint32_t>(-range.min);
        constants.base[chunk] += static_cast<uint16_t>(index * positions[p].place);
        continue;
      }
      const Lane lane{stage,         next,
                      neuron,        table.spec.fixed_scale,
                      steps[neuron], range};
      ThresholdLane kept{neuron, chunk, static_cast<uint32_t>(constants.at.size()), 0,
                         static_cast<uint32_t>(constants.code.size())};
      lane.AppendChanges(limit, &constants.at, &constants.code);
      kept.count = static_cast<uint32_t>(constants.at.size()) - kept.first;
      for (size_t i = kept.code; i < constants.code.size(); ++i) {
        constants.code[i] = static_cast<uint16_t>(constants.code[i] * positions[p].place);
      }
      constants.lanes.push_back(kept);
      if (constants.at.size() > kConstantsMax) {
        return ResourceExhausted("table {}: too many thresholds; use fewer --input-bits",
                                 next.spec.name);
      }
    }
  }
  return constants;
}

}  // namespace lutdb
