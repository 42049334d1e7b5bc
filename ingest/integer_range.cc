#include "ingest/integer_range.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "ingest/integer_only.h"

namespace lutdb {
namespace {

// Half the range of a sum, in root mean squares of what it is made of, if inputs were independent;
// and the deviation that hidden values are taken to have, because real inputs are alike. Both
// chosen on nine networks of one to three hidden layers and six activation functions: narrower
// ranges saturate, wider ones waste levels.
constexpr double kDeviations = 5;
constexpr double kLikeness = 2.5;
// Points at which a distribution is pushed through an activation function.
constexpr int kPoints = 65;

double Apply(const FoldedOp& op, size_t neuron, double x) {
  const auto value = static_cast<float>(x);
  float y = 0;
  if (op.kind == OpKind::kScaleShift) {
    const float shift = op.shift.empty() ? 0.0f : op.shift[neuron];
    y = value * op.scale[neuron] + shift;
  } else {
    kernels::Activate(op.activation, op.alpha, &value, 1, &y);
  }
  return y;
}

// A sum before the folded ops: range, and a normal distribution about its value for idle inputs.
struct SumRange {
  double low, high, idle, deviation;
};

SumRange ThroughLinear(const std::vector<float>& weights, float bias,
                       const std::vector<ValueRange>& inputs) {
  SumRange out{bias, bias, bias, 0};
  double square_sum = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double w = weights[i];
    const ValueRange& x = inputs[i];
    out.low += std::min(w * x.low, w * x.high);
    out.high += std::max(w * x.low, w * x.high);
    out.idle += w * x.origin;
    square_sum += w * w * x.rms * x.rms;
  }
  const double rms = std::sqrt(square_sum);
  out.low = std::max(out.low, out.idle - kDeviations * rms);
  out.high = std::min(out.high, out.idle + kDeviations * rms);
  out.deviation = kLikeness * rms;
  return out;
}

ValueRange ThroughFolded(const std::vector<FoldedOp>& ops, size_t neuron, const SumRange& sum) {
  const auto apply = [&](double x) {
    for (const FoldedOp& op : ops) x = Apply(op, neuron, x);
    return x;
  };
  ValueRange out;
  out.low = out.high = apply(sum.low);
  for (int i = 1; i < kPoints; ++i) {
    const double y = apply(sum.low + (sum.high - sum.low) * i / (kPoints - 1));
    out.low = std::min(out.low, y);
    out.high = std::max(out.high, y);
  }
  out.origin = std::clamp(0.0, out.low, out.high);
  constexpr double kTail = 3;
  double weight_sum = 0, square_sum = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double z = kTail * (2.0 * i / (kPoints - 1) - 1);
    // Our own exp: scales are part of a store, and must be the same on every machine.
    const double weight = kernels::Exp(static_cast<float>(-0.5 * z * z));
    const double y = apply(std::clamp(sum.idle + z * sum.deviation, sum.low, sum.high));
    weight_sum += weight;
    square_sum += weight * (y - out.origin) * (y - out.origin);
  }
  out.rms = std::sqrt(square_sum / weight_sum);
  return out;
}

// The levels of each input, as the chunk that owns its weight has them.
std::vector<LevelRange> LevelsOfInputs(const TableGeometry& geometry) {
  std::vector<LevelRange> levels(geometry.inputs());
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const auto positions = geometry.positions(chunk);
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const uint32_t input = geometry.InputAt(chunk, p);
      if (input != kPadding && positions[p].owns) levels[input] = positions[p].range;
    }
  }
  return levels;
}

// One input's levels laid over its range: value = start + width x index of the level.
struct Spread {
  double start;
  double width;
};

Spread SpreadOver(const ValueRange& range, uint32_t count) {
  constexpr uint32_t kCountMin = 5;  // with fewer, a level spent on zero costs more than it gives
  const double span = range.high - range.low;
  if (range.low >= 0 || range.high <= 0 || count < kCountMin) {
    return {range.low, span / (count - 1)};
  }
  const double width = span / (count - 2);
  return {-std::ceil(-range.low / width) * width, width};
}

// scales: per input, some of them 0 (the value never changes). The largest becomes the table's.
void SetScales(const std::vector<double>& scales, double largest, PlannedTable* table) {
  table->spec.fixed_scale = static_cast<float>(largest);
  table->input_scales.clear();
  if (std::all_of(scales.begin(), scales.end(), [&](double s) { return s == largest; })) return;
  for (const double scale : scales) {
    table->input_scales.push_back(scale > 0 ? static_cast<float>(scale / largest) : 1.0f);
  }
}

}  // namespace

ValueRange UniformRange(double low, double high) {
  ValueRange range{low, high, std::clamp(0.0, low, high), 0};
  const double from = low - range.origin, to = high - range.origin;
  range.rms = std::sqrt((from * from + from * to + to * to) / 3);
  return range;
}

absl::Status FixInputScales(const std::vector<ValueRange>& inputs, PlannedTable* table) {
  if (!table->spec.level_sets.empty()) return absl::OkStatus();  // fitted to data, scales and all
  const std::vector<LevelRange> levels = LevelsOfInputs(table->geometry);
  std::vector<double> scales;
  for (size_t i = 0; i < inputs.size(); ++i) {
    double scale = std::max(0.0, inputs[i].high) / levels[i].max;
    if (levels[i].min < 0) scale = std::max(scale, std::min(0.0, inputs[i].low) / levels[i].min);
    scales.push_back(scale);
  }
  const double largest = *std::max_element(scales.begin(), scales.end());
  if (!(largest > 0) || !std::isfinite(largest)) {
    return FailedPrecondition("table {}: its inputs are always zero", table->spec.name);
  }
  SetScales(scales, largest, table);
  return absl::OkStatus();
}

std::vector<float> FixHiddenScales(const std::vector<ValueRange>& inputs, PlannedTable* table) {
  // Levels fitted to data lie where the values are, under scales of their own.
  if (!table->spec.level_sets.empty()) return std::vector<float>(inputs.size(), 0.0f);
  const std::vector<LevelRange> levels = LevelsOfInputs(table->geometry);
  std::vector<Spread> spreads;
  std::vector<double> scales;
  for (size_t i = 0; i < inputs.size(); ++i) {
    spreads.push_back(SpreadOver(inputs[i], levels[i].count));
    scales.push_back(spreads[i].width / levels[i].stride);
  }
  const double largest = *std::max_element(scales.begin(), scales.end());
  SetScales(scales, largest > 0 ? largest : 1.0, table);
  std::vector<float> offsets;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double share = table->input_scales.empty() ? 1.0 : table->input_scales[i];
    const double scale = share * table->spec.fixed_scale;
    offsets.push_back(static_cast<float>(spreads[i].start - scale * levels[i].min));
  }
  return offsets;
}

std::vector<ValueRange> OutputRanges(const SourceTensor& weights, const IntegerStage& stage,
                                     const std::vector<ValueRange>& inputs) {
  std::vector<ValueRange> outputs;
  outputs.reserve(weights.rows);
  std::vector<float> row(weights.cols);
  for (uint64_t n = 0; n < weights.rows; ++n) {
    weights.ReadRow(n, 0, weights.cols, row.data());
    const float bias = stage.bias.empty() ? 0.0f : stage.bias[n];
    outputs.push_back(ThroughFolded(stage.folded, n, ThroughLinear(row, bias, inputs)));
  }
  return outputs;
}

}  // namespace lutdb
