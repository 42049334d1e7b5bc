#include "engine/tune_trainer.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/memory_limit.h"
#include "base/status.h"

namespace lutdb {

TuneTrainer::TuneTrainer(TuneNetwork& network, ThreadTeam& team)
    : network_(network), team_(team), moments_(network.tables.size()), scratch_(team.count()) {
  for (size_t t = 0; t < network.tables.size(); ++t) {
    if (network.tables[t].trained) moments_[t].Reset(network.tables[t]);
  }
  for (unsigned thread = 0; thread < team.count(); ++thread) {
    passes_.push_back(std::make_unique<TunePass>(network));
  }
  const size_t ops = network.ops.size();
  given_.assign(team.count(), std::vector<TunePass::Given>(ops));
  input_codes_.resize(ops);
  input_scales_.resize(ops);
  codes_.resize(ops);
  gradients_.resize(ops);
}

absl::Status TuneTrainer::Prepare(const TuneRows& data) {
  data_ = data;
  uint64_t bytes = 0;
  for (const TuneOp& op : network_.ops) {
    if (op.kind != OpKind::kTable || op.inputs[0] != network_.input) continue;
    bytes += data.rows * (sizeof(float) + sizeof(uint16_t) * network_.tables[op.table].chunks());
  }
  if (bytes > UsableMemoryBytes() / 2) {
    return ResourceExhausted("the codes of {} rows need {} MiB of memory: tune on fewer rows",
                             data.rows, bytes >> 20);
  }
  for (size_t i = 0; i < network_.ops.size(); ++i) {
    const TuneOp& op = network_.ops[i];
    if (op.kind != OpKind::kTable || op.inputs[0] != network_.input) continue;
    const TuneTable& table = network_.tables[op.table];
    input_codes_[i].resize(data.rows * table.chunks());
    input_scales_[i].resize(data.rows);
    LUTDB_RETURN_IF_ERROR(
        team_.Split(data.rows, 1, data.rows * data.width, [&](unsigned, size_t begin, size_t end) {
          const TuneCoder coder = table.coders();
          for (size_t row = begin; row < end; ++row) {
            input_scales_[i][row] = coder(data.inputs + row * data.width, nullptr,
                                          input_codes_[i].data() + row * table.chunks());
          }
        }));
  }
  return absl::OkStatus();
}

void TuneTrainer::ForwardRow(TunePass& pass, std::vector<TunePass::Given>& given,
                             uint32_t row) const {
  for (size_t i = 0; i < network_.ops.size(); ++i) {
    if (input_codes_[i].empty()) continue;
    const uint32_t chunks = network_.tables[network_.ops[i].table].chunks();
    given[i] = {.codes = input_codes_[i].data() + size_t{row} * chunks,
                .scale = input_scales_[i][row]};
  }
  pass.Forward(data_.inputs + size_t{row} * data_.width, given);
}

double TuneTrainer::Loss(const TunePass& pass, uint32_t row, float* gradient, bool* right) const {
  const float* y = pass.y();
  const uint32_t width = network_.widths[network_.output];
  *right = false;
  if (data_.labels == nullptr) {
    const float* target = data_.targets + size_t{row} * width;
    double loss = 0;
    for (uint32_t k = 0; k < width; ++k) {
      const double error = double{y[k]} - target[k];
      loss += error * error / width;
      if (gradient != nullptr) gradient[k] = static_cast<float>(2 * error / width);
    }
    return loss;
  }
  const uint32_t label = data_.labels[row];
  const float* largest = std::max_element(y, y + width);
  *right = static_cast<uint32_t>(largest - y) == label;
  double sum = 0;
  for (uint32_t k = 0; k < width; ++k) sum += std::exp(double{y[k]} - *largest);
  if (gradient != nullptr) {
    for (uint32_t k = 0; k < width; ++k) {
      gradient[k] =
          static_cast<float>(std::exp(double{y[k]} - *largest) / sum) - (k == label ? 1.0f : 0.0f);
    }
  }
  return std::log(sum) + double{*largest} - y[label];
}

double TuneTrainer::constant_loss() const {
  if (data_.labels == nullptr) return data_.loss_unit;
  return std::log(static_cast<double>(network_.widths[network_.output]));
}

absl::StatusOr<double> TuneTrainer::Step(absl::Span<const uint32_t> batch,
                                         const TuneUpdateOptions& options) {
  const uint32_t width = network_.widths[network_.output];
  uint64_t work = 0;
  for (size_t i = 0; i < network_.ops.size(); ++i) {
    const TuneOp& op = network_.ops[i];
    if (op.kind != OpKind::kTable) continue;
    const TuneTable& table = network_.tables[op.table];
    codes_[i].resize(batch.size() * table.chunks());
    gradients_[i].resize(batch.size() * table.neurons);
    work += 4 * batch.size() * table.chunks() * table.neurons;
  }
  losses_.assign(batch.size(), 0);
  LUTDB_RETURN_IF_ERROR(
      team_.Split(batch.size(), 1, work, [&](unsigned thread, size_t begin, size_t end) {
        TunePass& pass = *passes_[thread];
        std::vector<float> gradient(width);
        const auto share =
            static_cast<float>(1.0 / (static_cast<double>(batch.size()) * data_.loss_unit));
        for (size_t b = begin; b < end; ++b) {
          ForwardRow(pass, given_[thread], batch[b]);
          bool right;
          losses_[b] = Loss(pass, batch[b], gradient.data(), &right);
          for (float& g : gradient) g *= share;
          pass.Backward(gradient.data());
          for (uint32_t i = 0; i < network_.ops.size(); ++i) {
            if (codes_[i].empty()) continue;
            const TuneTable& table = network_.tables[network_.ops[i].table];
            std::copy_n(pass.codes(i), table.chunks(), codes_[i].data() + b * table.chunks());
            std::copy_n(pass.sums_gradient(i), table.neurons,
                        gradients_[i].data() + b * table.neurons);
          }
        }
      }));
  for (uint32_t t = 0; t < network_.tables.size(); ++t) {
    TuneTable& table = network_.tables[t];
    if (!table.trained) continue;
    std::vector<TuneBatch> batches;
    for (size_t i = 0; i < network_.ops.size(); ++i) {
      if (network_.ops[i].kind != OpKind::kTable || network_.ops[i].table != t) continue;
      batches.push_back(
          {.rows = batch.size(), .codes = codes_[i].data(), .gradients = gradients_[i].data()});
    }
    const uint64_t entries = options.penalties.any() ? table.entries.size() : 0;
    LUTDB_RETURN_IF_ERROR(team_.Split(
        table.chunks(), 1, 4 * (entries + batch.size() * table.chunks() * table.neurons),
        [&](unsigned thread, size_t begin, size_t end) {
          for (size_t c = begin; c < end; ++c) {
            scratch_[thread].UpdateChunk(table, moments_[t], static_cast<uint32_t>(c), batches,
                                         options);
          }
        }));
  }
  double loss = 0;
  for (const double row : losses_) loss += row;
  return loss / static_cast<double>(batch.size());
}

absl::StatusOr<TuneFigures> TuneTrainer::Measure(absl::Span<const uint32_t> rows) {
  losses_.assign(rows.size(), 0);
  right_.assign(rows.size(), 0);
  LUTDB_RETURN_IF_ERROR(team_.Split(
      rows.size(), 1, ThreadTeam::kWorkMin, [&](unsigned thread, size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
          ForwardRow(*passes_[thread], given_[thread], rows[r]);
          bool right;
          losses_[r] = Loss(*passes_[thread], rows[r], nullptr, &right);
          right_[r] = right ? 1 : 0;
        }
      }));
  TuneFigures figures{.rows = rows.size()};
  for (const double loss : losses_) figures.loss += loss;
  for (const uint8_t right : right_) figures.accuracy += right;
  figures.loss /= static_cast<double>(rows.size());
  figures.accuracy /= static_cast<double>(rows.size());
  return figures;
}

}  // namespace lutdb
