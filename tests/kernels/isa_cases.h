// What every per-ISA test does: run a comparison once for each instruction set this machine has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "engine/kernels/kernels.h"
#include "gtest/gtest.h"

namespace lutdb::kernels {

inline std::vector<std::string> Isas() {
  std::istringstream list(IsaList());
  std::vector<std::string> names;
  for (std::string name; list >> name;) names.push_back(name);
  return names;
}

// One test per instruction set; the one in use before is put back afterwards.
class PerIsa : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = IsaName();
    ASSERT_TRUE(ForceIsa(GetParam().c_str()));
    ASSERT_EQ(GetParam(), IsaName());
  }
  void TearDown() override { ASSERT_TRUE(ForceIsa(before_.c_str())); }

 private:
  std::string before_;
};

#define LUTDB_FOR_EACH_ISA(suite)            \
  INSTANTIATE_TEST_SUITE_P(                  \
      Isa, suite, testing::ValuesIn(Isas()), \
      [](const testing::TestParamInfo<std::string>& isa) { return isa.param; })

// count values plus a guard zone that must keep its pattern, at an odd offset from alignment.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t count) : values_(count + 2 * kGuard), count_(count) {
    std::memset(values_.data(), 0x5a, values_.size() * sizeof(T));
    std::fill_n(data(), count, T{});
  }
  T* data() { return values_.data() + kGuard; }
  void ExpectIntact() const {
    std::vector<T> pattern(kGuard);
    std::memset(pattern.data(), 0x5a, kGuard * sizeof(T));
    EXPECT_EQ(std::memcmp(values_.data(), pattern.data(), kGuard * sizeof(T)), 0);
    EXPECT_EQ(std::memcmp(values_.data() + kGuard + count_, pattern.data(), kGuard * sizeof(T)), 0);
  }

 private:
  static constexpr size_t kGuard = 67;
  std::vector<T> values_;
  size_t count_;
};

inline std::vector<float> Normals(size_t count, uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// Bits, not values: -0 differs from 0 and NaN equals itself.
template <typename T>
testing::AssertionResult SameBits(const T* a, const T* b, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (std::memcmp(a + i, b + i, sizeof(T)) != 0) {
      return testing::AssertionFailure()
             << "element " << i << " of " << count << ": " << +a[i] << " and " << +b[i];
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace lutdb::kernels
