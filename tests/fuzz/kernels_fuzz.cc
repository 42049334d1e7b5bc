// Every instruction set of this machine against the scalar definition, bit by bit, on shapes and
// numbers that nobody thought of.

#include <cmath>
#include <cstring>
#include <sstream>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/check.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/reference.h"
#include "tests/fuzz/fuzz_target.h"

namespace lutdb::kernels {
namespace {

const std::vector<std::string>& Isas() {
  static const std::vector<std::string> isas = [] {
    std::istringstream list(IsaList());
    std::vector<std::string> names;
    for (std::string name; list >> name;) names.push_back(name);
    return names;
  }();
  return isas;
}

// Numbers from the input, and zeros when it is used up.
class Numbers {
 public:
  Numbers(const uint8_t* bytes, size_t count) : bytes_(bytes), left_(count) {}
  template <typename T>
  T Next() {
    T value{};
    const size_t count = std::min(left_, sizeof(T));
    std::memcpy(&value, bytes_, count);
    bytes_ += count;
    left_ -= count;
    return value;
  }
  template <typename T>
  std::vector<T> List(size_t count) {
    std::vector<T> values(count);
    for (T& value : values) value = Next<T>();
    return values;
  }
  // Finite, as everything is that reaches a kernel.
  std::vector<float> Floats(size_t count) {
    std::vector<float> values(count);
    for (float& value : values) {
      value = Next<float>();
      if (!std::isfinite(value) || std::fabs(value) > 1e15f) value = 0.5f;
    }
    return values;
  }
  size_t Count(size_t max) { return Next<uint8_t>() % (max + 1); }

 private:
  const uint8_t* bytes_;
  size_t left_;
};

// Runs a kernel on every instruction set; run(out) fills `count` values.
template <typename T, typename Wanted, typename Run>
void Compare(size_t count, const Wanted& wanted, const Run& run) {
  const AlignedArray<T> right = MakeAligned<T>(count), got = MakeAligned<T>(count);
  std::memset(right.get(), 0, count * sizeof(T));
  wanted(right.get());
  for (const std::string& isa : Isas()) {
    LUTDB_CHECK(ForceIsa(isa.c_str()));
    std::memset(got.get(), 0, count * sizeof(T));
    run(got.get());
    LUTDB_CHECK(count == 0 || std::memcmp(got.get(), right.get(), count * sizeof(T)) == 0);
  }
}

template <typename Entry>
void TryAddRows(Numbers numbers) {
  const size_t neurons = 1 + numbers.Count(200), rows = numbers.Count(20);
  const bool with_signs = numbers.Next<uint8_t>() % 2 == 0;
  // Rows are readable to the next multiple of 64 bytes.
  const size_t stride = (neurons * sizeof(Entry) + 63) / 64 * 64 / sizeof(Entry);
  std::vector<Entry> data(stride * (rows + 1) + 64);
  auto* base = reinterpret_cast<Entry*>((reinterpret_cast<uintptr_t>(data.data()) + 63) / 64 * 64);
  std::vector<const Entry*> pointers;
  std::vector<int8_t> signs;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t n = 0; n < neurons; ++n) base[r * stride + n] = numbers.Next<Entry>();
    pointers.push_back(numbers.Next<uint8_t>() % 16 == 0 ? nullptr : base + r * stride);
    signs.push_back(numbers.Next<uint8_t>() % 2 == 0 ? 1 : -1);
  }
  const int8_t* sign = with_signs ? signs.data() : nullptr;
  Compare<int32_t>(
      neurons, [&](int32_t* acc) { reference::AddRows(pointers.data(), sign, rows, neurons, acc); },
      [&](int32_t* acc) { AddRows(pointers.data(), sign, rows, neurons, acc); });
}

void TryFloats(Numbers numbers) {
  const size_t count = 1 + numbers.Count(150);
  const std::vector<float> a = numbers.Floats(count), b = numbers.Floats(count);
  Compare<float>(
      1, [&](float* y) { *y = reference::Dot(a.data(), b.data(), count); },
      [&](float* y) { *y = Dot(a.data(), b.data(), count); });
  Compare<float>(
      count, [&](float* y) { reference::RmsNorm(a.data(), b.data(), 1e-5f, count, y); },
      [&](float* y) { RmsNorm(a.data(), b.data(), 1e-5f, count, y); });
  Compare<float>(
      count, [&](float* y) { reference::Softmax(a.data(), count, y); },
      [&](float* y) { Softmax(a.data(), count, y); });
  const auto activation = static_cast<Activation>(1 + numbers.Next<uint8_t>() % 8);
  Compare<float>(
      count, [&](float* y) { reference::Activate(activation, 0.01f, a.data(), count, y); },
      [&](float* y) { Activate(activation, 0.01f, a.data(), count, y); });
}

