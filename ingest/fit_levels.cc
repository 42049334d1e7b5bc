#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "base/status.h"
#include "engine/kernels/kernels.h"
#include "ingest/calibrate.h"

namespace lutdb {
namespace {

constexpr int kRounds = 60;             // of k-means in one dimension; it is at rest long before
constexpr int kScaleRounds = 4;         // levels and scales in turn
constexpr size_t kValuesMax = 1 << 21;  // numbers a shared set is fitted to
constexpr size_t kChunksMax = 1 << 15;  // chunks a codebook is fitted to
constexpr int kCodebookRounds = 30;
constexpr double kCodewordRms = 2048;  // as engine/input_coder.cc has it

// Real levels, ascending, and the thresholds between them.
struct RealLevels {
  std::vector<double> levels;
  std::vector<double> thresholds;
};

std::vector<double> Midpoints(const std::vector<double>& levels) {
  std::vector<double> between;
  for (size_t i = 1; i < levels.size(); ++i) between.push_back((levels[i - 1] + levels[i]) / 2);
  return between;
}

// Mean of each run of sorted values between thresholds; an empty run keeps its level.
void MoveToMeans(const std::vector<float>& sorted, const std::vector<double>& sums,
                 RealLevels* levels) {
  size_t begin = 0;
  for (size_t i = 0; i < levels->levels.size(); ++i) {
    const size_t end =
        i + 1 == levels->levels.size()
            ? sorted.size()
            : static_cast<size_t>(
                  std::lower_bound(sorted.begin() + begin, sorted.end(), levels->thresholds[i]) -
                  sorted.begin());
    if (end > begin)
      levels->levels[i] = (sums[end] - sums[begin]) / static_cast<double>(end - begin);
    begin = end;
  }
}

std::vector<double> RunningSums(const std::vector<float>& values) {
  std::vector<double> sums(1, 0.0);
  sums.reserve(values.size() + 1);
  for (const float value : values) sums.push_back(sums.back() + value);
  return sums;
}

// As many values in each run as in any other, each run's mean its level. Equal values stay
// together.
RealLevels Quantiles(const std::vector<float>& sorted, size_t count) {
  RealLevels found;
  for (size_t i = 1; i < count; ++i) {
    const size_t at = sorted.size() * i / count;
    // The run ends before the values equal to the one at its end; the first run after its own.
    auto first = std::lower_bound(sorted.begin(), sorted.end(), sorted[at]);
    if (first == sorted.begin()) first = std::upper_bound(first, sorted.end(), sorted[at]);
    if (first == sorted.end()) break;
    const double threshold = (double{*(first - 1)} + double{*first}) / 2;
    if (found.thresholds.empty() || threshold > found.thresholds.back()) {
      found.thresholds.push_back(threshold);
    }
  }
  found.levels.resize(found.thresholds.size() + 1, sorted.front());
  MoveToMeans(sorted, RunningSums(sorted), &found);
  return found;
}

// k-means in one dimension, started between the quantiles of the different values there are and
// levels evenly spaced over most of the range, so that neither dense values nor tails go without.
RealLevels Learned(const std::vector<float>& sorted, size_t count) {
  const std::vector<double> sums = RunningSums(sorted);
  std::vector<float> distinct = sorted;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  RealLevels found = Quantiles(distinct, std::min(count, distinct.size()));
  if (found.levels.size() < count) return found;
  const double low = sorted[sorted.size() / 200];
  const double high = sorted[sorted.size() - 1 - sorted.size() / 200];
  for (size_t i = 0; i < count; ++i) {
    const double even =
        low + (high - low) * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    found.levels[i] = (found.levels[i] + even) / 2;
  }
  for (int round = 0; round < kRounds; ++round) {
    found.thresholds = Midpoints(found.levels);
    MoveToMeans(sorted, sums, &found);
  }
  found.thresholds = Midpoints(found.levels);
  return found;
}

// In units of `unit`; levels that round to the same integer become one.
LevelSet ToIntegers(const RealLevels& real, double unit) {
  LevelSet set;
  for (size_t i = 0; i < real.levels.size(); ++i) {
    const double rounded = std::nearbyint(real.levels[i] / unit);
    const auto level =
        static_cast<int32_t>(std::clamp<double>(rounded, -kLearnedLevelMax, kLearnedLevelMax));
    if (!set.levels.empty() && level <= set.levels.back()) continue;
    if (!set.levels.empty()) {
      set.thresholds.push_back(static_cast<float>(real.thresholds[i - 1] / unit));
    }
    set.levels.push_back(level);
  }
  return set;
}

// A set of one level cannot be coded with: a second one, never taken by the values seen.
void EnsureTwo(LevelSet* set) {
  if (set->levels.size() > 1) return;
  const int32_t level = set->levels.front();
  set->levels = level > 0   ? std::vector<int32_t>{0, level}
                : level < 0 ? std::vector<int32_t>{level, 0}
                            : std::vector<int32_t>{0, 1};
  set->thresholds = {static_cast<float>(set->levels[0] + set->levels[1]) / 2};
}

double UnitOf(const RealLevels& real) {
  const double largest = std::max(std::fabs(real.levels.front()), std::fabs(real.levels.back()));
  return largest / kLearnedLevelMax;
}

// A vector set's levels and thresholds as kernels take them.
struct KernelSet {
  std::vector<float> levels;
  std::vector<float> thresholds;

