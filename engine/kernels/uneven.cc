// Coding with levels at uneven distances, rotations, and the entries of uneven levels.
#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/approximations.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/uneven.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After highway.h.
#include "engine/kernels/lanes16-inl.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void IndicesOf(const float* x, size_t count, float scale, UnevenLevels levels, uint16_t* index) {
  reference::ThresholdIndices(x, count, scale, levels, index);
}
float ScaleOf(const float* x, size_t count, UnevenLevels levels) {
  return reference::ChooseUnevenScale(x, count, levels);
}
void RotateAll(float* x, size_t count, uint32_t block_max) {
  reference::Rotate(x, count, block_max);
}
template <typename Entry>
void NarrowCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                 uint32_t codes, Entry* out, size_t out_stride) {
  reference::UnevenProductCodes(slopes, levels, positions, shift, codes, out, out_stride);
}

#else

// Beyond so many levels a search of one number after the other compares less.
constexpr uint32_t kComparedMax = 64;

void IndicesOf(const float* x, size_t count, float scale, UnevenLevels levels, uint16_t* index) {
  if (levels.count > kComparedMax) {
    reference::ThresholdIndices(x, count, scale, levels, index);
    return;
  }
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const hn::Rebind<uint16_t, F32> du16;
  const V32 scales = hn::Set(d, scale);
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 t = hn::Div(hn::LoadU(d, x + i), scales);
    auto passed = hn::Zero(di);
    for (uint32_t k = 0; k + 1 < levels.count; ++k) {
      // A mask is -1 where it is set.
      const auto at_least = hn::Ge(t, hn::Set(d, levels.thresholds[k]));
      passed = hn::Sub(passed, hn::BitCast(di, hn::VecFromMask(d, at_least)));
    }
    hn::StoreU(hn::DemoteTo(du16, passed), du16, index + i);
  }
  reference::ThresholdIndices(x + i, count - i, scale, levels, index + i);
}

// Levels are integers below 2^15, so adding their differences up gives them exactly.
HWY_INLINE double ErrorAt(const float* x, size_t count, float scale, UnevenLevels levels) {
  const F32 d;
  const V32 scales = hn::Set(d, scale);
  const float sum = Reduce16(
      count,
      [&](size_t i) HWY_ATTR {
        const V32 t = hn::Div(hn::LoadU(d, x + i), scales);
        V32 level = hn::Set(d, levels.levels[0]);
        for (uint32_t k = 0; k + 1 < levels.count; ++k) {
          const V32 rise = hn::Set(d, levels.levels[k + 1] - levels.levels[k]);
          level =
              hn::Add(level, hn::IfThenElseZero(hn::Ge(t, hn::Set(d, levels.thresholds[k])), rise));
        }
        const V32 difference = hn::Sub(t, level);
        return hn::Mul(difference, difference);
      },
      [&](size_t i) HWY_ATTR {
        const float t = x[i] / scale;
        float level = levels.levels[0];
        for (uint32_t k = 0; k + 1 < levels.count; ++k) {
          if (t >= levels.thresholds[k]) level = levels.levels[k + 1];
        }
        const float difference = t - level;
        return difference * difference;
      });
  return static_cast<double>(sum) * scale * scale;
}

HWY_INLINE float AtLeastNormal(float scale) { return scale < FLT_MIN ? FLT_MIN : scale; }

float ScaleOf(const float* x, size_t count, UnevenLevels levels) {
  if (levels.count > kComparedMax) return reference::ChooseUnevenScale(x, count, levels);
  const F32 d;
  V32 highs = hn::Zero(d);
  V32 lows = hn::Zero(d);
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 v = hn::LoadU(d, x + i);
    highs = hn::Max(highs, v);
    lows = hn::Min(lows, v);
  }
  float high = hn::GetLane(hn::MaxOfLanes(d, highs));
  float low = hn::GetLane(hn::MinOfLanes(d, lows));
  for (; i < count; ++i) {
    high = x[i] > high ? x[i] : high;
    low = x[i] < low ? x[i] : low;
  }
  const float top = levels.levels[levels.count - 1];
  const float bottom = levels.levels[0];
  float widest = 0;
  if (top > 0) widest = high / top;
  if (bottom < 0 && low / bottom > widest) widest = low / bottom;
  if (widest == 0) return 1.0f;
  const float base = AtLeastNormal(widest);
  const ScaleSearch search = ScaleSearchFor(static_cast<int>(levels.count / 2));
  float best = base;
  double best_error = DBL_MAX;
  float factor = 1.0f;
  for (int k = 0; k < search.candidates; ++k, factor *= search.ratio) {
    const float scale = AtLeastNormal(base * factor);
    const double error = ErrorAt(x, count, scale, levels);
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
  }
  return best;
}

