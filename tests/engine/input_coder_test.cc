#include "engine/input_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/integer_steps.h"

namespace lutdb {
namespace {

TableSpec Uniform(uint32_t inputs, uint32_t chunk, GridLevels levels) {
  TableSpec spec;
  spec.name = "t";
  spec.inputs = inputs;
  spec.neurons = 1;
  spec.chunk = chunk;
  spec.levels = levels;
  return spec;
}

std::vector<float> RandomVector(uint32_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> x(count);
  for (float& value : x) {
    value = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31f;
  }
  return x;
}

// Codes to levels and back to numbers, with the geometry's own numbering.
std::vector<float> Decoded(const TableGeometry& geometry, const std::vector<uint16_t>& codes,
                           float scale, const std::vector<float>& input_scales) {
  std::vector<float> x(geometry.inputs(), NAN);
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    EXPECT_LT(codes[chunk], geometry.codes(chunk));
    std::vector<int32_t> levels(geometry.positions(chunk).size());
    geometry.LevelsOf(chunk, codes[chunk], levels.data());
    for (uint32_t p = 0; p < levels.size(); ++p) {
      const uint32_t input = geometry.InputAt(chunk, p);
      if (input == kPadding) {
        EXPECT_EQ(levels[p], geometry.positions(chunk)[p].range.stride == 2 ? 1 : 0);
        continue;
      }
      const float r = input_scales.empty() ? 1 : input_scales[input];
      x[input] = scale * r * static_cast<float>(levels[p]);
    }
  }
  return x;
}

TEST(InputCoder, CodesDecodeToTheInput) {
  for (const Grid grid : {Grid::kSigned, Grid::kUnsigned}) {
    for (const auto& [bits, chunk] : {std::pair{8, 1}, {8, 2}, {5, 3}, {16, 1}, {1, 3}, {4, 4}}) {
      const TableSpec spec = Uniform(37, static_cast<uint32_t>(chunk),
                                     {.grid = grid, .bits = static_cast<uint8_t>(bits)});
      const auto geometry = TableGeometry::Create(spec);
      ASSERT_TRUE(geometry.ok()) << geometry.status();
      InputCoder coder(spec, *geometry, {});
      std::vector<float> x = RandomVector(37, 1);
      if (grid == Grid::kUnsigned) {
        for (float& value : x) value = std::fabs(value);
      }
      std::vector<uint16_t> codes(coder.chunks());
      const float scale = coder.Encode(x.data(), codes.data());
      const std::vector<float> back = Decoded(*geometry, codes, scale, {});
      const LevelRange range = RangeOf(spec.levels);
      const float largest = scale * static_cast<float>(range.max);
      const bool sign_only = range.stride == 2;
      for (size_t i = 0; i < x.size(); ++i) {
        if (sign_only) {
          EXPECT_EQ(back[i] > 0, x[i] >= 0);
        } else if (std::fabs(x[i]) < largest) {
          EXPECT_LE(std::fabs(back[i] - x[i]), 0.5001f * scale) << bits << " bits, input " << i;
        }
      }
    }
  }
}

TEST(InputCoder, ListsWithMixedBitsAndScales) {
  TableSpec spec = Uniform(5, 1, {});
  spec.chunks = {{.inputs = {4, 0}, .levels = {{Grid::kSigned, 8}, {Grid::kSigned, 4}}},
                 {.inputs = {2, 0, 1},
                  .levels = {{Grid::kUnsigned, 6}, {Grid::kSigned, 4}, {Grid::kSigned, 3}}},
                 {.inputs = {3}, .levels = {{Grid::kSigned, 8}}}};
  const auto geometry = TableGeometry::Create(spec);
  ASSERT_TRUE(geometry.ok()) << geometry.status();
  const std::vector<float> scales{127 / 7.0f, 127 / 3.0f, 127 / 63.0f, 1, 1};
  InputCoder coder(spec, *geometry, scales);
  const std::vector<float> x{0.5f, -0.25f, 0.75f, -1.0f, 0.125f};
  std::vector<uint16_t> codes(coder.chunks());
  const float scale = coder.Encode(x.data(), codes.data());
  const std::vector<float> back = Decoded(*geometry, codes, scale, scales);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LE(std::fabs(back[i] - x[i]), 0.5001f * scale * scales[i] + 0.1f) << i;
  }
}

