#include "engine/tune_fit.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr double kSolved = 1e-10;  // of the first residual's energy; beyond is rounding

// Per neuron: sum over table rows of a x b, in double and in order.
std::vector<double> Dots(const std::vector<float>& a, const std::vector<float>& b,
                         uint32_t neurons) {
  std::vector<double> dots(neurons, 0.0);
  for (size_t i = 0; i < a.size(); i += neurons) {
    for (uint32_t n = 0; n < neurons; ++n) dots[n] += double{a[i + n]} * b[i + n];
  }
  return dots;
}

}  // namespace

TuneFit::TuneFit(const TuneTable& table, const FitRows& rows, ThreadTeam& team)
    : table_(table), rows_(rows), team_(team), weight_(table.rows(), 0.0f) {
  double squares = 0;
  for (size_t r = 0; r < rows.rows; ++r) {
    const float square = rows.scales[r] * rows.scales[r];
    squares += square;
    for (uint32_t c = 0; c < table.chunks(); ++c) {
      weight_[table.chunk_row[c] + rows.codes[r * table.chunks() + c]] += square;
    }
  }
  square_scale_ = std::max(1e-30, squares / static_cast<double>(std::max<size_t>(1, rows.rows)));
}

absl::Status TuneFit::Apply(const TuneTable& table, const FitRows& rows,
                            const std::vector<float>& entries, uint32_t neurons, ThreadTeam& team,
                            std::vector<float>* out) {
  out->assign(rows.rows * neurons, 0.0f);
  const uint32_t chunks = table.chunks();
  return team.Split(rows.rows, 1, rows.rows * chunks * neurons,
                    [&](unsigned, size_t begin, size_t end) {
                      for (size_t r = begin; r < end; ++r) {
                        float* to = out->data() + r * neurons;
                        for (uint32_t c = 0; c < chunks; ++c) {
                          const size_t row = table.chunk_row[c] + rows.codes[r * chunks + c];
                          const float* from = entries.data() + row * neurons;
                          for (uint32_t n = 0; n < neurons; ++n) to[n] += from[n];
                        }
                        for (uint32_t n = 0; n < neurons; ++n) to[n] *= rows.scales[r];
                      }
                    });
}

absl::Status TuneFit::Gather(const std::vector<float>& row_numbers, std::vector<float>* out) {
  const uint32_t chunks = table_.chunks();
  out->assign(size_t{table_.rows()} * neurons_, 0.0f);
  return team_.Split(chunks, 1, rows_.rows * chunks * neurons_,
                     [&](unsigned, size_t begin, size_t end) {
                       for (size_t r = 0; r < rows_.rows; ++r) {
                         const float* from = row_numbers.data() + r * neurons_;
                         const float scale = rows_.scales[r];
                         for (size_t c = begin; c < end; ++c) {
                           const size_t row = table_.chunk_row[c] + rows_.codes[r * chunks + c];
                           float* to = out->data() + row * neurons_;
                           for (uint32_t n = 0; n < neurons_; ++n) to[n] += scale * from[n];
                         }
                       }
                     });
}

void TuneFit::AddPenalties(const std::vector<float>& x, const FitOptions& options,
                           std::vector<float>* out) const {
  const auto near = static_cast<float>(options.near * square_scale_);
  const auto smooth = static_cast<float>(options.smooth * square_scale_);
  for (size_t i = 0; i < x.size(); ++i) (*out)[i] += near * x[i];
  if (smooth == 0) return;
  for (uint32_t c = 0; c < table_.chunks(); ++c) {
    for (uint32_t a = table_.chunk_axis[c]; a < table_.chunk_axis[c + 1]; ++a) {
      const TuneAxis& axis = table_.axes[a];
      for (uint32_t row = table_.chunk_row[c]; row < table_.chunk_row[c + 1]; ++row) {
        if ((row - table_.chunk_row[c]) / axis.place % axis.levels + 1 == axis.levels) continue;
        const size_t here = size_t{row} * neurons_;
        const size_t there = here + size_t{axis.place} * neurons_;
        for (uint32_t n = 0; n < neurons_; ++n) {
          const float pull = smooth * (x[there + n] - x[here + n]);
          (*out)[here + n] -= pull;
          (*out)[there + n] += pull;
        }
      }
    }
  }
}

