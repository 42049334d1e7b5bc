#include "engine/tune_rounding.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/tune_state.h"

namespace lutdb {
namespace {

constexpr size_t kRowsMax = 8192;
constexpr uint32_t kNeuronsAtOnce = 64;  // so that what is left of all rows fits a cache
constexpr double kRowsOfDoubt = 16;      // what few rows have left says little about other rows

// The multiple nearest to `value`, not beyond the limit when added to `base`.
int32_t NearestMultiple(double value, uint32_t shift, int32_t base, int32_t limit) {
  const int32_t unit = int32_t{1} << shift;
  int32_t multiple = static_cast<int32_t>(std::nearbyint(value / unit)) * unit;
  while (std::abs(base + multiple) > limit) multiple -= base + multiple > 0 ? unit : -unit;
  return multiple;
}

}  // namespace

int32_t EntryBefore(const TuneTable& table, size_t row, uint32_t neuron) {
  const double initial = table.initial[row * table.neurons + neuron];
  return static_cast<int32_t>(std::nearbyint(initial / double{table.unit[neuron]}));
}

TuneRounding::TuneRounding(TuneTrainer& trainer, TuneNetwork* network,
                           absl::Span<const uint32_t> rows)
    : network_(*network),
      rows_(std::min(rows.size(), kRowsMax)),
      codes_(network->tables.size()),
      trained_(CopyEntries(*network)) {
  std::vector<uint32_t> some(rows_);
  for (size_t i = 0; i < rows_; ++i) some[i] = rows[i * rows.size() / rows_];
  std::vector<uint32_t> op_of(network_.tables.size(), kNone);
  for (size_t op = network_.ops.size(); op-- > 0;) {
    const uint32_t table = network_.ops[op].table;
    if (table == kNone || !network_.tables[table].trained) continue;
    op_of[table] = static_cast<uint32_t>(op);
    codes_[table].resize(rows_ * network_.tables[table].chunks());
  }
  size_t row = 0;
  trainer.ForEachRow(some, [&](const TunePass& pass) {
    for (size_t t = 0; t < op_of.size(); ++t) {
      if (op_of[t] == kNone) continue;
      const uint16_t* codes = pass.codes(op_of[t]);
      for (uint32_t c = 0; c < network_.tables[t].chunks(); ++c) {
        codes_[t][c * rows_ + row] = codes[c];
      }
    }
    ++row;
  });
}

void TuneRounding::Round(size_t table, CoarseUnit unit) {
  TuneTable& to = network_.tables[table];
  to.entries = trained_[table];
  for (uint32_t begin = 0; begin < to.neurons; begin += kNeuronsAtOnce) {
    RoundNeurons(&to, codes_[table], trained_[table], unit, begin,
                 std::min(to.neurons, begin + kNeuronsAtOnce));
  }
}

void TuneRounding::RoundNeurons(TuneTable* table, const std::vector<uint16_t>& codes,
                                const std::vector<float>& trained, CoarseUnit unit, uint32_t begin,
                                uint32_t end) {
  const size_t width = end - begin;
  left_.assign(rows_ * width, 0.0f);
  for (uint32_t chunk = 0; chunk < table->chunks(); ++chunk) {
    const uint32_t first = table->chunk_row[chunk];
    const uint32_t count = table->chunk_row[chunk + 1] - first;
    const uint16_t* code = codes.data() + chunk * rows_;
    sums_.assign(count * width, 0.0f);
    counts_.assign(count, 0);
    for (size_t row = 0; row < rows_; ++row) {
      ++counts_[code[row]];
      float* sum = sums_.data() + code[row] * width;
      for (size_t n = 0; n < width; ++n) sum[n] += left_[row * width + n];
    }
    for (uint32_t c = 0; c < count; ++c) {
      for (uint32_t n = begin; n < end; ++n) {
        const size_t at = size_t{first + c} * table->neurons + n;
        table->entries[at] = trained[at];
        const int32_t base = unit.whole ? 0 : EntryBefore(*table, first + c, n);
        const int32_t rest = table->Rounded(first + c, n) - base;
        float* sum = &sums_[c * width + (n - begin)];
        // Never further than to the multiple after the nearest one.
        const double reach = int32_t{1} << unit.shift;
        const double left =
            unit.cancel ? std::clamp(double{*sum} / (counts_[c] + kRowsOfDoubt), -reach, reach) : 0;
        const int32_t coarse =
            rest == 0 ? 0 : NearestMultiple(rest - left, unit.shift, base, table->limit);
        *sum = static_cast<float>(coarse - rest);
        table->entries[at] = static_cast<float>(double{table->unit[n]} * (base + coarse));
      }
    }
    for (size_t row = 0; row < rows_; ++row) {
      const float* error = sums_.data() + code[row] * width;
      for (size_t n = 0; n < width; ++n) left_[row * width + n] += error[n];
    }
  }
}

}  // namespace lutdb
