#include "schemas/thresholds.h"

#include <gmock/gmock.h>

#include <functional>
#include <random>

#include "base/status.h"

namespace lutdb {
namespace {

// Two chunks of the next table: one of two lanes, one of one.
Thresholds Sample() {
  Thresholds sample;
  sample.base = {0, 2};
  sample.lanes = {{.neuron = 1, .chunk = 0, .first = 0, .count = 2, .code = 0},
                  {.neuron = 0, .chunk = 0, .first = 2, .count = 1, .code = 3},
                  {.neuron = 2, .chunk = 1, .first = 3, .count = 1, .code = 5}};
  sample.at = {-5, 7, 0, 100};
  sample.code = {0, 3, 6, 0, 2, 1, 0};
  return sample;
}
const std::vector<uint32_t> kCodes = {9, 4};
constexpr uint32_t kNeurons = 3;

TEST(Thresholds, RoundTrip) {
  const auto parsed = ParseThresholds(SerializeThresholds(Sample()), kNeurons, kCodes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Sample());
  Thresholds bias;
  bias.bias = {5, -7, 1 << 30};
  const auto parsed_bias = ParseThresholds(SerializeThresholds(bias), kNeurons, {});
  ASSERT_TRUE(parsed_bias.ok()) << parsed_bias.status();
  EXPECT_EQ(*parsed_bias, bias);
}

TEST(Thresholds, NoCodeCanReachBeyondItsTable) {
  const std::function<void(Thresholds&)> wrongs[] = {
      [](Thresholds& t) { t.base[0] = 9; },
      [](Thresholds& t) { t.code[2] = 7; },  // 7 + 2 = 9 of 9 codes
      [](Thresholds& t) { t.base.pop_back(); },
      [](Thresholds& t) { t.lanes[0].neuron = 3; },
      [](Thresholds& t) { t.lanes[2].chunk = 2; },
      [](Thresholds& t) { t.lanes[1].count = ~0u; },
      [](Thresholds& t) { std::swap(t.lanes[0].chunk, t.lanes[2].chunk); },
      [](Thresholds& t) { t.at[1] = -5; },
  };
  for (size_t i = 0; i < std::size(wrongs); ++i) {
    Thresholds changed = Sample();
    wrongs[i](changed);
    EXPECT_EQ(ParseThresholds(SerializeThresholds(changed), kNeurons, kCodes).status().code(),
              absl::StatusCode::kDataLoss)
        << "change " << i;
  }
}

TEST(Thresholds, MalformedBytesNeverCrash) {
  const std::string bytes = SerializeThresholds(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseThresholds(std::string(bytes, 0, size), kNeurons, kCodes).ok()) << size;
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 50000; ++i) {
    std::string changed = bytes;
    changed[random() % changed.size()] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
    const auto parsed = ParseThresholds(changed, kNeurons, kCodes);
    if (!parsed.ok()) continue;
    // Whatever passes can be evaluated: look every code up for extreme sums.
    for (const int32_t sum : {INT32_MIN, 0, INT32_MAX}) {
      std::vector<uint32_t> codes(parsed->base.begin(), parsed->base.end());
      for (const ThresholdLane& lane : parsed->lanes) {
        uint32_t passed = 0;
        for (uint32_t k = 0; k < lane.count; ++k) passed += parsed->at.at(lane.first + k) <= sum;
        codes.at(lane.chunk) += parsed->code.at(lane.code + passed);
      }
      for (size_t c = 0; c < codes.size(); ++c) ASSERT_LT(codes[c], kCodes[c]);
    }
  }
}

}  // namespace
}  // namespace lutdb
