#include "engine/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace lutdb {
namespace {

struct Shape {
  uint32_t heads, kv_heads, head_dim, window, context, positions;
};

// Straight from the definition, in double, over all positions at once.
std::vector<double> Naive(const Shape& shape, uint32_t position,
                          const std::vector<std::vector<float>>& q,
                          const std::vector<std::vector<float>>& k,
                          const std::vector<std::vector<float>>& v) {
  std::vector<double> out(shape.heads * shape.head_dim, 0.0);
  const uint32_t first =
      shape.window != 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
  for (uint32_t head = 0; head < shape.heads; ++head) {
    const uint32_t kv = head * shape.kv_heads / shape.heads * shape.head_dim;
    std::vector<double> share;
    double total = 0;
    for (uint32_t t = first; t <= position; ++t) {
      double score = 0;
      for (uint32_t d = 0; d < shape.head_dim; ++d) {
        score += double{q[position][head * shape.head_dim + d]} * k[t][kv + d];
      }
      share.push_back(std::exp(score / std::sqrt(static_cast<double>(shape.head_dim))));
      total += share.back();
    }
    for (uint32_t t = first; t <= position; ++t) {
      for (uint32_t d = 0; d < shape.head_dim; ++d) {
        out[head * shape.head_dim + d] += share[t - first] / total * v[t][kv + d];
      }
    }
  }
  return out;
}

TEST(Attention, AgreesWithTheDefinition) {
  for (const Shape& shape :
       {Shape{4, 4, 8, 0, 200, 150}, Shape{6, 2, 5, 0, 70, 70}, Shape{4, 1, 8, 7, 200, 150},
        Shape{2, 2, 4, 100, 80, 80}, Shape{2, 1, 16, 90, 300, 250}}) {
    Op op;
    op.kind = OpKind::kAttention;
    op.heads = shape.heads;
    op.kv_heads = shape.kv_heads;
    op.head_dim = shape.head_dim;
    op.window = shape.window;
    CacheBudget budget{.limit_bytes = 1 << 24};
    ThreadTeam team(2);
    Attention attention(op, shape.context, &budget, &team);
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto draw = [&](uint32_t width) {
      std::vector<float> values(width);
      for (float& value : values) value = normal(random);
      return values;
    };
    for (int round = 0; round < 2; ++round) {  // the cache is used again from position 0
      std::vector<std::vector<float>> q, k, v;
      for (uint32_t position = 0; position < shape.positions; ++position) {
        q.push_back(draw(shape.heads * shape.head_dim));
        k.push_back(draw(shape.kv_heads * shape.head_dim));
        v.push_back(draw(shape.kv_heads * shape.head_dim));
        std::vector<float> out(shape.heads * shape.head_dim);
        ASSERT_TRUE(
            attention.Step(position, q.back().data(), k.back().data(), v.back().data(), out.data())
                .ok());
        const std::vector<double> expected = Naive(shape, position, q, k, v);
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], expected[i], 2e-5) << "position " << position << ", element " << i;
        }
      }
    }
  }
}

TEST(Attention, RefusesToOutgrowItsBudget) {
  Op op;
  op.kind = OpKind::kAttention;
  op.heads = op.kv_heads = 1;
  op.head_dim = 16;
  CacheBudget budget{.limit_bytes = 20000};
  ThreadTeam team(1);
  Attention attention(op, 1 << 30, &budget, &team);
  std::vector<float> x(16, 1.0f), out(16);
  uint32_t position = 0;
  absl::Status status;
  while (status.ok() && position < 1000) {
    status = attention.Step(position++, x.data(), x.data(), x.data(), out.data());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_LE(budget.used_bytes, budget.limit_bytes);
  EXPECT_GT(position, Attention::kSegmentPositions);
}

}  // namespace
}  // namespace lutdb
