#include "engine/tune_update.h"

#include <algorithm>
#include <cmath>

namespace lutdb {
namespace {

constexpr float kFirstDecay = 0.9f;
constexpr float kSecondDecay = 0.999f;
constexpr float kSmall = 1e-8f;

// Calls line(first code, levels, place) for every line of codes along one axis of a chunk.
template <typename Line>
void ForLines(const TuneAxis& axis, uint32_t codes, const Line& line) {
  const uint32_t span = axis.place * axis.levels;
  for (uint32_t block = 0; block < codes; block += span) {
    for (uint32_t inner = 0; inner < axis.place; ++inner) line(block + inner);
  }
}

}  // namespace

void TuneMoments::Reset(const TuneTable& table) {
  first.assign(table.entries.size(), 0.0f);
  second.assign(table.entries.size(), 0.0f);
  count.assign(table.rows(), 0);
}

void TuneScratch::AddPenalties(const TuneTable& table, uint32_t chunk,
                               const TuneUpdateOptions& options) {
  const size_t neurons = table.neurons;
  const uint32_t codes = table.chunk_row[chunk + 1] - table.chunk_row[chunk];
  const size_t first = size_t{table.chunk_row[chunk]} * neurons;
  correction_.resize(codes * neurons);
  for (size_t i = 0; i < correction_.size(); ++i) {
    correction_[i] = table.entries[first + i] - table.initial[first + i];
  }
  const auto weight = [&](float penalty) {
    const double gain = table.gain;
    return static_cast<float>(2.0 * penalty / (options.training_rows * gain * gain));
  };
  const float near = weight(options.penalties.near);
  if (near > 0) {
    for (size_t i = 0; i < correction_.size(); ++i) gradient_[i] += near * correction_[i];
  }
  const float smooth = weight(options.penalties.smooth);
  const float curve = weight(options.penalties.curve);
  for (uint32_t a = table.chunk_axis[chunk]; a < table.chunk_axis[chunk + 1]; ++a) {
    const TuneAxis& axis = table.axes[a];
    if (axis.input == kNone) continue;
    const size_t stride = size_t{axis.place} * neurons;
    ForLines(axis, codes, [&](uint32_t code) {
      const float* d = correction_.data() + size_t{code} * neurons;
      float* g = gradient_.data() + size_t{code} * neurons;
      for (uint32_t level = 0; level + 1 < axis.levels; ++level, d += stride, g += stride) {
        for (size_t n = 0; n < neurons; ++n) {
          const float pull = smooth * (d[n + stride] - d[n]);
          g[n] -= pull;
          g[n + stride] += pull;
        }
        if (curve == 0 || level == 0) continue;
        for (size_t n = 0; n < neurons; ++n) {
          const float bend = curve * (d[n - stride] - 2 * d[n] + d[n + stride]);
          g[n - stride] += bend;
          g[n] -= 2 * bend;
          g[n + stride] += bend;
        }
      }
    });
  }
}

void TuneScratch::UpdateChunk(TuneTable& table, TuneMoments& moments, uint32_t chunk,
                              const std::vector<TuneBatch>& batches,
                              const TuneUpdateOptions& options) {
  const size_t neurons = table.neurons;
  const uint32_t chunks = table.chunks();
  const uint32_t codes = table.chunk_row[chunk + 1] - table.chunk_row[chunk];
  const bool dense = options.penalties.any();
  if (gradient_.size() < codes * neurons) gradient_.resize(codes * neurons);
  if (touched_.size() < codes) touched_.resize(codes, 0);
  if (dense) std::fill_n(gradient_.begin(), codes * neurons, 0.0f);
  codes_.clear();
  for (const TuneBatch& batch : batches) {
    for (size_t row = 0; row < batch.rows; ++row) {
      const uint32_t code = batch.codes[row * chunks + chunk];
      float* to = gradient_.data() + size_t{code} * neurons;
      if (!dense && touched_[code] == 0) {
        touched_[code] = 1;
        codes_.push_back(code);
        std::fill_n(to, neurons, 0.0f);
      }
      const float* from = batch.gradients + row * neurons;
      for (size_t n = 0; n < neurons; ++n) to[n] += from[n];
    }
  }
  if (dense) AddPenalties(table, chunk, options);
  const float rate = options.learning_rate * table.gain;
  // Adam divides by the gradient's size, so what is negligible must be so in the table's units.
  const float small = kSmall / table.gain;
  uint32_t powers_of = 0;  // the count that the next two belong to
  float first_weight = 1, second_weight = 1;
  const auto update = [&](uint32_t code) {
    const size_t row = table.chunk_row[chunk] + code;
    const auto count = ++moments.count[row];
    if (count != powers_of) {
      powers_of = count;
      first_weight = 1.0f / (1.0f - std::pow(kFirstDecay, static_cast<float>(count)));
      second_weight = 1.0f / (1.0f - std::pow(kSecondDecay, static_cast<float>(count)));
    }
    const float* g = gradient_.data() + size_t{code} * neurons;
    float* m = moments.first.data() + row * neurons;
    float* v = moments.second.data() + row * neurons;
    float* entry = table.entries.data() + row * neurons;
    for (size_t n = 0; n < neurons; ++n) {
      m[n] = kFirstDecay * m[n] + (1.0f - kFirstDecay) * g[n];
      v[n] = kSecondDecay * v[n] + (1.0f - kSecondDecay) * g[n] * g[n];
      const float moved =
          entry[n] - rate * (m[n] * first_weight) / (std::sqrt(v[n] * second_weight) + small);
      const float most = table.unit[n] * static_cast<float>(table.limit);
      entry[n] = std::min(std::max(moved, -most), most);
    }
  };
  if (dense) {
    for (uint32_t code = 0; code < codes; ++code) update(code);
  } else {
    for (const uint32_t code : codes_) {
      touched_[code] = 0;
      update(code);
    }
  }
}

}  // namespace lutdb
