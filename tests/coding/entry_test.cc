#include "coding/entry.h"

#include <cfloat>
#include <cmath>
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/coding/sample_tables.h"

namespace lutdb {
namespace {

float StepOf(const TableSpec& spec, const std::vector<float>& weights) {
  return lutdb::StepOf(TableGeometry::Create(spec).value(), weights);
}

TEST(StepOf, TheLargestEntryFillsItsRange) {
  const TableSpec spec = Spec(3, 1, 1, Grid::kSigned, 8, EntryType::kI16, false);
  EXPECT_EQ(StepOf(spec, {0.5f, -2.0f, 1.0f}), static_cast<float>(2.0 * 127 / 28671));
  EXPECT_EQ(StepOf(spec, {0, 0, 0}), 1.0f);
  EXPECT_EQ(StepOf(spec, {0, 1e-42f, 0}), FLT_MIN);
  TableSpec narrow = spec;
  narrow.entry = EntryType::kI8;
  EXPECT_EQ(StepOf(narrow, {0.5f, -2.0f, 1.0f}), 2.0f);
}

// Unsigned inputs reach only one way: what counts is the larger of the positive and negative sums.
TEST(StepOf, UnsignedInputsOfOneChunkDoNotCancelOrDouble) {
  TableSpec spec = Spec(2, 1, 2, Grid::kUnsigned, 4, EntryType::kI16, false);
  EXPECT_EQ(StepOf(spec, {1.0f, -3.0f}), static_cast<float>(3.0 * 15 / 28671));
  spec.levels.grid = Grid::kSigned;
  EXPECT_EQ(StepOf(spec, {1.0f, -3.0f}), static_cast<float>(4.0 * 7 / 28671));
}

TEST(StepOf, AnInputCountsInTheChunkThatOwnsIt) {
  TableSpec spec = Spec(2, 1, 1, Grid::kSigned, 4, EntryType::kI16, false);
  const GridLevels four = {Grid::kSigned, 4};
  spec.chunks = {{{0}, {four}}, {{1, 0}, {four, four}}};
  EXPECT_EQ(StepOf(spec, {3.0f, 1.0f}), static_cast<float>(3.0 * 7 / 28671));
}

TEST(StepOf, WeightsBeyondEveryStepAreReported) {
  const TableSpec spec = Spec(1, 1, 1, Grid::kSigned, 16, EntryType::kI8, false);
  EXPECT_TRUE(std::isinf(StepOf(spec, {FLT_MAX})));
}

TEST(SlopeOf, RoundsHalfToEven) {
  EXPECT_EQ(SlopeOf(0.5f, 65536.0f, 16), 0);
  EXPECT_EQ(SlopeOf(1.5f, 65536.0f, 16), 2);
  EXPECT_EQ(SlopeOf(2.5f, 65536.0f, 16), 2);
  EXPECT_EQ(SlopeOf(-2.5f, 65536.0f, 16), -2);
  EXPECT_EQ(SlopeOf(1.0f, 0.5f, 32), int64_t{1} << 33);
}

TEST(EntryOf, RoundsHalfUpOnThePositiveSideAndMirrorsTheOther) {
  const int64_t half[] = {1 << 15};
  const int32_t plus[] = {1};
  const int32_t minus[] = {-1};
  const int32_t zero[] = {0};
  EXPECT_EQ(EntryOf(half, plus, 1, 16), 1);
  EXPECT_EQ(EntryOf(half, minus, 1, 16), -1);
  EXPECT_EQ(EntryOf(half, zero, 1, 16), 0);
  const int64_t negative_half[] = {-(1 << 15)};
  EXPECT_EQ(EntryOf(negative_half, plus, 1, 16), 0);
  EXPECT_EQ(EntryOf(negative_half, minus, 1, 16), 0);
  // The first level that is not zero decides, not the sign of the sum.
  const int64_t two[] = {1, -(3 << 15)};
  const int32_t levels[] = {1, 1};
  const int32_t mirrored[] = {-1, -1};
  EXPECT_EQ(EntryOf(two, levels, 2, 16), -1);
  EXPECT_EQ(EntryOf(two, mirrored, 2, 16), 1);
}

TEST(EntryOf, MirroredCodesNegate) {
  for (const SampleTable& table : SampleTables()) {
    for (uint32_t chunk = 0; chunk < table.geometry.chunks(); ++chunk) {
      if (!table.geometry.symmetric(chunk)) continue;
      const uint32_t codes = table.geometry.codes(chunk);
      for (uint32_t code = 0; code < codes; ++code) {
        ASSERT_EQ(table.Entry(chunk, code, 0), -table.Entry(chunk, codes - 1 - code, 0));
      }
    }
  }
}

// Weights chosen to push roundings the same way: all equal, all but equal, tiny beside huge, and
// the two ends of the f32 range. No entry may pass the limit, and the largest must come close to
// it.
TEST(EntryOf, EntriesNeverPassTheLimit) {
  const std::vector<std::vector<float>> patterns = {
      {1, 1, 1, 1},
      {-1, 1, -1, 1},
      {0.1f, 0.1f, 0.1f, 0.1f},
      {1 / 3.0f, -2 / 3.0f, 1 / 7.0f, 1 / 127.0f},
      {FLT_MAX / 70000, -FLT_MAX / 70000, 1, 0},
      {FLT_MIN, FLT_MIN, -FLT_MIN, 1e-45f},
      {1e-45f, 1e-45f, 1e-45f, 1e-45f},
      {1, 5.9604645e-8f, -5.9604645e-8f, 1e-30f},
      {0.99999994f, 1.0000001f, -0.99999994f, 1.0000001f},
  };
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    const int32_t limit = entry == EntryType::kI8 ? 127 : 28672;  // the target, rounded up at most
    for (const Grid grid : {Grid::kSigned, Grid::kUnsigned}) {
      for (uint8_t bits = 1; bits <= 16; ++bits) {
        for (uint32_t chunk = 1; chunk * bits <= 16 && chunk <= 4; ++chunk) {
          for (const std::vector<float>& pattern : patterns) {
            SampleTable table(Spec(4, 1, chunk, grid, bits, entry, false), 1);
            table.weights = pattern;
            table.steps = {lutdb::StepOf(table.geometry, pattern)};
            int32_t largest = 0;
            for (uint32_t c = 0; c < table.geometry.chunks(); ++c) {
              const uint32_t codes = table.geometry.codes(c);
              const uint32_t stride = codes > 512 ? codes / 256 : 1;
              for (uint32_t code = 0; code < codes; code += stride) {
                largest = std::max(largest, std::abs(table.Entry(c, code, 0)));
              }
              largest = std::max(largest, std::abs(table.Entry(c, codes - 1, 0)));
            }
            ASSERT_LE(largest, limit) << static_cast<int>(bits) << " bits, chunk " << chunk;
            if (pattern == patterns[0]) {
              ASSERT_GE(largest, limit - 2);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lutdb
