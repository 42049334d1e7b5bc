// Input coding, look up and add, and product records. reference_f32.cc has the f32 ops.
#include "engine/kernels/reference.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/approximations.h"

namespace lutdb::kernels::reference {
namespace {

constexpr uint32_t kLanes = 16;
constexpr uint32_t kTileNeurons = 64;

float Fold(float* lanes) {
  for (uint32_t width = kLanes / 2; width >= 1; width /= 2) {
    for (uint32_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// The level nearest to t, as a float: clamped first, which changes nothing and avoids overflow.
float NearestLevel(float t, Levels levels) {
  const auto min = static_cast<float>(levels.min);
  const auto max = static_cast<float>(levels.max);
  t = t < max ? t : max;
  t = t > min ? t : min;
  return (t + kRoundShift) - kRoundShift;
}

float MeanMagnitude(const float* x, size_t count) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < count; ++i) lanes[i % kLanes] += std::fabs(x[i]);
  return Fold(lanes) / static_cast<float>(count);
}

// What the grid covers at scale 1: the largest magnitude, or the largest positive value when the
// grid has no negative levels.
float LargestCovered(const float* x, size_t count, Levels levels) {
  float magnitude = 0;
  float positive = 0;
  for (size_t i = 0; i < count; ++i) {
    magnitude = std::max(magnitude, std::fabs(x[i]));
    positive = std::max(positive, x[i]);
  }
  return levels.min < 0 || positive == 0 ? magnitude : positive;
}

// sum((x / s - level)^2) * s^2, the sum in f32 and the rest in double, so that no input is too
// small or too large for its square.
double CodingError(const float* x, size_t count, float scale, Levels levels) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < count; ++i) {
    const float t = x[i] / scale;
    const float difference = t - NearestLevel(t, levels);
    lanes[i % kLanes] += difference * difference;
  }
  return static_cast<double>(Fold(lanes)) * scale * scale;
}

template <typename Entry>
void AddRowsOf(const Entry* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
               int32_t* acc) {
  for (size_t r = 0; r < row_count; ++r) {
    if (rows[r] == nullptr) continue;
    const bool negative = signs != nullptr && signs[r] < 0;
    for (size_t n = 0; n < neurons; ++n) {
      const int32_t entry = rows[r][n];
      acc[n] += negative ? -entry : entry;
    }
  }
}

template <typename Entry>
void AddRowListsOf(const RowList<Entry>* lists, size_t vectors, size_t begin, size_t end,
                   size_t acc_stride, int32_t* acc) {
  for (size_t v = 0; v < vectors; ++v) {
    const RowList<Entry>& list = lists[v];
    for (size_t r = 0; r < list.added + list.subtracted; ++r) {
      for (size_t n = begin; n < end; ++n) {
        const int32_t entry = list.rows[r][n];
        acc[v * acc_stride + n] += r < list.added ? entry : -entry;
      }
    }
  }
}

// Sums on the way are those of the neurons themselves here: only PassOnPacked has to understand
// them.
template <typename Entry>
void AddPackedOf(const Entry* rows, const uint16_t* numbers, size_t each, size_t vectors,
                 PackedSum<Entry>* sums) {
  for (size_t v = 0; v < vectors; ++v) {
    for (size_t r = 0; r < each; ++r) {
      const Entry* row = rows + numbers[v * each + r] * kPackedNeurons;
      for (size_t n = 0; n < kPackedNeurons; ++n) {
        PackedSum<Entry>& sum = sums[v * kPackedNeurons + n];
        sum = static_cast<PackedSum<Entry>>(sum + row[n]);
      }
    }
  }
}

template <typename Sum>
void PassOnPackedOf(Sum* sums, size_t vectors, int32_t* acc) {
  for (size_t i = 0; i < vectors * kPackedNeurons; ++i) {
    acc[i] += sums[i];
    sums[i] = 0;
  }
}

template <typename Entry>
void ProductRowOf(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                  Entry* out) {
  const int shift = 32 - 8 * static_cast<int>(sizeof(Entry));
  const int64_t half = int64_t{1} << (shift - 1);
  int32_t first = 0;
  for (uint32_t p = 0; p < positions && first == 0; ++p) first = levels[p];
  for (size_t b = 0; b < blocks; ++b, slopes += positions * kTileNeurons) {
    for (uint32_t n = 0; n < kTileNeurons; ++n) {
      int64_t sum = 0;
      for (uint32_t p = 0; p < positions; ++p) {
        sum += int64_t{slopes[p * kTileNeurons + n]} * levels[p];
      }
      const int64_t entry = first < 0 ? -((half - sum) >> shift) : (sum + half) >> shift;
      out[b * kTileNeurons + n] = static_cast<Entry>(entry);
    }
  }
}

// Straight from the definition: levels of the code, sum, round half up; the negated entry of the
// mirrored code when the first level that is not zero is negative.
template <typename Slope, typename Entry>
void ProductCodesOf(const Slope* slopes, const Levels* levels, uint32_t positions, int shift,
                    uint32_t code_begin, uint32_t code_end, Entry* out, size_t out_stride) {
  LUTDB_CHECK(positions >= 1 && positions <= 16);
  const int64_t half = int64_t{1} << (shift - 1);
  for (uint32_t code = code_begin; code < code_end; ++code, out += out_stride) {
    int32_t level[16];
    uint32_t rest = code;
    for (uint32_t p = positions; p-- > 0;) {
      const auto count =
          static_cast<uint32_t>((levels[p].max - levels[p].min) / levels[p].stride) + 1;
      level[p] = levels[p].min + static_cast<int32_t>(rest % count) * levels[p].stride;
      rest /= count;
    }
    int32_t first = 0;
    for (uint32_t p = 0; p < positions && first == 0; ++p) first = level[p];
    for (uint32_t n = 0; n < kTileNeurons; ++n) {
      int64_t sum = 0;
      for (uint32_t p = 0; p < positions; ++p) {
        sum += static_cast<int64_t>(slopes[p * kTileNeurons + n]) * level[p];
      }
      out[n] = static_cast<Entry>(first >= 0 ? (sum + half) >> shift : -((-sum + half) >> shift));
    }
  }
}

}  // namespace

