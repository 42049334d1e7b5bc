#include "ingest/rope_scaling.h"

#include "engine/kernels/kernels.h"

namespace lutdb {

std::vector<float> LinearRopeDivisors(uint32_t head_dim, double factor) {
  return std::vector<float>(head_dim / 2, static_cast<float>(factor));
}

std::vector<float> Llama3RopeDivisors(float theta, uint32_t head_dim,
                                      const Llama3RopeScaling& scaling) {
  constexpr double kTurn = 6.283185307179586;
  std::vector<double> frequencies(head_dim / 2);
  kernels::RopeFrequencies(theta, head_dim, frequencies.data());
  std::vector<float> divisors;
  for (const double frequency : frequencies) {
    const double turns = scaling.original_context * frequency / kTurn;
    double divisor = 1;
    if (turns < scaling.low_frequency_factor) {
      divisor = scaling.factor;
    } else if (turns <= scaling.high_frequency_factor) {
      const double smooth = (turns - scaling.low_frequency_factor) /
                            (scaling.high_frequency_factor - scaling.low_frequency_factor);
      divisor = 1 / ((1 - smooth) / scaling.factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

}  // namespace lutdb
