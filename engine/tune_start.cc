#include "engine/tune_start.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace lutdb {
namespace {

constexpr uint32_t kRowsMeasured = 1024;

// SplitMix64 (Steele, Lea, Flood 2014) of a counter.
uint64_t Mix(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0xd1342543de82ef95u + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool AllZero(const TuneTable& table) {
  return std::all_of(table.entries.begin(), table.entries.end(), [](float e) { return e == 0; });
}

// The table op that reads what `value` becomes, through ops that are not tables; kNone: none.
uint32_t NextTable(const TuneNetwork& network, uint32_t value) {
  for (const TuneOp& op : network.ops) {
    if (std::find(op.inputs.begin(), op.inputs.end(), value) == op.inputs.end()) continue;
    if (op.kind == OpKind::kTable) return op.table;
    const uint32_t found = NextTable(network, op.output);
    if (found != kNone) return found;
  }
  return kNone;
}

// The table's fixed input scale, by which its sums are multiplied; 1 where each vector has its own.
double FixedScale(const TuneTable& table) {
  if (!table.lanes.empty()) return 1;
  const std::vector<float> zeros(table.inputs, 0.0f);
  std::vector<uint16_t> codes(table.chunks());
  return table.coders()(zeros.data(), nullptr, codes.data());
}

// The largest value the inputs of a table are coded to, by its own fixed scale.
double CodedRange(const TuneTable& table) {
  if (!table.lanes.empty()) {
    double range = 0;
    for (const TuneLane& lane : table.lanes) {
      for (const float at : lane.at) range = std::max(range, std::fabs(double{at}));
    }
    return range > 0 ? range : 1;
  }
  double range = 0;
  for (const float value : table.level_values) range = std::max(range, std::fabs(double{value}));
  return range > 0 ? range * FixedScale(table) : 1;
}

// Where a table reads what another one gives, gradients flow through the differences of
// neighbouring entries: these must stay larger than the noise of a step, so finer levels take
// smaller ones. Six levels, the width of the input's usual range in its standard deviations, take
// whole steps.
double ShareOfStep(const TuneNetwork& network, const TuneOp& op) {
  constexpr double kWholeSteps = 6;
  if (op.inputs[0] == network.input) return 1;
  size_t levels = 1;
  for (const TuneAxis& axis : network.tables[op.table].axes) {
    levels = std::max<size_t>(levels, axis.levels);
  }
  return std::min(1.0, kWholeSteps / static_cast<double>(levels));
}

// Each neuron: a random slope along every axis, over all axes of size `size`.
void RandomSlopes(TuneTable* table, double size, uint64_t seed) {
  uint64_t draws = 0;
  const double share = size / std::sqrt(double(std::max<size_t>(1, table->axes.size())));
  for (uint32_t chunk = 0; chunk < table->chunks(); ++chunk) {
    for (uint32_t a = table->chunk_axis[chunk]; a < table->chunk_axis[chunk + 1]; ++a) {
      const TuneAxis& axis = table->axes[a];
      for (uint32_t n = 0; n < table->neurons; ++n) {
        const double slope = share * std::numbers::sqrt3 * TuneNormal(seed, draws++);
        for (uint32_t row = table->chunk_row[chunk]; row < table->chunk_row[chunk + 1]; ++row) {
          const uint32_t level = (row - table->chunk_row[chunk]) / axis.place % axis.levels;
          const double along = (level + 0.5) / axis.levels * 2 - 1;
          table->entries[size_t{row} * table->neurons + n] += static_cast<float>(slope * along);
        }
      }
    }
  }
}

}  // namespace

double TuneUniform(uint64_t seed, uint64_t index) {
  return static_cast<double>(Mix(seed, index) >> 11) * 0x1p-53;
}

// Box and Muller's.
double TuneNormal(uint64_t seed, uint64_t index) {
  const double radius = std::sqrt(-2 * std::log(1 - TuneUniform(seed, 2 * index)));
  return radius * std::cos(2 * std::numbers::pi * TuneUniform(seed, 2 * index + 1));
}

void StartEmptyTables(TuneNetwork* network, double target_size, uint64_t seed) {
  bool chained = false;
  for (const TuneOp& op : network->ops) {
    chained = chained || (op.kind == OpKind::kTable && NextTable(*network, op.output) != kNone);
  }
  if (!chained) return;
  for (const TuneOp& op : network->ops) {
    if (op.kind != OpKind::kTable) continue;
    TuneTable& table = network->tables[op.table];
    if (!table.trained || !AllZero(table)) continue;
    const uint32_t next = NextTable(*network, op.output);
    const double size = next == kNone ? target_size : CodedRange(network->tables[next]) / 3;
    RandomSlopes(&table, size / FixedScale(table), seed + op.table);
  }
}

absl::Status SetGains(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows,
                      double target_size) {
  std::vector<double> squares(network->tables.size(), 0);
  std::vector<double> counts(network->tables.size(), 0), scales(network->tables.size(), 0);
  trainer.ForEachRow(rows.subspan(0, kRowsMeasured), [&](const TunePass& pass) {
    for (uint32_t i = 0; i < network->ops.size(); ++i) {
      const TuneOp& op = network->ops[i];
      if (op.kind != OpKind::kTable) continue;
      const TuneTable& table = network->tables[op.table];
      scales[op.table] += double{pass.scale(i)} * table.neurons;
      for (uint32_t n = 0; n < table.neurons; ++n) {
        const double y =
            double{pass.Value(op.output)[n]} - (table.bias.empty() ? 0 : table.bias[n]);
        squares[op.table] += y * y;
      }
      counts[op.table] += table.neurons;
    }
  });
  for (const TuneOp& op : network->ops) {
    if (op.kind != OpKind::kTable) continue;
    TuneTable& table = network->tables[op.table];
    const uint32_t next = NextTable(*network, op.output);
    double gain = std::sqrt(squares[op.table] / std::max(1.0, counts[op.table]));
    if (next == kNone) gain = std::max(gain, target_size);
    if (gain == 0 && next != kNone) gain = CodedRange(network->tables[next]) / 3;
    const double scale = scales[op.table] / std::max(1.0, counts[op.table]);
    if (scale > 0) gain /= scale;
    table.gain = static_cast<float>(gain * ShareOfStep(*network, op));
  }
  return absl::OkStatus();
}

}  // namespace lutdb
