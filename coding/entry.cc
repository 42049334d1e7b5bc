#include "coding/entry.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdlib>

#include "base/check.h"

namespace lutdb {
namespace {

// Seven eighths of the i16 range, rounded down: the rest is left free for edits.
constexpr double kI16Target = 28671.0;
constexpr double kI8Target = 127.0;

// The largest positive and the largest negative sum that one chunk of one neuron can take, in
// multiples of the weight: a signed input can add |w| * max either way, an unsigned one only one
// way.
struct Reach {
  double up = 0;
  double down = 0;

  void Add(double weight, const LevelRange& range) {
    const double to_max = weight * range.max;
    const double to_min = weight * range.min;
    up += std::max(to_max, to_min);
    down += std::max(-to_max, -to_min);
  }
  double largest() const { return std::max(up, down); }
};

// Half to even for |x| < 2^51: adding 1.5 * 2^52 leaves no fraction bits, so the addition rounds.
double RoundHalfEven(double x) {
  constexpr double kShift = 6755399441055744.0;
  return (x + kShift) - kShift;
}

// The largest entry of a neuron in units of its weights.
double LargestSum(const TableGeometry& geometry, absl::Span<const float> weights) {
  const absl::Span<const Position> first = geometry.positions(0);
  if (geometry.uniform() && first.size() == 1 && geometry.even_steps()) {
    float magnitude = 0;
    for (const float weight : weights) magnitude = std::max(magnitude, std::fabs(weight));
    return static_cast<double>(magnitude) * first[0].range.max;
  }
  double largest = 0;
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    const absl::Span<const Position> positions = geometry.positions(chunk);
    Reach reach;
    for (uint32_t p = 0; p < positions.size(); ++p) {
      const uint32_t input = geometry.InputAt(chunk, p);
      if (input == kPadding || !positions[p].owns) continue;
      reach.Add(weights[input], positions[p].range);
    }
    largest = std::max(largest, reach.largest());
  }
  return largest;
}

}  // namespace

float StepOf(const TableGeometry& geometry, absl::Span<const float> weights) {
  LUTDB_CHECK(weights.size() == geometry.inputs());
  const double largest = LargestSum(geometry, weights);
  if (largest == 0) return 1.0f;
  const double target = geometry.entry() == EntryType::kI8 ? kI8Target : kI16Target;
  const double step = largest / target;
  if (step > FLT_MAX) return HUGE_VALF;
  return std::max(static_cast<float>(step), FLT_MIN);
}

int64_t SlopeOf(float weight, float step, int slope_shift) {
  const double scaled =
      static_cast<double>(weight) * static_cast<double>(int64_t{1} << slope_shift);
  return static_cast<int64_t>(RoundHalfEven(scaled / static_cast<double>(step)));
}

int32_t EntryOf(const int64_t* slopes, const int32_t* levels, uint32_t count, int slope_shift) {
  int64_t sum = 0;
  int32_t first = 0;  // first non-zero level
  for (uint32_t i = 0; i < count; ++i) {
    sum += slopes[i] * levels[i];
    if (first == 0) first = levels[i];
  }
  const int64_t half = int64_t{1} << (slope_shift - 1);
  if (first == 0) return 0;
  if (first > 0) return static_cast<int32_t>((sum + half) >> slope_shift);
  return -static_cast<int32_t>((-sum + half) >> slope_shift);
}

}  // namespace lutdb