// Passes of a distance below a vector's width are few enough for plain code.
HWY_INLINE void AddUp(float* x, size_t size, size_t h) {
  const F32 d;
  for (size_t block = 0; block < size; block += 2 * h) {
    size_t i = block;
    for (; h >= kVectorLanes && i < block + h; i += kVectorLanes) {
      const V32 a = hn::LoadU(d, x + i);
      const V32 b = hn::LoadU(d, x + i + h);
      hn::StoreU(hn::Add(a, b), d, x + i);
      hn::StoreU(hn::Sub(a, b), d, x + i + h);
    }
    for (; i < block + h; ++i) {
      const float a = x[i];
      const float b = x[i + h];
      x[i] = a + b;
      x[i + h] = a - b;
    }
  }
}

void RotateAll(float* x, size_t count, uint32_t block_max) {
  constexpr float kRotatedMax = 1e36f;
  for (size_t begin = 0; begin < count;) {
    size_t size = 1;
    float factor = 1.0f;
    for (int k = 1; size * 2 <= block_max && size * 2 <= count - begin; ++k) {
      size *= 2;
      if (k % 2 == 0) factor *= 0.5f;
    }
    float* block = x + begin;
    for (size_t i = 0; i < size; ++i) {
      const float low = block[i] < -kRotatedMax ? -kRotatedMax : block[i];
      block[i] = (low > kRotatedMax ? kRotatedMax : low) * factor;
    }
    for (size_t h = 1; h < size; h *= 2) AddUp(block, size, h);
    begin += size;
  }
}

// Sums modulo 2^32, as product records keep them: rounding bias first, then level x slope each.
template <typename Entry>
void NarrowCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                 uint32_t codes, Entry* out, size_t out_stride) {
  constexpr size_t kTileNeurons = 64;
  const hn::CappedTag<uint32_t, 16> du;
  const hn::RebindToSigned<decltype(du)> di;
  const hn::Rebind<Entry, decltype(di)> de;
  const size_t lanes = hn::Lanes(du);
  const uint32_t half = 1u << (shift - 1);
  for (uint32_t code = 0; code < codes; ++code, levels += positions, out += out_stride) {
    int32_t first = 0;
    for (uint32_t p = 0; p < positions && first == 0; ++p) first = levels[p];
    const auto bias = hn::Set(du, first < 0 ? half - 1 : half);
    for (size_t n = 0; n < kTileNeurons; n += lanes) {
      auto sum = bias;
      for (uint32_t p = 0; p < positions; ++p) {
        const auto slope = hn::BitCast(du, hn::LoadU(di, slopes + p * kTileNeurons + n));
        sum = hn::Add(sum, hn::Mul(slope, hn::Set(du, static_cast<uint32_t>(levels[p]))));
      }
      const auto entry = hn::ShiftRightSame(hn::BitCast(di, sum), shift);
      hn::StoreU(hn::DemoteTo(de, entry), de, out + n);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

void NarrowCodesI16(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                    uint32_t codes, int16_t* out, size_t out_stride) {
  NarrowCodes(slopes, levels, positions, shift, codes, out, out_stride);
}
void NarrowCodesI8(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                   uint32_t codes, int8_t* out, size_t out_stride) {
  NarrowCodes(slopes, levels, positions, shift, codes, out, out_stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(IndicesOf);
HWY_EXPORT(ScaleOf);
HWY_EXPORT(RotateAll);
HWY_EXPORT(NarrowCodesI16);
HWY_EXPORT(NarrowCodesI8);

void ThresholdIndices(const float* x, size_t count, float scale, UnevenLevels levels,
                      uint16_t* index) {
  HWY_DYNAMIC_DISPATCH(IndicesOf)(x, count, scale, levels, index);
}
float ChooseUnevenScale(const float* x, size_t count, UnevenLevels levels) {
  return HWY_DYNAMIC_DISPATCH(ScaleOf)(x, count, levels);
}
void NearestCodewords(const float* x, size_t chunks, uint32_t g, float scale,
                      const float* codewords, uint32_t count, uint16_t* index) {
  reference::NearestCodewords(x, chunks, g, scale, codewords, count, index);
}
void Rotate(float* x, size_t count, uint32_t block_max) {
  HWY_DYNAMIC_DISPATCH(RotateAll)(x, count, block_max);
}
void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(NarrowCodesI16)(slopes, levels, positions, shift, codes, out, out_stride);
}
void UnevenProductCodes(const int32_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride) {
  HWY_DYNAMIC_DISPATCH(NarrowCodesI8)(slopes, levels, positions, shift, codes, out, out_stride);
}
// Slopes of 64 bits are of tables that mix learned levels with inputs of more than 8 bits: rare
// enough for plain code.
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int16_t* out, size_t out_stride) {
  reference::UnevenProductCodes(slopes, levels, positions, shift, codes, out, out_stride);
}
void UnevenProductCodes(const int64_t* slopes, const int32_t* levels, uint32_t positions, int shift,
                        uint32_t codes, int8_t* out, size_t out_stride) {
  reference::UnevenProductCodes(slopes, levels, positions, shift, codes, out, out_stride);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
