// Learned levels, codebooks and rotations on every instruction set, against the oracle.
#include <cfloat>
#include <cmath>

#include "engine/kernels/reference.h"
#include "tests/kernels/isa_cases.h"

namespace lutdb::kernels {
namespace {

class Uneven : public PerIsa {};
LUTDB_FOR_EACH_ISA(Uneven);

struct Set {
  std::vector<float> levels, thresholds;

  // Ascending integers with gaps of any size, thresholds anywhere between them.
  Set(uint32_t count, uint32_t seed) {
    std::mt19937 random(seed);
    float level = -static_cast<float>(count) * 60;
    for (uint32_t i = 0; i < count; ++i) {
      level += static_cast<float>(1 + random() % 120);
      levels.push_back(level);
    }
    for (uint32_t i = 1; i < count; ++i) {
      const float share = static_cast<float>(random() % 1000) / 1000.0f;
      thresholds.push_back(levels[i - 1] + share * (levels[i] - levels[i - 1]));
    }
  }
  UnevenLevels view() const {
    return {levels.data(), thresholds.data(), static_cast<uint32_t>(levels.size())};
  }
};

TEST_P(Uneven, IndicesAndScales) {
  for (const uint32_t levels : {2u, 3u, 16u, 63u, 64u, 65u, 256u}) {
    const Set set(levels, levels);
    for (size_t count = 0; count <= 70; ++count) {
      for (const float spread : {1.0f, 300.0f, 1e-42f, 1e30f}) {
        const std::vector<float> x = Normals(count, static_cast<uint32_t>(count), spread);
        const float scale = ChooseUnevenScale(x.data(), count, set.view());
        const float expected = reference::ChooseUnevenScale(x.data(), count, set.view());
        ASSERT_TRUE(SameBits(&scale, &expected, 1)) << levels << " levels, count " << count;
        ASSERT_GT(scale, 0);
        for (const float by : {scale, 1.0f}) {
          Guarded<uint16_t> found(count);
          std::vector<uint16_t> index(count);
          ThresholdIndices(x.data(), count, by, set.view(), found.data());
          reference::ThresholdIndices(x.data(), count, by, set.view(), index.data());
          ASSERT_TRUE(SameBits(found.data(), index.data(), count)) << levels << " levels";
          found.ExpectIntact();
          for (const uint16_t number : index) ASSERT_LT(number, levels);
        }
      }
    }
  }
}

TEST_P(Uneven, AThresholdBelongsToTheLevelAbove) {
  const float levels[] = {-7, 0, 20};
  const float thresholds[] = {-3, 4};
  const std::vector<float> x = {
      -3.0f,     std::nextafter(-3.0f, -9.0f), 4.0f, 3.9999f, -0.0f, FLT_MAX, -FLT_MAX, HUGE_VALF,
      -HUGE_VALF};
  std::vector<uint16_t> index(x.size());
  ThresholdIndices(x.data(), x.size(), 1.0f, {levels, thresholds, 3}, index.data());
  EXPECT_EQ(index, (std::vector<uint16_t>{1, 0, 2, 1, 1, 2, 0, 2, 0}));
}

TEST_P(Uneven, ScaleOfLevelsOfOneSign) {
  const float levels[] = {1, 5};
  const float thresholds[] = {3};
  const std::vector<float> negative = {-1, -2, -3};
  EXPECT_EQ(ChooseUnevenScale(negative.data(), 3, {levels, thresholds, 2}), 1.0f);
  const std::vector<float> zero(40, 0.0f);
  EXPECT_EQ(ChooseUnevenScale(zero.data(), zero.size(), {levels, thresholds, 2}), 1.0f);
}

TEST_P(Uneven, Rotations) {
  for (const uint32_t block : {1u, 2u, 8u, 64u, 1024u}) {
    for (size_t count = 0; count <= 200; ++count) {
      const std::vector<float> x = Normals(count, 3, 1.0f);
      Guarded<float> found(count);
      std::copy(x.begin(), x.end(), found.data());
      std::vector<float> expected = x;
      Rotate(found.data(), count, block);
      reference::Rotate(expected.data(), count, block);
      ASSERT_TRUE(SameBits(found.data(), expected.data(), count)) << block << ", " << count;
      found.ExpectIntact();
    }
  }
}

TEST_P(Uneven, RotatedLargeNumbersStayFinite) {
  std::vector<float> x(1024, FLT_MAX);
  for (size_t i = 0; i < x.size(); i += 3) x[i] = -FLT_MAX;
  std::vector<float> expected = x;
  Rotate(x.data(), x.size(), 1024);
  reference::Rotate(expected.data(), expected.size(), 1024);
  EXPECT_TRUE(SameBits(x.data(), expected.data(), x.size()));
  for (const float value : x) EXPECT_TRUE(std::isfinite(value));
}

// Twice rotated a block is itself, times 2 where its size is an odd power of two.
TEST_P(Uneven, ARotationIsItsOwnInverse) {
  std::vector<float> x(64 + 8 + 2);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50);
  std::vector<float> y = x;
  Rotate(y.data(), y.size(), 64);
  Rotate(y.data(), y.size(), 64);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], i < 64 ? x[i] : 2 * x[i]) << i;
}

template <typename Slope, typename Entry>
void CompareCodes(uint32_t positions, int shift) {
  std::mt19937 random(positions);
  std::vector<Slope> slopes(positions * 64);
  // Sums of an entry's size: |slope| * |level| * positions <= limit * 2^shift.
  const double limit = sizeof(Entry) == 1 ? 127 : 32767;
  const double slope_max = limit * std::ldexp(1.0, shift) / 32767 / positions - 1;
  for (Slope& slope : slopes) {
    slope = static_cast<Slope>((static_cast<double>(random() % 20001) / 10000 - 1) * slope_max);
  }
  constexpr uint32_t kCodes = 37;
  std::vector<int32_t> levels(kCodes * positions);
  for (int32_t& level : levels) {
    level = random() % 4 == 0 ? 0 : static_cast<int32_t>(random() % 65535) - 32767;
  }
  std::fill_n(levels.begin(), positions, 0);
  Guarded<Entry> found(kCodes * 64);
  std::vector<Entry> expected(kCodes * 64);
  UnevenProductCodes(slopes.data(), levels.data(), positions, shift, kCodes, found.data(), 64);
  reference::UnevenProductCodes(slopes.data(), levels.data(), positions, shift, kCodes,
                                expected.data(), 64);
  ASSERT_TRUE(SameBits(found.data(), expected.data(), expected.size())) << positions;
  found.ExpectIntact();
}

TEST_P(Uneven, ProductCodes) {
  for (uint32_t positions = 1; positions <= 16; ++positions) {
    CompareCodes<int32_t, int16_t>(positions, 16);
    CompareCodes<int32_t, int8_t>(positions, 24);
    CompareCodes<int64_t, int16_t>(positions, 32);
    CompareCodes<int64_t, int8_t>(positions, 32);
  }
}

TEST_P(Uneven, TheLowestOfEquallyNearCodewords) {
  const float words[] = {1, 1, -1, -1, 1, 1};
  const float x[] = {0, 0, -2, -2, 1e30f, 1e30f};
  uint16_t index[3];
  NearestCodewords(x, 3, 2, 1.0f, words, 3, index);
  EXPECT_EQ(index[0], 0);
  EXPECT_EQ(index[1], 1);
  EXPECT_EQ(index[2], 0);
}

}  // namespace
}  // namespace lutdb::kernels