void TuneFit::KeepSlopes(std::vector<float>* x) const {
  std::vector<double> along(neurons_);
  for (uint32_t c = 0; c < table_.chunks(); ++c) {
    const uint32_t first = table_.chunk_row[c], last = table_.chunk_row[c + 1];
    std::vector<float> kept(size_t{last - first} * neurons_, 0.0f);
    for (uint32_t a = table_.chunk_axis[c]; a < table_.chunk_axis[c + 1]; ++a) {
      const TuneAxis& axis = table_.axes[a];
      if (axis.input == kNone) continue;
      const auto level = [&](uint32_t row) {
        return table_.level_values[axis.first_value + (row - first) / axis.place % axis.levels];
      };
      std::fill(along.begin(), along.end(), 0.0);
      double square = 0;
      for (uint32_t row = first; row < last; ++row) {
        square += double{level(row)} * level(row);
        for (uint32_t n = 0; n < neurons_; ++n) {
          along[n] += double{level(row)} * (*x)[size_t{row} * neurons_ + n];
        }
      }
      for (uint32_t row = first; row < last; ++row) {
        for (uint32_t n = 0; n < neurons_; ++n) {
          kept[size_t{row - first} * neurons_ + n] +=
              static_cast<float>(along[n] / square * level(row));
        }
      }
    }
    std::copy(kept.begin(), kept.end(),
              x->begin() + static_cast<ptrdiff_t>(size_t{first} * neurons_));
  }
}

void TuneFit::SetDiagonal(const FitOptions& options) {
  inverse_.resize(table_.rows());
  for (uint32_t c = 0; c < table_.chunks(); ++c) {
    const auto axes = static_cast<double>(table_.chunk_axis[c + 1] - table_.chunk_axis[c]);
    for (uint32_t row = table_.chunk_row[c]; row < table_.chunk_row[c + 1]; ++row) {
      const double penalty = (options.near + 2 * axes * options.smooth) * square_scale_;
      // Slopes alone: one size for all, so that preconditioning keeps to the slopes.
      inverse_[row] = options.weights_only
                          ? 1.0f
                          : static_cast<float>(1 / (double{weight_[row]} + penalty + 1e-30));
    }
  }
}

absl::Status TuneFit::Normal(const std::vector<float>& x, const FitOptions& options,
                             std::vector<float>* out) {
  LUTDB_RETURN_IF_ERROR(Apply(table_, rows_, x, neurons_, team_, &row_numbers_));
  LUTDB_RETURN_IF_ERROR(Gather(row_numbers_, out));
  AddPenalties(x, options, out);
  if (options.weights_only) KeepSlopes(out);
  return absl::OkStatus();
}

absl::Status TuneFit::Solve(const std::vector<float>& targets, uint32_t neurons,
                            const FitOptions& options, std::vector<float>* corrections) {
  neurons_ = neurons;
  SetDiagonal(options);
  std::vector<float>& x = *corrections;
  std::vector<float> residual, product, direction, scaled(x.size());
  LUTDB_RETURN_IF_ERROR(Gather(targets, &residual));
  if (options.weights_only) KeepSlopes(&residual);
  LUTDB_RETURN_IF_ERROR(Normal(x, options, &product));
  for (size_t i = 0; i < residual.size(); ++i) residual[i] -= product[i];
  // What rounding leaves beside the slopes would grow from step to step.
  const auto precondition = [&] {
    if (options.weights_only) KeepSlopes(&residual);
    for (size_t i = 0; i < residual.size(); ++i) scaled[i] = residual[i] * inverse_[i / neurons];
  };
  precondition();
  direction = scaled;
  std::vector<double> energy = Dots(residual, scaled, neurons);
  const std::vector<double> begin = energy;
  for (uint32_t iteration = 0; iteration < options.iterations; ++iteration) {
    LUTDB_RETURN_IF_ERROR(Normal(direction, options, &product));
    const std::vector<double> curvature = Dots(direction, product, neurons);
    std::vector<float> along(neurons, 0.0f);
    for (uint32_t n = 0; n < neurons; ++n) {
      const bool found = !(energy[n] > kSolved * begin[n]);
      if (!found && curvature[n] > 0) along[n] = static_cast<float>(energy[n] / curvature[n]);
    }
    for (size_t i = 0; i < x.size(); i += neurons) {
      for (uint32_t n = 0; n < neurons; ++n) {
        x[i + n] += along[n] * direction[i + n];
        residual[i + n] -= along[n] * product[i + n];
      }
    }
    precondition();
    const std::vector<double> next = Dots(residual, scaled, neurons);
    for (size_t i = 0; i < x.size(); i += neurons) {
      for (uint32_t n = 0; n < neurons; ++n) {
        const double keep = energy[n] > 0 ? next[n] / energy[n] : 0;
        direction[i + n] = scaled[i + n] + static_cast<float>(keep) * direction[i + n];
      }
    }
    energy = next;
  }
  return absl::OkStatus();
}

}  // namespace lutdb