float ChooseScale(const float* x, size_t count, Levels levels) {
  const float largest = LargestCovered(x, count, levels);
  if (largest == 0) return 1.0f;
  if (levels.stride == 2) return std::max(MeanMagnitude(x, count), FLT_MIN);
  const ScaleSearch search = ScaleSearchFor(levels.max);
  const float base = std::max(largest / static_cast<float>(levels.max), FLT_MIN);
  float best = base;
  double best_error = DBL_MAX;
  float factor = 1.0f;
  for (int k = 0; k < search.candidates; ++k, factor *= search.ratio) {
    const float scale = std::max(base * factor, FLT_MIN);
    const double error = CodingError(x, count, scale, levels);
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
  }
  return best;
}

void LevelIndices(const float* x, size_t count, float scale, Levels levels, uint16_t* index) {
  for (size_t i = 0; i < count; ++i) {
    if (levels.stride == 2) {
      index[i] = x[i] >= 0 ? 1 : 0;
    } else {
      const auto level = static_cast<int32_t>(NearestLevel(x[i] / scale, levels));
      index[i] = static_cast<uint16_t>(level - levels.min);
    }
  }
}

void MixedLevelIndices(const float* x, size_t count, float scale, const Levels* levels,
                       uint16_t* index) {
  for (size_t i = 0; i < count; ++i) reference::LevelIndices(x + i, 1, scale, levels[i], index + i);
}

void CombineIndices(const uint16_t* index, size_t chunks, uint32_t g, uint32_t level_count,
                    uint16_t* codes) {
  for (size_t c = 0; c < chunks; ++c) {
    uint32_t code = 0;
    for (uint32_t i = 0; i < g; ++i) code = code * level_count + index[c * g + i];
    codes[c] = static_cast<uint16_t>(code);
  }
}

void AddRows(const int16_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  AddRowsOf(rows, signs, row_count, neurons, acc);
}

void AddRows(const int8_t* const* rows, const int8_t* signs, size_t row_count, size_t neurons,
             int32_t* acc) {
  AddRowsOf(rows, signs, row_count, neurons, acc);
}

void AddRowLists(const RowList<int16_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc) {
  AddRowListsOf(lists, vectors, begin, end, acc_stride, acc);
}

void AddRowLists(const RowList<int8_t>* lists, size_t vectors, size_t begin, size_t end,
                 size_t acc_stride, int32_t* acc) {
  AddRowListsOf(lists, vectors, begin, end, acc_stride, acc);
}

void AddPacked(const int16_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int32_t* sums) {
  AddPackedOf(rows, numbers, each, vectors, sums);
}

void AddPacked(const int8_t* rows, const uint16_t* numbers, size_t each, size_t vectors,
               int16_t* sums) {
  AddPackedOf(rows, numbers, each, vectors, sums);
}

void PassOnPacked(int32_t* sums, size_t vectors, size_t, int32_t* acc) {
  PassOnPackedOf(sums, vectors, acc);
}

void PassOnPacked(int16_t* sums, size_t vectors, size_t, int32_t* acc) {
  PassOnPackedOf(sums, vectors, acc);
}

void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int16_t* out) {
  ProductRowOf(slopes, levels, positions, blocks, out);
}

void ProductRow(const int32_t* slopes, const int32_t* levels, uint32_t positions, size_t blocks,
                int8_t* out) {
  ProductRowOf(slopes, levels, positions, blocks, out);
}

void ScaleSums(const int32_t* acc, const float* step, const float* bias, float scale,
               size_t neurons, float* y) {
  for (size_t n = 0; n < neurons; ++n) {
    const float value = (scale * step[n]) * static_cast<float>(acc[n]);
    y[n] = bias == nullptr ? value : value + bias[n];
  }
}

void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  ProductCodesOf(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

void ProductCodes(const int32_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  ProductCodesOf(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int16_t* out, size_t out_stride) {
  ProductCodesOf(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

void ProductCodes(const int64_t* slopes, const Levels* levels, uint32_t positions, int shift,
                  uint32_t code_begin, uint32_t code_end, int8_t* out, size_t out_stride) {
  ProductCodesOf(slopes, levels, positions, shift, code_begin, code_end, out, out_stride);
}

}  // namespace lutdb::kernels::reference
