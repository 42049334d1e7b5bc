#include "engine/propose_chunks.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint32_t kBinsMax = 64;
constexpr size_t kRowsMin = 16;
constexpr uint64_t kPairsMax = uint64_t{1} << 23;
constexpr size_t kRowsPerCell = 8;  // fewer, and means of cells are mostly noise
constexpr int kSweeps = 30;         // of backfitting
constexpr size_t kClassesMax = 64;  // indicators looked at

// An input of every row as the number of its bin.
struct BinnedInput {
  std::vector<uint8_t> bin;
  uint32_t count = 0;
};

// Cuts at quantiles; equal values share a bin, so an input of few values gets few bins.
BinnedInput Bin(const Dataset& data, absl::Span<const uint32_t> rows, uint32_t input,
                uint32_t bins) {
  std::vector<float> sorted(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) sorted[i] = data.row(rows[i])[input];
  std::sort(sorted.begin(), sorted.end());
  std::vector<float> cuts;  // a value is in the bin whose number is the count of cuts <= it
  for (uint32_t b = 1; b < bins; ++b) {
    const float cut = sorted[sorted.size() * b / bins];
    if (cut > sorted.front() && (cuts.empty() || cut > cuts.back())) cuts.push_back(cut);
  }
  BinnedInput binned;
  binned.count = static_cast<uint32_t>(cuts.size() + 1);
  binned.bin.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const float value = data.row(rows[i])[input];
    binned.bin[i] =
        static_cast<uint8_t>(std::upper_bound(cuts.begin(), cuts.end(), value) - cuts.begin());
  }
  return binned;
}

// One number per row, its mean taken off.
using Column = std::vector<double>;

Column Centred(Column column) {
  const double mean =
      std::accumulate(column.begin(), column.end(), 0.0) / static_cast<double>(column.size());
  for (double& value : column) value -= mean;
  return column;
}

std::vector<Column> TargetColumns(const Dataset& data, absl::Span<const uint32_t> rows,
                                  absl::Span<const float> targets) {
  std::vector<Column> columns;
  if (!targets.empty()) {
    columns.push_back(Centred(Column(targets.begin(), targets.end())));
    return columns;
  }
  const size_t count =
      data.has_classes ? std::min(data.class_names.size(), kClassesMax) : size_t{data.target_width};
  for (size_t c = 0; c < count; ++c) {
    Column column(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      column[i] = data.has_classes ? (data.labels[rows[i]] == c ? 1.0 : 0.0)
                                   : double{data.target(rows[i])[c]};
    }
    columns.push_back(Centred(std::move(column)));
  }
  return columns;
}

double SumOfSquares(const Column& column) {
  double sum = 0;
  for (const double value : column) sum += value * value;
  return sum;
}

// The cells of one pair: how many rows each has and what they add up to.
class Grid {
 public:
  Grid(const BinnedInput& a, const BinnedInput& b)
      : a_(a), b_(b), counts_(size_t{a.count} * b.count), sums_(counts_.size()) {
    for (size_t i = 0; i < a.bin.size(); ++i) ++counts_[Cell(i)];
  }

  // Sum of squares that the cells' means explain beyond the best sum of a function of each input,
  // less its expectation when nothing but noise is left.
  double Beyond(const Column& target, double total) {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    for (size_t i = 0; i < target.size(); ++i) sums_[Cell(i)] += target[i];
    double cells = 0;
    size_t used = 0;
    for (size_t c = 0; c < sums_.size(); ++c) {
      if (counts_[c] == 0) continue;
      cells += sums_[c] * sums_[c] / counts_[c];
      ++used;
    }
    const double beyond = cells - Additive();
    const double free_means =
        std::max(0.0, static_cast<double>(used) - (a_.count + b_.count - 1.0));
    const double left = static_cast<double>(target.size()) - static_cast<double>(used);
    if (left <= 0) return 0;
    return beyond - free_means * (total - cells) / left;
  }

 private:
  size_t Cell(size_t row) const { return size_t{a_.bin[row]} * b_.count + b_.bin[row]; }

