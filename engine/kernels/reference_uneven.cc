// Coding with levels at uneven distances: learned levels, codebooks, rotations, and the entries
// they give. The oracle of uneven.cc.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "base/check.h"
#include "engine/kernels/approximations.h"
#include "engine/kernels/reference.h"

namespace lutdb::kernels::reference {
namespace {

constexpr uint32_t kLanes = 16;
constexpr uint32_t kTileNeurons = 64;
constexpr float kRotatedMax = 1e36f;

float Fold(float* lanes) {
  for (uint32_t width = kLanes / 2; width >= 1; width /= 2) {
    for (uint32_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

uint32_t IndexOf(float t, UnevenLevels levels) {
  const float* end = levels.thresholds + (levels.count - 1);
  const float* above =
      std::partition_point(levels.thresholds, end, [t](float threshold) { return t >= threshold; });
  return static_cast<uint32_t>(above - levels.thresholds);
}

double CodingError(const float* x, size_t count, float scale, UnevenLevels levels) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < count; ++i) {
    const float t = x[i] / scale;
    const float difference = t - levels.levels[IndexOf(t, levels)];
    lanes[i % kLanes] += difference * difference;
  }
  return static_cast<double>(Fold(lanes)) * scale * scale;
}

// Straight from the definition, as ProductCodes in reference.cc.
template <typename Slope, typename Entry>
void UnevenCodesOf(const Slope* slopes, const int32_t* levels, uint32_t positions, int shift,
                   uint32_t codes, Entry* out, size_t out_stride) {
  const int64_t half = int64_t{1} << (shift - 1);
  for (uint32_t code = 0; code < codes; ++code, levels += positions, out += out_stride) {
    int32_t first = 0;
    for (uint32_t p = 0; p < positions && first == 0; ++p) first = levels[p];
    for (uint32_t n = 0; n < kTileNeurons; ++n) {
      int64_t sum = 0;
      for (uint32_t p = 0; p < positions; ++p) {
        sum += static_cast<int64_t>(slopes[p * kTileNeurons + n]) * levels[p];
      }
      out[n] = static_cast<Entry>(first >= 0 ? (sum + half) >> shift : -((-sum + half) >> shift));
    }
  }
}

void RotateBlock(float* x, size_t size, int log2_size) {
  const float factor = std::ldexp(1.0f, -(log2_size / 2));
  for (size_t i = 0; i < size; ++i) {
    x[i] = std::min(std::max(x[i], -kRotatedMax), kRotatedMax) * factor;
  }
  for (size_t h = 1; h < size; h *= 2) {
    for (size_t block = 0; block < size; block += 2 * h) {
      for (size_t i = block; i < block + h; ++i) {
        const float a = x[i];
        const float b = x[i + h];
        x[i] = a + b;
        x[i + h] = a - b;
      }
    }
  }
}

}  // namespace

void ThresholdIndices(const float* x, size_t count, float scale, UnevenLevels levels,
                      uint16_t* index) {
  for (size_t i = 0; i < count; ++i) {
    index[i] = static_cast<uint16_t>(IndexOf(x[i] / scale, levels));
  }
}

float ChooseUnevenScale(const float* x, size_t count, UnevenLevels levels) {
  float high = 0;
  float low = 0;
  for (size_t i = 0; i < count; ++i) {
    high = std::max(high, x[i]);
    low = std::min(low, x[i]);
  }
  const float top = levels.levels[levels.count - 1];
  const float bottom = levels.levels[0];
  float widest = 0;
  if (top > 0) widest = high / top;
  if (bottom < 0) widest = std::max(widest, low / bottom);
  if (widest == 0) return 1.0f;
  const float base = std::max(widest, FLT_MIN);
  const ScaleSearch search = ScaleSearchFor(static_cast<int>(levels.count / 2));
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

void NearestCodewords(const float* x, size_t chunks, uint32_t g, float scale,
                      const float* codewords, uint32_t count, uint16_t* index) {
  for (size_t c = 0; c < chunks; ++c) {
    float best = FLT_MAX;
    uint16_t nearest = 0;
    for (uint32_t w = 0; w < count; ++w) {
      float distance = 0;
      for (uint32_t p = 0; p < g; ++p) {
        const float difference = x[c * g + p] / scale - codewords[size_t{w} * g + p];
        distance += difference * difference;
      }
      if (distance < best) {
        best = distance;
        nearest = static_cast<uint16_t>(w);
      }
    }
    index[c] = nearest;
  }
}

void Rotate(float* x, size_t count, uint32_t block_max) {
  LUTDB_CHECK(block_max >= 1);
  for (size_t begin = 0; begin < count;) {
    size_t size = 1;
    int log2_size = 0;
    while (size * 2 <= std::min<size_t>(block_max, count - begin)) {
      size *= 2;
      ++log2_size;
    }
    RotateBlock(x + begin, size, log2_size);
    begin += size;
  }
}

void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride) {
  UnevenCodesOf(slopes, levels, positions, shift, codes, out, out_stride);
}

void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride) {
  UnevenCodesOf(slopes, levels, positions, shift, codes, out, out_stride);
}

void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride) {
  UnevenCodesOf(slopes, levels, positions, shift, codes, out, out_stride);
}

void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride) {
  UnevenCodesOf(slopes, levels, positions, shift, codes, out, out_stride);
}

}  // namespace lutdb::kernels::reference
