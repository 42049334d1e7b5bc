// RoPE scaling as one number per pair of a head: what its frequency is divided by. Every type of
// scaling that changes frequencies alone comes to this; the engine knows of no types.
#pragma once

#include <cstdint>
#include <vector>

namespace lutdb {

// All pairs slower by `factor`, as if positions lay closer together ("linear").
std::vector<float> LinearRopeDivisors(uint32_t head_dim, double factor);

// "llama3": pairs that turn often within the original context keep their frequency, pairs that turn
// seldom are divided by `factor`, and those between go over smoothly.
struct Llama3RopeScaling {
  double factor = 0;
  double low_frequency_factor = 0;   // turns within the original context, at and below: seldom
  double high_frequency_factor = 0;  // above: often
  double original_context = 0;
};
std::vector<float> Llama3RopeDivisors(float theta, uint32_t head_dim,
                                      const Llama3RopeScaling& scaling);

}  // namespace lutdb