  // Sum of squares explained by f(a) + g(b): each in turn takes what the other leaves.
  double Additive() const {
    std::vector<double> f(a_.count), g(b_.count);
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      Fit(f.size(), g, b_.count, 1, &f);
      Fit(g.size(), f, 1, b_.count, &g);
    }
    double explained = 0;  // sum of fit x target, which equals the fit's sum of squares
    for (size_t i = 0; i < f.size(); ++i) {
      for (size_t j = 0; j < g.size(); ++j) explained += (f[i] + g[j]) * sums_[i * b_.count + j];
    }
    return explained;
  }
  // own[i] = mean over the rows of i of (target - other[j]); strides lead through the cells.
  void Fit(size_t own_count, const std::vector<double>& other, size_t own_stride,
           size_t other_stride, std::vector<double>* own) const {
    for (size_t i = 0; i < own_count; ++i) {
      double sum = 0, rows = 0;
      for (size_t j = 0; j < other.size(); ++j) {
        const size_t cell = i * own_stride + j * other_stride;
        sum += sums_[cell] - counts_[cell] * other[j];
        rows += counts_[cell];
      }
      (*own)[i] = rows > 0 ? sum / rows : 0;
    }
  }

  const BinnedInput& a_;
  const BinnedInput& b_;
  std::vector<uint32_t> counts_;
  std::vector<double> sums_;
};

absl::Status Check(const Dataset& data, absl::Span<const uint32_t> rows,
                   absl::Span<const float> targets, const ProposeOptions& options,
                   const std::vector<uint32_t>& inputs) {
  if (options.bins < 2 || options.bins > kBinsMax) {
    return InvalidArgument("{} bins are not between 2 and {}", options.bins, kBinsMax);
  }
  if (rows.size() < kRowsMin) {
    return InvalidArgument("{}: {} rows are too few to tell pairs apart; give at least {}",
                           data.source, rows.size(), kRowsMin);
  }
  if (!targets.empty() && targets.size() != rows.size()) {
    return InvalidArgument("{} targets for {} rows", targets.size(), rows.size());
  }
  for (const uint32_t row : rows) {
    if (row >= data.rows) return InvalidArgument("{} has no row {}", data.source, row);
  }
  for (const uint32_t input : inputs) {
    if (input >= data.width) return InvalidArgument("{} has no input {}", data.source, input);
  }
  const uint64_t count = inputs.size();
  if (count * (count - 1) / 2 > kPairsMax) {
    return ResourceExhausted("{} inputs have more than {} pairs; name the ones to look at", count,
                             kPairsMax);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ProposedPair>> ProposePairs(const Dataset& data,
                                                       absl::Span<const uint32_t> rows,
                                                       absl::Span<const float> targets,
                                                       const ProposeOptions& options) {
  std::vector<uint32_t> inputs = options.inputs;
  if (inputs.empty()) {
    inputs.resize(data.width);
    std::iota(inputs.begin(), inputs.end(), 0u);
  }
  std::sort(inputs.begin(), inputs.end());
  inputs.erase(std::unique(inputs.begin(), inputs.end()), inputs.end());
  if (inputs.size() < 2) return std::vector<ProposedPair>{};
  LUTDB_RETURN_IF_ERROR(Check(data, rows, targets, options, inputs));
  const std::vector<Column> columns = TargetColumns(data, rows, targets);
  std::vector<double> totals;
  for (const Column& column : columns) totals.push_back(SumOfSquares(column));
  const double total = std::accumulate(totals.begin(), totals.end(), 0.0);
  if (total == 0) return std::vector<ProposedPair>{};  // constant: nothing to explain

  const auto most = static_cast<uint32_t>(
      std::sqrt(static_cast<double>(rows.size()) / static_cast<double>(kRowsPerCell)));
  const uint32_t bins = std::clamp(most, 2u, options.bins);
  std::vector<BinnedInput> binned;
  for (const uint32_t input : inputs) binned.push_back(Bin(data, rows, input, bins));
  std::vector<ProposedPair> pairs;
  const auto better = [](const ProposedPair& a, const ProposedPair& b) {
    if (a.gain != b.gain) return a.gain > b.gain;
    return a.first != b.first ? a.first < b.first : a.second < b.second;
  };
  for (size_t a = 0; a < inputs.size(); ++a) {
    for (size_t b = a + 1; b < inputs.size(); ++b) {
      if (binned[a].count < 2 || binned[b].count < 2) continue;  // constant inputs
      Grid grid(binned[a], binned[b]);
      double beyond = 0;
      for (size_t c = 0; c < columns.size(); ++c) beyond += grid.Beyond(columns[c], totals[c]);
      pairs.push_back({inputs[a], inputs[b], beyond / total});
    }
  }
  const size_t kept = std::min<size_t>(options.pairs_max, pairs.size());
  std::partial_sort(pairs.begin(), pairs.begin() + kept, pairs.end(), better);
  pairs.resize(kept);
  return pairs;
}

}  // namespace lutdb