  explicit KernelSet(const LevelSet& set)
      : levels(set.levels.begin(), set.levels.end()), thresholds(set.thresholds) {}
  kernels::UnevenLevels view() const {
    return {levels.data(), thresholds.data(), static_cast<uint32_t>(levels.size())};
  }
};

// Levels that lose least under each vector's own best scale: an error counts as much as the scale
// makes of it.
RealLevels Refine(absl::Span<const float> rows, uint32_t width, const LevelSet& set) {
  const KernelSet kernel(set);
  std::vector<double> sums(set.levels.size()), weights(set.levels.size());
  std::vector<uint16_t> index(width);
  for (size_t at = 0; at < rows.size(); at += width) {
    const float scale = kernels::ChooseUnevenScale(rows.data() + at, width, kernel.view());
    kernels::ThresholdIndices(rows.data() + at, width, scale, kernel.view(), index.data());
    const double square = double{scale} * scale;
    for (uint32_t i = 0; i < width; ++i) {
      sums[index[i]] += square * (rows[at + i] / scale);
      weights[index[i]] += square;
    }
  }
  RealLevels better;
  for (size_t i = 0; i < sums.size(); ++i) {
    better.levels.push_back(weights[i] > 0 ? sums[i] / weights[i] : double(set.levels[i]));
  }
  std::sort(better.levels.begin(), better.levels.end());
  better.thresholds = Midpoints(better.levels);
  return better;
}

double RootMeanSquare(const float* x, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += double{x[i]} * x[i];
  return std::sqrt(sum / static_cast<double>(count));
}

// Every k-th vector, divided by its root mean square; zero vectors are left out.
std::vector<float> Normalised(absl::Span<const float> rows, uint32_t width, size_t values_max) {
  const size_t count = rows.size() / width;
  const size_t every = std::max<size_t>(1, rows.size() / values_max);
  std::vector<float> kept;
  for (size_t row = 0; row < count; row += every) {
    const float* x = rows.data() + row * width;
    const double rms = RootMeanSquare(x, width);
    if (!(rms > 0)) continue;
    for (uint32_t i = 0; i < width; ++i) kept.push_back(static_cast<float>(x[i] / rms));
  }
  return kept;
}

}  // namespace

FittedInput FitInput(const std::vector<float>& values, int bits, LevelsFrom from, float scale_min) {
  const size_t count = size_t{1} << bits;
  const RealLevels real =
      from == LevelsFrom::kQuantile ? Quantiles(values, count) : Learned(values, count);
  FittedInput fitted;
  const double unit = UnitOf(real);
  if (unit > 0) {
    int exponent = 0;
    (void)std::frexp(unit, &exponent);  // unit <= 2^exponent
    fitted.scale = std::max(std::ldexp(1.0f, exponent), FLT_MIN);
  }
  fitted.scale = std::max(fitted.scale, scale_min);
  fitted.set = ToIntegers(real, fitted.scale);
  EnsureTwo(&fitted.set);
  return fitted;
}

absl::StatusOr<LevelSet> FitVectors(absl::Span<const float> rows, uint32_t width, int bits,
                                    LevelsFrom from) {
  std::vector<float> values = Normalised(rows, width, kValuesMax);
  if (values.empty()) return FailedPrecondition("all inputs are zero");
  const std::vector<float> vectors = values;
  std::sort(values.begin(), values.end());
  const size_t count = size_t{1} << bits;
  RealLevels real =
      from == LevelsFrom::kQuantile ? Quantiles(values, count) : Learned(values, count);
  LevelSet set = ToIntegers(real, UnitOf(real));
  EnsureTwo(&set);
  if (from == LevelsFrom::kQuantile) return set;
  for (int round = 0; round < kScaleRounds; ++round) {
    real = Refine(vectors, width, set);
    set = ToIntegers(real, UnitOf(real));
    EnsureTwo(&set);
  }
  return set;
}

absl::StatusOr<Codebook> FitCodebook(absl::Span<const float> rows, uint32_t width, uint32_t g,
                                     uint32_t codes) {
  const std::vector<float> vectors = Normalised(rows, width, kChunksMax * g);
  if (vectors.empty()) return FailedPrecondition("all inputs are zero");
  const size_t chunks_per_row = (width + g - 1) / g;
  const size_t chunks = vectors.size() / width * chunks_per_row;
  std::vector<float> points(chunks * g, 0.0f);
  for (size_t row = 0; row < vectors.size() / width; ++row) {
    std::copy_n(vectors.data() + row * width, width, points.data() + row * chunks_per_row * g);
  }
  if (chunks < codes) {
    return FailedPrecondition("{} chunks of data for {} codewords; give more data", chunks, codes);
  }
  // Started from points at even distances; k-means moves them to the means of what is nearest.
  std::vector<float> words(size_t{codes} * g);
  for (size_t w = 0; w < codes; ++w) {
    std::copy_n(points.data() + (w * chunks / codes) * g, g, words.data() + w * g);
  }
  std::vector<uint16_t> nearest(chunks);
  for (int round = 0; round < kCodebookRounds; ++round) {
    kernels::NearestCodewords(points.data(), chunks, g, 1.0f, words.data(), codes, nearest.data());
    std::vector<double> sums(words.size()), counts(codes);
    for (size_t c = 0; c < chunks; ++c) {
      counts[nearest[c]] += 1;
      for (uint32_t p = 0; p < g; ++p) sums[nearest[c] * g + p] += points[c * g + p];
    }
    for (size_t i = 0; i < words.size(); ++i) {
      if (counts[i / g] > 0) words[i] = static_cast<float>(sums[i] / counts[i / g]);
    }
  }
  Codebook book{.inputs = g, .levels = {}};
  for (const float number : words) {
    book.levels.push_back(static_cast<int32_t>(std::clamp<double>(
        std::nearbyint(number * kCodewordRms), -kLearnedLevelMax, kLearnedLevelMax)));
  }
  return book;
}

}  // namespace lutdb
