// Input coding: the scale that loses least, and levels as indices.
#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/approximations.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/encode.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After highway.h.
#include "engine/kernels/lanes16-inl.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

float ScaleChoice(const float* x, size_t count, Levels levels) {
  return reference::ChooseScale(x, count, levels);
}
void Indices(const float* x, size_t count, float scale, Levels levels, uint16_t* index) {
  reference::LevelIndices(x, count, scale, levels, index);
}

#else

HWY_INLINE float LargestCovered(const float* x, size_t count, Levels levels) {
  const F32 d;
  V32 magnitudes = hn::Zero(d);
  V32 positives = hn::Zero(d);
  size_t i = 0;
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 v = hn::LoadU(d, x + i);
    magnitudes = hn::Max(magnitudes, hn::Abs(v));
    positives = hn::Max(positives, v);
  }
  float magnitude = hn::GetLane(hn::MaxOfLanes(d, magnitudes));
  float positive = hn::GetLane(hn::MaxOfLanes(d, positives));
  for (; i < count; ++i) {
    const float absolute = x[i] < 0 ? -x[i] : x[i];
    magnitude = absolute > magnitude ? absolute : magnitude;
    positive = x[i] > positive ? x[i] : positive;
  }
  return levels.min < 0 || positive == 0 ? magnitude : positive;
}

HWY_INLINE V32 NearestLevelV(V32 t, V32 min, V32 max) {
  const V32 shift = hn::Set(F32(), kRoundShift);
  t = hn::Max(hn::Min(t, max), min);
  return hn::Sub(hn::Add(t, shift), shift);
}

HWY_INLINE float NearestLevel(float t, float min, float max) {
  t = t < max ? t : max;
  t = t > min ? t : min;
  return (t + kRoundShift) - kRoundShift;
}

HWY_INLINE double CodingError(const float* x, size_t count, float scale, float min, float max) {
  const F32 d;
  const V32 scales = hn::Set(d, scale);
  const V32 mins = hn::Set(d, min);
  const V32 maxes = hn::Set(d, max);
  const float sum = Reduce16(
      count,
      [&](size_t i) HWY_ATTR {
        const V32 t = hn::Div(hn::LoadU(d, x + i), scales);
        const V32 difference = hn::Sub(t, NearestLevelV(t, mins, maxes));
        return hn::Mul(difference, difference);
      },
      [&](size_t i) HWY_ATTR {
        const float t = x[i] / scale;
        const float difference = t - NearestLevel(t, min, max);
        return difference * difference;
      });
  return static_cast<double>(sum) * scale * scale;
}

HWY_INLINE float AtLeastNormal(float scale) { return scale < FLT_MIN ? FLT_MIN : scale; }

float ScaleChoice(const float* x, size_t count, Levels levels) {
  const float largest = LargestCovered(x, count, levels);
  if (largest == 0) return 1.0f;
  if (levels.stride == 2) {
    const F32 d;
    const float sum = Reduce16(
        count, [&](size_t i) HWY_ATTR { return hn::Abs(hn::LoadU(d, x + i)); },
        [&](size_t i) HWY_ATTR { return x[i] < 0 ? -x[i] : x[i]; });
    return AtLeastNormal(sum / static_cast<float>(count));
  }
  const ScaleSearch search = ScaleSearchFor(levels.max);
  const auto min = static_cast<float>(levels.min);
  const auto max = static_cast<float>(levels.max);
  const float base = AtLeastNormal(largest / max);
  if (search.candidates == 1) return base;
  float best = base;
  double best_error = DBL_MAX;
  float factor = 1.0f;
  for (int k = 0; k < search.candidates; ++k, factor *= search.ratio) {
    const float scale = AtLeastNormal(base * factor);
    const double error = CodingError(x, count, scale, min, max);
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
  }
  return best;
}

void Indices(const float* x, size_t count, float scale, Levels levels, uint16_t* index) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const hn::Rebind<uint16_t, F32> du16;
  const V32 scales = hn::Set(d, scale);
  const V32 mins = hn::Set(d, static_cast<float>(levels.min));
  const V32 maxes = hn::Set(d, static_cast<float>(levels.max));
  const auto first = hn::Set(di, levels.min);
  size_t i = 0;
  if (levels.stride == 2) {
    for (; i < count; ++i) index[i] = x[i] >= 0 ? 1 : 0;
    return;
  }
  for (; i + kVectorLanes <= count; i += kVectorLanes) {
    const V32 level = NearestLevelV(hn::Div(hn::LoadU(d, x + i), scales), mins, maxes);
    const auto number = hn::Sub(hn::ConvertTo(di, level), first);
    hn::StoreU(hn::DemoteTo(du16, number), du16, index + i);
  }
  reference::LevelIndices(x + i, count - i, scale, levels, index + i);
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(ScaleChoice);
HWY_EXPORT(Indices);

float ChooseScale(const float* x, size_t count, Levels levels) {
  return HWY_DYNAMIC_DISPATCH(ScaleChoice)(x, count, levels);
}
void LevelIndices(const float* x, size_t count, float scale, Levels levels, uint16_t* index) {
  HWY_DYNAMIC_DISPATCH(Indices)(x, count, scale, levels, index);
}
// Mixed grids and code numbers are integer work on a few inputs: plain code serves every target.
void MixedLevelIndices(const float* x, size_t count, float scale, const Levels* levels,
                       uint16_t* index) {
  reference::MixedLevelIndices(x, count, scale, levels, index);
}
void CombineIndices(const uint16_t* index, size_t chunks, uint32_t g, uint32_t level_count,
                    uint16_t* codes) {
  reference::CombineIndices(index, chunks, g, level_count, codes);
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