void TryCoding(Numbers numbers) {
  const size_t count = 1 + numbers.Count(150);
  const std::vector<float> x = numbers.Floats(count);
  const int bits = 2 + numbers.Next<uint8_t>() % 7;
  const Levels levels = {-((1 << (bits - 1)) - 1), (1 << (bits - 1)) - 1, 1};
  const float scale = reference::ChooseScale(x.data(), count, levels);
  Compare<float>(
      1, [&](float* y) { *y = reference::ChooseScale(x.data(), count, levels); },
      [&](float* y) { *y = ChooseScale(x.data(), count, levels); });
  Compare<uint16_t>(
      count, [&](uint16_t* y) { reference::LevelIndices(x.data(), count, scale, levels, y); },
      [&](uint16_t* y) { LevelIndices(x.data(), count, scale, levels, y); });
}

void TryHalves(Numbers numbers) {
  const size_t count = numbers.Count(150);
  const std::vector<uint16_t> from = numbers.List<uint16_t>(count);
  Compare<float>(
      count, [&](float* y) { reference::ConvertF16(from.data(), count, y); },
      [&](float* y) { ConvertF16(from.data(), count, y); });
  Compare<float>(
      count, [&](float* y) { reference::ConvertBF16(from.data(), count, y); },
      [&](float* y) { ConvertBF16(from.data(), count, y); });
}

// Slopes of one chunk of one or two inputs, all codes of it.
template <typename Slope, typename Entry>
void TryProducts(Numbers numbers) {
  const uint32_t positions = 1 + numbers.Next<uint8_t>() % 2;
  const int bits = 2 + numbers.Next<uint8_t>() % 4;
  const int32_t top = (1 << (bits - 1)) - 1;
  const std::vector<Levels> levels(positions, {-top, top, 1});
  const int shift = sizeof(Slope) == 8 ? 32 : sizeof(Entry) == 1 ? 24 : 16;
  // As large as slopes get: sums stay within the entry type.
  const Slope most = static_cast<Slope>(((int64_t{1} << (sizeof(Entry) * 8 - 1)) - 1) *
                                        (int64_t{1} << shift) / (positions * top + 1));
  const AlignedArray<Slope> slopes = MakeAligned<Slope>(64 * positions);
  for (uint32_t i = 0; i < 64 * positions; ++i) {
    slopes[i] = static_cast<Slope>(numbers.Next<Slope>() % most);
  }
  uint32_t codes = 1;
  for (uint32_t i = 0; i < positions; ++i) codes *= static_cast<uint32_t>(2 * top + 1);
  Compare<Entry>(
      codes * 64,
      [&](Entry* out) {
        reference::ProductCodes(slopes.get(), levels.data(), positions, shift, 0, codes, out, 64);
      },
      [&](Entry* out) {
        ProductCodes(slopes.get(), levels.data(), positions, shift, 0, codes, out, 64);
      });
}

}  // namespace
}  // namespace lutdb::kernels

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  using namespace lutdb::kernels;
  if (count == 0) return 0;
  const Numbers numbers(bytes + 1, count - 1);
  switch (bytes[0] % 7) {
    case 0:
      TryAddRows<int16_t>(numbers);
      break;
    case 1:
      TryAddRows<int8_t>(numbers);
      break;
    case 2:
      TryFloats(numbers);
      break;
    case 3:
      TryCoding(numbers);
      break;
    case 4:
      TryHalves(numbers);
      break;
    case 5:
      TryProducts<int32_t, int16_t>(numbers);
      break;
    default:
      TryProducts<int64_t, int16_t>(numbers);
  }
  return 0;
}

std::vector<std::string> lutdb::FuzzSeeds() {
  std::vector<std::string> seeds;
  for (char kind = 0; kind < 7; ++kind) {
    std::string seed(1, kind);
    for (int i = 0; i < 400; ++i) seed += static_cast<char>(i * 37 + kind);
    seeds.push_back(seed);
  }
  return seeds;
}
