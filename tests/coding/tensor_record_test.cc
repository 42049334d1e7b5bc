#include "coding/tensor_record.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "coding/record.h"
#include "gtest/gtest.h"

namespace lutdb {
namespace {

TensorSpec SpecOf(DType dtype, uint64_t rows, uint64_t cols) {
  TensorSpec spec;
  spec.id = 12;
  spec.name = "w";
  spec.dtype = dtype;
  spec.rows = rows;
  spec.cols = cols;
  spec.rows_per_record = RowsPerRecord(dtype, cols);
  return spec;
}

std::string WeightBytes(DType dtype, uint64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::string bytes;
  for (uint64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(normal(random));
    if (dtype == DType::kF32) {
      bytes.append(reinterpret_cast<const char*>(&bits), 4);
    } else {
      bytes.append(reinterpret_cast<const char*>(&bits) + 2, 2);
    }
  }
  return bytes;
}

TEST(TensorRecord, RowsPerRecord) {
  EXPECT_EQ(RowsPerRecord(DType::kBF16, 3072), 10u);
  EXPECT_EQ(RowsPerRecord(DType::kF32, 1), 16384u);
  EXPECT_EQ(RowsPerRecord(DType::kF32, 1000000), 1u);
}

TEST(TensorRecord, RoundTripOfEveryTypeAndTheLastBlock) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TensorSpec spec = SpecOf(dtype, 45, 777);
    const uint32_t per_record = spec.rows_per_record;
    const auto row_bytes = 777 * static_cast<uint64_t>(DTypeBytes(dtype));
    const std::string bytes = WeightBytes(dtype, 45 * 777, 3);
    for (uint32_t block = 0; block * per_record < 45; ++block) {
      const uint32_t rows = std::min(per_record, 45 - block * per_record);
      const std::string expected = bytes.substr(block * per_record * row_bytes, rows * row_bytes);
      std::string record, found;
      EncodeTensorRows(spec, block, reinterpret_cast<const uint8_t*>(expected.data()), rows,
                       &record);
      EXPECT_LT(record.size(), expected.size());
      ASSERT_TRUE(DecodeTensorRows(spec, block, record, &found).ok());
      EXPECT_EQ(found, expected);
    }
    std::string found;
    EXPECT_EQ(DecodeTensorRows(spec, 1000000, "", &found).code(), absl::StatusCode::kOutOfRange);
  }
}

TEST(TensorRecord, DamageIsNoticed) {
  const TensorSpec spec = SpecOf(DType::kBF16, 8, 50);
  const std::string bytes = WeightBytes(DType::kBF16, 400, 4);
  std::string record, found;
  EncodeTensorRows(spec, 0, reinterpret_cast<const uint8_t*>(bytes.data()), 8, &record);
  TensorSpec other = spec;
  other.id = 13;
  EXPECT_FALSE(DecodeTensorRows(other, 0, record, &found).ok());
  for (size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(DecodeTensorRows(spec, 0, record.substr(0, size), &found).ok());
  }
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = record;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    if (DecodeTensorRows(spec, 0, damaged, &found).ok()) {
      EXPECT_EQ(found, bytes);
    }
  }
}

TEST(ToFloat, EveryF16AndBF16Exactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const uint32_t exponent = bits >> 10 & 31;
    const uint32_t mantissa = bits & 1023;
    float found = 0;
    ToFloat(DType::kF16, &half, 1, &found);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(found), mantissa != 0);
      EXPECT_EQ(std::isinf(found), mantissa == 0);
    } else {
      const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                            : std::ldexp(static_cast<float>(mantissa + 1024),
                                                         static_cast<int>(exponent) - 25);
      EXPECT_EQ(std::fabs(found), magnitude);
    }
    EXPECT_EQ(std::signbit(found), bits >> 15 != 0);
    ToFloat(DType::kBF16, &half, 1, &found);
    EXPECT_EQ(std::bit_cast<uint32_t>(found), bits << 16);
  }
  const char unaligned[] = "x\x00\x00\x80\x3f";
  float one = 0;
  ToFloat(DType::kF32, unaligned + 1, 1, &one);
  EXPECT_EQ(one, 1.0f);
}

}  // namespace
}  // namespace lutdb
