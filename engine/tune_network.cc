#include "engine/tune_network.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/integer_steps.h"
#include "engine/kernels/kernels.h"

namespace lutdb {
namespace {

constexpr double kTwoOverSqrtPi = 1.1283791670955126;

// Derivative of an activation function at x, in double: it steers training only, so it need not be
// the same bits everywhere, and std's functions will do.
double Derivative(Activation activation, double alpha, double x) {
  switch (activation) {
    case Activation::kIdentity:
      return 1;
    case Activation::kRelu:
      return x > 0 ? 1 : 0;
    case Activation::kLeakyRelu:
      return x > 0 ? 1 : alpha;
    case Activation::kSilu: {
      const double s = 1 / (1 + std::exp(-x));
      return s * (1 + x * (1 - s));
    }
    case Activation::kGelu: {
      const double phi = 0.5 * kTwoOverSqrtPi * std::sqrt(0.5) * std::exp(-0.5 * x * x);
      return 0.5 * (1 + std::erf(x * std::sqrt(0.5))) + x * phi;
    }
    case Activation::kGeluTanh: {
      const double k = kTwoOverSqrtPi * std::sqrt(0.5);
      const double t = std::tanh(k * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::kSigmoid: {
      const double s = 1 / (1 + std::exp(-x));
      return s * (1 - s);
    }
    case Activation::kTanh: {
      const double t = std::tanh(x);
      return 1 - t * t;
    }
  }
  return 1;
}

}  // namespace

int32_t TuneTable::Rounded(size_t row, uint32_t neuron) const {
  const double entry = std::nearbyint(double{entries[row * neurons + neuron]} / unit[neuron]);
  return static_cast<int32_t>(std::clamp(entry, -double(limit), double(limit)));
}

void TuneTable::Round() {
  stored.resize(entries.size());
  for (size_t row = 0; row < rows(); ++row) {
    for (uint32_t n = 0; n < neurons; ++n) {
      stored[row * neurons + n] = static_cast<int16_t>(Rounded(row, n));
    }
  }
}

TunePass::TunePass(const TuneNetwork& network)
    : network_(network),
      needs_(network.widths.size(), false),
      own_codes_(network.ops.size()),
      codes_(network.ops.size(), nullptr),
      scales_(network.ops.size(), 1.0f) {
  size_t size = 0;
  for (const uint32_t width : network.widths) {
    offset_.push_back(size);
    size += width;
  }
  numbers_.assign(size, 0.0f);
  gradients_.assign(size, 0.0f);
  size_t sums = 0;
  for (size_t i = 0; i < network.ops.size(); ++i) {
    const TuneOp& op = network.ops[i];
    sums_offset_.push_back(sums);
    coders_.emplace_back();
    bool needed =
        std::any_of(op.inputs.begin(), op.inputs.end(), [&](uint32_t v) { return needs_[v]; });
    if (op.kind == OpKind::kTable) {
      const TuneTable& table = network.tables[op.table];
      sums += table.neurons;
      own_codes_[i].resize(table.chunks());
      coders_.back() = table.coders();
      needed = needed || table.trained;
    }
    needs_[op.output] = needed;
  }
  sums_gradient_.assign(sums, 0.0f);
  sums_.assign(sums, 0);
  sums_of_.assign(network.widths.size(), nullptr);
}

void TunePass::Forward(const float* x, const std::vector<Given>& given) {
  std::copy_n(x, network_.widths[network_.input], numbers_.data() + offset_[network_.input]);
  for (uint32_t i = 0; i < network_.ops.size(); ++i) {
    const TuneOp& op = network_.ops[i];
    const float* in = Value(op.inputs[0]);
    float* out = numbers_.data() + offset_[op.output];
    const size_t width = network_.widths[op.output];
    switch (op.kind) {
      case OpKind::kTable:
        TableForward(i, given);
        break;
      case OpKind::kActivation:
        kernels::Activate(op.activation, op.alpha, in, width, out);
        break;
      case OpKind::kScaleShift:
        kernels::ScaleShift(in, op.weight.data(), op.shift.data(), width, out);
        break;
      case OpKind::kRmsNorm:
        kernels::RmsNorm(in, op.weight.data(), op.epsilon, width, out);
        break;
      case OpKind::kLayerNorm:
        kernels::LayerNorm(in, op.weight.data(), op.shift.empty() ? nullptr : op.shift.data(),
                           op.epsilon, width, out);
        break;
      case OpKind::kAdd:
        kernels::Add(in, Value(op.inputs[1]), width, out);
        break;
      case OpKind::kMultiply:
        kernels::Multiply(in, Value(op.inputs[1]), width, out);
        break;
      case OpKind::kSoftmax:
        kernels::Softmax(in, width, out);
        break;
      default:
        LUTDB_CHECK(false);  // whoever made the network allowed no other kind
    }
  }
}

void TunePass::TableForward(uint32_t index, const std::vector<Given>& given) {
  const TuneOp& op = network_.ops[index];
  const TuneTable& table = network_.tables[op.table];
  if (given[index].codes != nullptr) {
    codes_[index] = given[index].codes;
    scales_[index] = given[index].scale;
  } else {
    scales_[index] =
        coders_[index](Value(op.inputs[0]), sums_of_[op.inputs[0]], own_codes_[index].data());
    codes_[index] = own_codes_[index].data();
  }
  const uint32_t neurons = table.neurons;
  float* out = numbers_.data() + offset_[op.output];
  if (!table.stored.empty()) return AddStored(index, out);
  sums_of_[op.output] = nullptr;
  std::fill_n(out, neurons, 0.0f);
  for (uint32_t c = 0; c < table.chunks(); ++c) {
    const float* row =
        table.entries.data() + size_t{table.chunk_row[c] + codes_[index][c]} * neurons;
    for (uint32_t n = 0; n < neurons; ++n) out[n] += row[n];
  }
  for (uint32_t n = 0; n < neurons; ++n) {
    out[n] = out[n] * scales_[index] + (table.bias.empty() ? 0.0f : table.bias[n]);
  }
}

void TunePass::AddStored(uint32_t index, float* out) {
  const TuneTable& table = network_.tables[network_.ops[index].table];
  const uint32_t neurons = table.neurons;
  int32_t* sums = sums_.data() + sums_offset_[index];
  std::fill_n(sums, neurons, 0);
  for (uint32_t c = 0; c < table.chunks(); ++c) {
    const int16_t* row =
        table.stored.data() + size_t{table.chunk_row[c] + codes_[index][c]} * neurons;
    for (uint32_t n = 0; n < neurons; ++n) sums[n] += row[n];
  }
  const bool in_sums = !table.whole_bias.empty();
  if (in_sums) AddIntegerBias(table.whole_bias, sums);
  sums_of_[network_.ops[index].output] = sums;
  const float* bias = in_sums || table.bias.empty() ? nullptr : table.bias.data();
  kernels::ScaleSums(sums, table.unit.data(), bias, scales_[index], neurons, out);
}

void TunePass::Backward(const float* y_gradient) {
  std::fill(gradients_.begin(), gradients_.end(), 0.0f);
  std::copy_n(y_gradient, network_.widths[network_.output], Gradient(network_.output));
  for (size_t i = network_.ops.size(); i-- > 0;) {
    const TuneOp& op = network_.ops[i];
    if (!needs_[op.output]) continue;
    const float* out = Gradient(op.output);
    float* in = Gradient(op.inputs[0]);
    const float* x = Value(op.inputs[0]);
    const size_t width = network_.widths[op.output];
    switch (op.kind) {
      case OpKind::kTable:
        TableBackward(static_cast<uint32_t>(i));
        break;
      case OpKind::kActivation:
        for (size_t k = 0; k < width; ++k) {
          in[k] += out[k] * static_cast<float>(Derivative(op.activation, op.alpha, x[k]));
        }
        break;
      case OpKind::kScaleShift:
        for (size_t k = 0; k < width; ++k) in[k] += out[k] * op.weight[k];
        break;
      case OpKind::kRmsNorm:
      case OpKind::kLayerNorm:
        NormBackward(op);
        break;
      case OpKind::kAdd:
        for (size_t k = 0; k < width; ++k) in[k] += out[k];
        for (size_t k = 0; k < width; ++k) Gradient(op.inputs[1])[k] += out[k];
        break;
      case OpKind::kMultiply:
        for (size_t k = 0; k < width; ++k) {
          in[k] += out[k] * Value(op.inputs[1])[k];
          Gradient(op.inputs[1])[k] += out[k] * x[k];
        }
        break;
      default: {  // kSoftmax
        const float* y = Value(op.output);
        float dot = 0;
        for (size_t k = 0; k < width; ++k) dot += out[k] * y[k];
        for (size_t k = 0; k < width; ++k) in[k] += y[k] * (out[k] - dot);
      }
    }
  }
}

void TunePass::TableBackward(uint32_t index) {
  const TuneOp& op = network_.ops[index];
  const TuneTable& table = network_.tables[op.table];
  const uint32_t neurons = table.neurons;
  const float* out = Gradient(op.output);
  float* sums = sums_gradient_.data() + sums_offset_[index];
  for (uint32_t n = 0; n < neurons; ++n) sums[n] = out[n] * scales_[index];
  if (!needs_[op.inputs[0]]) return;
  if (!table.lanes.empty()) return LaneBackward(index);
  const float* x = Value(op.inputs[0]);
  float* in = Gradient(op.inputs[0]);
  const float inverse_scale = 1.0f / scales_[index];
  for (uint32_t c = 0; c < table.chunks(); ++c) {
    const uint32_t code = codes_[index][c];
    const float* here = table.entries.data() + size_t{table.chunk_row[c] + code} * neurons;
    for (uint32_t a = table.chunk_axis[c]; a < table.chunk_axis[c + 1]; ++a) {
      const TuneAxis& axis = table.axes[a];
      if (axis.input == kNone || axis.levels < 2) continue;
      const uint32_t level = code / axis.place % axis.levels;
      const float* values = table.level_values.data() + axis.first_value;
      const float v = x[axis.input] * inverse_scale;
      const bool above = v > values[level];
      // Beyond the last level the table is flat: only the first half step still leads back.
      uint32_t next = above ? level + 1 : level - 1;
      if (above ? level + 1 == axis.levels : level == 0) {
        next = above ? level - 1 : level + 1;
        if (std::fabs(v - values[level]) > 0.5f * std::fabs(values[next] - values[level])) continue;
      }
      const float* there =
          next > level ? here + size_t{axis.place} * neurons : here - size_t{axis.place} * neurons;
      float slope = 0;
      for (uint32_t n = 0; n < neurons; ++n) slope += out[n] * (there[n] - here[n]);
      in[axis.input] += slope / (values[next] - values[level]);
    }
  }
}

// As for levels, with the middle of the stretch between two thresholds for a level's value.
void TunePass::LaneBackward(uint32_t index) {
  const TuneOp& op = network_.ops[index];
  const TuneTable& table = network_.tables[op.table];
  const float* out = Gradient(op.output);
  for (const TuneLane& lane : table.lanes) {
    const size_t count = lane.at.size();
    if (count < 2) continue;
    const float x = Value(op.inputs[0])[lane.input];
    const auto bin =
        static_cast<size_t>(std::upper_bound(lane.at.begin(), lane.at.end(), x) - lane.at.begin());
    const auto middle = [&](size_t b) {
      if (b == 0) return lane.at[0] - 0.5f * (lane.at[1] - lane.at[0]);
      if (b == count) return lane.at[b - 1] + 0.5f * (lane.at[b - 1] - lane.at[b - 2]);
      return 0.5f * (lane.at[b - 1] + lane.at[b]);
    };
    size_t next = x > middle(bin) ? bin + 1 : bin - 1;
    if (x > middle(bin) ? bin == count : bin == 0) {
      next = bin == 0 ? 1 : bin - 1;
      if (std::fabs(x - middle(bin)) > 0.5f * std::fabs(middle(next) - middle(bin))) continue;
    }
    const size_t row = table.chunk_row[lane.chunk] + codes_[index][lane.chunk];
    const float* here = table.entries.data() + row * table.neurons;
    const float* there =
        table.entries.data() + (row + lane.code[next] - lane.code[bin]) * table.neurons;
    float slope = 0;
    for (uint32_t n = 0; n < table.neurons; ++n) slope += out[n] * (there[n] - here[n]);
    Gradient(op.inputs[0])[lane.input] += slope / (middle(next) - middle(bin));
  }
}

// y = (x - mean) r w + shift with r = 1 / sqrt(var + epsilon); mean is 0 for an RMS norm.
void TunePass::NormBackward(const TuneOp& op) {
  const size_t width = network_.widths[op.output];
  const float* x = Value(op.inputs[0]);
  const float* out = Gradient(op.output);
  float* in = Gradient(op.inputs[0]);
  const auto count = static_cast<double>(width);
  double mean = 0, square = 0;
  if (op.kind == OpKind::kLayerNorm) {
    for (size_t k = 0; k < width; ++k) mean += x[k];
    mean /= count;
  }
  for (size_t k = 0; k < width; ++k) square += (x[k] - mean) * (x[k] - mean);
  const double r = 1 / std::sqrt(square / count + op.epsilon);
  double along = 0, sum = 0;
  for (size_t k = 0; k < width; ++k) {
    const double g = double{out[k]} * op.weight[k];
    along += g * (x[k] - mean);
    sum += g;
  }
  if (op.kind == OpKind::kRmsNorm) sum = 0;
  for (size_t k = 0; k < width; ++k) {
    const double g = double{out[k]} * op.weight[k];
    in[k] += static_cast<float>(r * (g - sum / count - (x[k] - mean) * r * r * along / count));
  }
}

}  // namespace lutdb
