#include "ingest/integer_range.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "ingest/integer_only.h"

namespace lutdb {
namespace {

// Of the assumed distribution, on each side: real inputs are sparser and more alike than
// independent uniform ones, and a saturated value costs more than a coarser one (tried 2 to 16 on
// two networks).
constexpr double kDeviations = 5;
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

ValueRange ThroughLinear(const std::vector<float>& weights, float bias,
                         const std::vector<ValueRange>& inputs) {
  ValueRange out{bias, bias, bias, 0};
  double at_zero = bias;  // with every input as near to zero as it can be
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double w = weights[i];
    const ValueRange& x = inputs[i];
    out.low += std::min(w * x.low, w * x.high);
    out.high += std::max(w * x.low, w * x.high);
    out.mean += w * x.mean;
    out.variance += w * w * x.variance;
    at_zero += w * std::clamp(0.0, x.low, x.high);
  }
  const double spread = kDeviations * std::sqrt(out.variance);
  out.low = std::max(out.low, std::min(out.mean, at_zero) - spread);
  out.high = std::min(out.high, std::max(out.mean, at_zero) + spread);
  return out;
}

// Samples the value's range and its distribution (a normal one, cut at the range).
ValueRange ThroughFolded(const FoldedOp& op, size_t neuron, const ValueRange& in) {
  ValueRange out;
  out.low = out.high = Apply(op, neuron, in.low);
  double weight_sum = 0, sum = 0, square_sum = 0;
  for (int i = 0; i < kPoints; ++i) {
    const double t = static_cast<double>(i) / (kPoints - 1);
    const double y = Apply(op, neuron, in.low + (in.high - in.low) * t);
    out.low = std::min(out.low, y);
    out.high = std::max(out.high, y);
    const double z = (2 * t - 1) * kDeviations;
    const double x = std::clamp(in.mean + z * std::sqrt(in.variance), in.low, in.high);
    // Our own exp: scales are part of a store, and must be the same on every machine.
    const double weight = kernels::Exp(static_cast<float>(-0.5 * z * z));
    const double at = Apply(op, neuron, x);
    weight_sum += weight;
    sum += weight * at;
    square_sum += weight * at * at;
  }
  out.mean = sum / weight_sum;
  out.variance = std::max(0.0, square_sum / weight_sum - out.mean * out.mean);
  return out;
}

}  // namespace

ValueRange UniformRange(double low, double high) {
  return {low, high, (low + high) / 2, (high - low) * (high - low) / 12};
}

absl::Status FixInputScales(const std::vector<ValueRange>& inputs, PlannedTable* table) {
  if (!table->input_scales.empty()) {
    return FailedPrecondition(
        "table {}: --integer-only chooses the input scales itself; remove them from the graph file",
        table->spec.name);
  }
  // The widest need decides the common scale; each input then gets its own share of it.
  std::vector<double> needed(inputs.size(), 0);
  for (uint32_t chunk = 0; chunk < table->geometry.chunks(); ++chunk) {
    const auto positions = table->geometry.positions(chunk);
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const uint32_t input = table->geometry.InputAt(chunk, p);
      if (input == kPadding) continue;
      const LevelRange& range = positions[p].range;
      double scale = std::max(0.0, inputs[input].high) / range.max;
      if (range.min < 0) scale = std::max(scale, std::min(0.0, inputs[input].low) / range.min);
      needed[input] = std::max(needed[input], scale);
    }
  }
  const double largest = *std::max_element(needed.begin(), needed.end());
  if (!(largest > 0) || !std::isfinite(largest)) {
    return FailedPrecondition("table {}: its inputs are always zero", table->spec.name);
  }
  table->spec.fixed_scale = static_cast<float>(largest);
  const bool all_alike =
      std::all_of(needed.begin(), needed.end(), [&](double scale) { return scale == largest; });
  if (all_alike) return absl::OkStatus();
  table->input_scales.reserve(needed.size());
  for (const double scale : needed) {
    table->input_scales.push_back(scale > 0 ? static_cast<float>(scale / largest) : 1.0f);
  }
  return absl::OkStatus();
}

std::vector<ValueRange> OutputRanges(const SourceTensor& weights, const IntegerStage& stage,
                                     const std::vector<ValueRange>& inputs) {
  std::vector<ValueRange> outputs;
  outputs.reserve(weights.rows);
  std::vector<float> row(weights.cols);
  for (uint64_t n = 0; n < weights.rows; ++n) {
    weights.ReadRow(n, 0, weights.cols, row.data());
    ValueRange range = ThroughLinear(row, stage.bias.empty() ? 0.0f : stage.bias[n], inputs);
    for (const FoldedOp& op : stage.folded) range = ThroughFolded(op, n, range);
    outputs.push_back(range);
  }
  return outputs;
}

}  // namespace lutdb
