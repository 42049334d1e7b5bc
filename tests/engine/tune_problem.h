// Small trainable networks and data for the tests of training.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "engine/tune_network.h"
#include "engine/tune_trainer.h"

namespace lutdb::testing {

// Rounds each input to the nearest of `levels` values, evenly spaced over [-range, range]. Chunks
// are `chunk` consecutive inputs.
inline TuneTable GridTable(uint32_t inputs, uint32_t chunk, uint32_t levels, float range,
                           uint32_t neurons) {
  TuneTable table;
  table.inputs = inputs;
  table.neurons = neurons;
  table.chunk_axis = {0};
  table.chunk_row = {0};
  for (uint32_t level = 0; level < levels; ++level) {
    table.level_values.push_back(
        range * (2.0f * static_cast<float>(level) / static_cast<float>(levels - 1) - 1));
  }
  for (uint32_t first = 0; first < inputs; first += chunk) {
    uint32_t codes = 1;
    for (uint32_t i = 0; i < chunk; ++i) codes *= levels;
    uint32_t place = codes;
    for (uint32_t i = 0; i < chunk; ++i) {
      place /= levels;
      table.axes.push_back({.input = first + i, .place = place, .levels = levels});
    }
    table.chunk_axis.push_back(static_cast<uint32_t>(table.axes.size()));
    table.chunk_row.push_back(table.chunk_row.back() + codes);
  }
  table.unit.assign(neurons, 1.0f / 4096);
  table.entries.assign(size_t{table.rows()} * neurons, 0.0f);
  table.initial = table.entries;
  const std::vector<TuneAxis> axes = table.axes;
  const std::vector<uint32_t> first_axis = table.chunk_axis;
  table.coders = [=]() -> TuneCoder {
    return [=](const float* x, const int32_t*, uint16_t* codes) {
      for (size_t c = 0; c + 1 < first_axis.size(); ++c) {
        uint32_t code = 0;
        for (uint32_t a = first_axis[c]; a < first_axis[c + 1]; ++a) {
          const float along = (x[axes[a].input] / range + 1) / 2 * static_cast<float>(levels - 1);
          const float level =
              std::fmin(std::fmax(std::nearbyint(along), 0.0f), static_cast<float>(levels - 1));
          code += axes[a].place * static_cast<uint32_t>(level);
        }
        codes[c] = static_cast<uint16_t>(code);
      }
      return 1.0f;
    };
  };
  return table;
}

// Numbers in [-1, 1) that look random and are the same everywhere.
inline float Scatter(uint32_t i) {
  uint32_t x = i * 2654435761u + 12345u;
  x ^= x >> 15;
  x *= 2246822519u;
  x ^= x >> 13;
  return static_cast<float>(x >> 8) / static_cast<float>(1 << 23) - 1;
}

inline TuneOp TableOp(uint32_t input, uint32_t output, uint32_t table) {
  TuneOp op;
  op.inputs = {input};
  op.output = output;
  op.table = table;
  return op;
}

// inputs -> table -> tanh -> table -> outputs.
inline TuneNetwork TwoTables(uint32_t inputs, uint32_t hidden, uint32_t outputs,
                             uint32_t hidden_levels) {
  TuneNetwork network;
  network.widths = {inputs, hidden, hidden, outputs};
  network.tables.push_back(GridTable(inputs, 1, 8, 1, hidden));
  network.tables.push_back(GridTable(hidden, 1, hidden_levels, 1, outputs));
  TuneOp tanh;
  tanh.kind = OpKind::kActivation;
  tanh.activation = Activation::kTanh;
  tanh.inputs = {1};
  tanh.output = 2;
  network.ops = {TableOp(0, 1, 0), tanh, TableOp(2, 3, 1)};
  network.input = 0;
  network.output = 3;
  return network;
}

// y = sin(3 x0) + x1 x2 on rows of three inputs: what products alone cannot give.
struct Wave {
  explicit Wave(size_t count) {
    for (size_t r = 0; r < count; ++r) {
      for (uint32_t k = 0; k < 3; ++k) x.push_back(Scatter(static_cast<uint32_t>(3 * r + k)));
      y.push_back(std::sin(3 * x[3 * r]) + x[3 * r + 1] * x[3 * r + 2]);
    }
  }
  TuneRows rows() const {
    return {.rows = y.size(), .width = 3, .inputs = x.data(), .targets = y.data()};
  }
  std::vector<float> x, y;
};

}  // namespace lutdb::testing