TEST(InputCoder, ZeroVectorAndFixedScale) {
  TableSpec spec = Uniform(9, 2, {});
  spec.fixed_scale = 0.25f;
  const auto geometry = TableGeometry::Create(spec);
  InputCoder coder(spec, *geometry, {});
  std::vector<uint16_t> codes(coder.chunks());
  std::vector<float> x(9, 0.0f);
  EXPECT_EQ(coder.Encode(x.data(), codes.data()), 0.25f);
  for (uint32_t chunk = 0; chunk < coder.chunks(); ++chunk) {
    EXPECT_EQ(codes[chunk], geometry->ZeroCode(chunk));
  }
  EXPECT_TRUE(coder.Serves(spec, {}));
  spec.fixed_scale = 0.5f;
  EXPECT_FALSE(coder.Serves(spec, {}));
}

TEST(InputCoder, PixelsLookedUpAreThePixelsCoded) {
  for (const uint32_t chunk : {1u, 2u, 3u}) {
    TableSpec spec = Uniform(31, chunk, {.grid = Grid::kUnsigned, .bits = 5});
    spec.fixed_scale = 1.0f / 31;
    const auto geometry = TableGeometry::Create(spec);
    InputCoder coder(spec, *geometry, {});
    const PixelCodes pixel_codes(*geometry, coder);
    std::mt19937 random(3);
    std::vector<uint8_t> pixels(31);
    std::vector<float> x(31);
    for (size_t i = 0; i < x.size(); ++i) {
      pixels[i] = static_cast<uint8_t>(random());
      x[i] = static_cast<float>(pixels[i]) / 255.0f;
    }
    std::vector<uint16_t> coded(coder.chunks()), looked_up(coder.chunks());
    coder.Encode(x.data(), coded.data());
    pixel_codes.Encode(pixels.data(), looked_up.data());
    EXPECT_EQ(coded, looked_up);
  }
}

TEST(IntegerSteps, ThresholdsRiseAndFall) {
  Thresholds thresholds;
  thresholds.base = {10, 0};
  thresholds.at = {-5, 0, 7, 3};
  thresholds.code = {0, 1, 2, 1, 0, 4};
  thresholds.lanes = {{.neuron = 1, .chunk = 0, .first = 0, .count = 3, .code = 0},
                      {.neuron = 0, .chunk = 1, .first = 3, .count = 1, .code = 4}};
  const auto codes_of = [&](int32_t first, int32_t second) {
    const int32_t sums[2] = {first, second};
    std::vector<uint16_t> codes(2);
    ThresholdCodes(thresholds, sums, codes.data());
    return codes;
  };
  EXPECT_EQ(codes_of(2, -6), (std::vector<uint16_t>{10, 0}));
  EXPECT_EQ(codes_of(3, -5), (std::vector<uint16_t>{11, 4}));  // a threshold met is passed
  EXPECT_EQ(codes_of(2, 6), (std::vector<uint16_t>{12, 0}));
  EXPECT_EQ(codes_of(2, 7), (std::vector<uint16_t>{11, 0}));
}

TEST(IntegerSteps, BiasStaysWithinInt32) {
  std::vector<int32_t> sums{2147483600, -2147483600, 5};
  AddIntegerBias(std::vector<int32_t>{1000, -1000, -7}, sums.data());
  EXPECT_EQ(sums, (std::vector<int32_t>{2147483647, -2147483647 - 1, -2}));
  EXPECT_EQ(IndexOfLargest(sums.data(), 3), 0u);
  const int32_t equal[] = {1, 4, 4};
  EXPECT_EQ(IndexOfLargest(equal, 3), 1u);
}

}  // namespace
}  // namespace lutdb
