// Every f32 kernel on every instruction set and tail length, bit by bit against the oracle.
#include <cmath>
#include <limits>

#include "engine/kernels/reference.h"
#include "tests/kernels/isa_cases.h"

namespace lutdb::kernels {
namespace {

constexpr size_t kTails = 130;

class F32 : public PerIsa {};
LUTDB_FOR_EACH_ISA(F32);

std::vector<size_t> Counts() {
  std::vector<size_t> counts;
  for (size_t count = 0; count <= kTails; ++count) counts.push_back(count);
  for (const size_t count : {255, 256, 1000, 3072, 4099}) counts.push_back(count);
  return counts;
}

// Calls kernel and oracle on buffers of their own and compares the results and the guards.
template <typename Kernel, typename Oracle>
void Compare(size_t count, Kernel kernel, Oracle oracle) {
  Guarded<float> found(count);
  Guarded<float> expected(count);
  const std::vector<float> start = Normals(count, 99, 1);
  std::copy(start.begin(), start.end(), found.data());
  std::copy(start.begin(), start.end(), expected.data());
  kernel(found.data());
  oracle(expected.data());
  EXPECT_TRUE(SameBits(found.data(), expected.data(), count));
  found.ExpectIntact();
}

TEST_P(F32, ElementWise) {
  for (const size_t count : Counts()) {
    SCOPED_TRACE(count);
    const auto a = Normals(count, 1, 2), b = Normals(count, 2, 1), c = Normals(count, 3, 1);
    Compare(
        count, [&](float* y) { Add(a.data(), b.data(), count, y); },
        [&](float* y) { reference::Add(a.data(), b.data(), count, y); });
    Compare(
        count, [&](float* y) { Multiply(a.data(), b.data(), count, y); },
        [&](float* y) { reference::Multiply(a.data(), b.data(), count, y); });
    Compare(
        count,
        [&](float* y) {
          const float factor = 0.37f;
          AddScaledRows(a.data(), &factor, 1, count, y);
        },
        [&](float* y) { reference::AddScaled(a.data(), 0.37f, count, y); });
    Compare(
        count, [&](float* y) { ScaleShift(a.data(), b.data(), c.data(), count, y); },
        [&](float* y) { reference::ScaleShift(a.data(), b.data(), c.data(), count, y); });
    Compare(  // in place
        count, [&](float* y) { Add(y, y, count, y); },
        [&](float* y) { reference::Add(y, y, count, y); });
  }
}

TEST_P(F32, Reductions) {
  for (const size_t count : Counts()) {
    SCOPED_TRACE(count);
    const auto a = Normals(count, 4, 2), b = Normals(count, 5, 1), c = Normals(count, 6, 1);
    const float found = Dot(a.data(), b.data(), count);
    const float expected = reference::Dot(a.data(), b.data(), count);
    EXPECT_TRUE(SameBits(&found, &expected, 1));
    Compare(
        count, [&](float* y) { RmsNorm(a.data(), b.data(), 1e-5f, count, y); },
        [&](float* y) { reference::RmsNorm(a.data(), b.data(), 1e-5f, count, y); });
    Compare(
        count, [&](float* y) { LayerNorm(a.data(), b.data(), c.data(), 1e-5f, count, y); },
        [&](float* y) { reference::LayerNorm(a.data(), b.data(), c.data(), 1e-5f, count, y); });
    Compare(
        count, [&](float* y) { LayerNorm(a.data(), b.data(), nullptr, 1e-5f, count, y); },
        [&](float* y) { reference::LayerNorm(a.data(), b.data(), nullptr, 1e-5f, count, y); });
    Compare(
        count, [&](float* y) { Softmax(a.data(), count, y); },
        [&](float* y) { reference::Softmax(a.data(), count, y); });
    Compare(
        count, [&](float* y) { Softmax(y, count, y); },
        [&](float* y) { reference::Softmax(y, count, y); });
  }
}

TEST_P(F32, MatVec) {
  for (const size_t cols : {1, 3, 15, 16, 17, 64, 100}) {
    for (size_t rows = 0; rows <= 35; ++rows) {
      const auto weights = Normals(rows * cols, 7, 1), x = Normals(cols, 8, 1),
                 bias = Normals(rows, 9, 1);
      Compare(
          rows, [&](float* y) { MatVec(weights.data(), x.data(), bias.data(), rows, cols, y); },
          [&](float* y) {
            reference::MatVec(weights.data(), x.data(), bias.data(), rows, cols, y);
          });
      Compare(
          rows, [&](float* y) { MatVec(weights.data(), x.data(), nullptr, rows, cols, y); },
          [&](float* y) { reference::MatVec(weights.data(), x.data(), nullptr, rows, cols, y); });
    }
  }
}

TEST_P(F32, AddScaledRows) {
  for (const size_t cols : {1, 3, 15, 16, 17, 64, 100, 130}) {
    for (const size_t rows : {0, 1, 2, 7, 64}) {
      const auto values = Normals(rows * cols, 7, 1), factors = Normals(rows, 8, 1);
      Compare(
          cols, [&](float* y) { AddScaledRows(values.data(), factors.data(), rows, cols, y); },
          [&](float* y) {
            for (size_t r = 0; r < rows; ++r) {
              reference::AddScaled(values.data() + r * cols, factors[r], cols, y);
            }
          });
    }
  }
}

TEST_P(F32, Activations) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> special = {
      0.0f,    -0.0f, 1e-45f, -1e-45f, 0.625f, -0.625f,  88.7f,   -88.7f,   104.0f, -104.0f, 500.0f,
      -500.0f, 3e38f, -3e38f, 1e-30f,  9.0f,   infinity, 0.6251f, -0.6251f, 87.3f,  -103.9f};
  for (int kind = 1; kind <= 8; ++kind) {
    const auto activation = static_cast<Activation>(kind);
    SCOPED_TRACE(kind);
    for (const size_t count : Counts()) {
      auto x = Normals(count, 10, 4);
      for (size_t i = 0; i < count && i < special.size() && count % 3 == 0; ++i) x[i] = special[i];
      Compare(
          count, [&](float* y) { Activate(activation, 0.1f, x.data(), count, y); },
          [&](float* y) { reference::Activate(activation, 0.1f, x.data(), count, y); });
    }
  }
}

TEST_P(F32, Rope) {
  for (const size_t head_dim : {2, 4, 8, 14, 32, 48, 64, 128}) {
    std::vector<float> cosine(head_dim / 2), sine(head_dim / 2);
    std::vector<double> frequencies(head_dim / 2);
    RopeFrequencies(10000.0f, head_dim, frequencies.data());
    RopeAngles(37, frequencies.data(), head_dim / 2, cosine.data(), sine.data());
    Compare(
        3 * head_dim, [&](float* x) { Rope(cosine.data(), sine.data(), 3, head_dim, x); },
        [&](float* x) { reference::Rope(cosine.data(), sine.data(), 3, head_dim, x); });
  }
}

TEST_P(F32, ScaleSums) {
  for (const size_t count : Counts()) {
    const auto step = Normals(count, 11, 1e-4f), bias = Normals(count, 12, 1);
    std::mt19937 random(13);
    std::vector<int32_t> acc(count);
    for (int32_t& sum : acc) sum = static_cast<int32_t>(random());
    Compare(
        count, [&](float* y) { ScaleSums(acc.data(), step.data(), bias.data(), 0.3f, count, y); },
        [&](float* y) {
          reference::ScaleSums(acc.data(), step.data(), bias.data(), 0.3f, count, y);
        });
    Compare(
        count, [&](float* y) { ScaleSums(acc.data(), step.data(), nullptr, 0.3f, count, y); },
        [&](float* y) { reference::ScaleSums(acc.data(), step.data(), nullptr, 0.3f, count, y); });
  }
}

}  // namespace
}  // namespace lutdb::kernels
