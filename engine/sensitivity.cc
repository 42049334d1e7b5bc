#include "engine/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/kernels/kernels.h"
#include "engine/scores.h"

namespace lutdb {
namespace {

constexpr double kNoise = 0.1;  // of the value's root mean square: what about 4 bits leave
constexpr uint64_t kSeed = 1;
constexpr size_t kCleanBytesMax = 64 << 20;

// Adds or subtracts a constant, by the toss of a coin: the same numbers on every machine.
class Noise {
 public:
  void AddTo(float* x, size_t width) {
    const double square = kernels::Dot(x, x, width);
    const auto size = static_cast<float>(kNoise * std::sqrt(square / static_cast<double>(width)));
    for (size_t i = 0; i < width; ++i) {
      if (i % 64 == 0) bits_ = random_();
      x[i] += (bits_ >> (i % 64) & 1) != 0 ? size : -size;
    }
  }

 private:
  std::mt19937_64 random_{kSeed};
  uint64_t bits_ = 0;
};

// KL(clean || now) of the probabilities that logits stand for, in nats.
double Divergence(const float* clean, const float* now, size_t count) {
  const double log_clean = LogSumExp({clean, count}), log_now = LogSumExp({now, count});
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = (clean[i] - log_clean) - (now[i] - log_now);
    sum += std::exp(clean[i] - log_clean) * difference;
  }
  return sum;
}

double RelativeSquare(const float* clean, const float* now, size_t count) {
  double lost = 0, all = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = double{now[i]} - clean[i];
    lost += difference * difference;
    all += double{clean[i]} * clean[i];
  }
  return all > 0 ? lost / all : 0;
}

class Probe {
 public:
  Probe(const ProbeData& data, Forward* forward)
      : data_(data), forward_(*forward), width_(forward->output().width) {
    count_ = std::min(data.count, std::max<size_t>(1, kCleanBytesMax / (sizeof(float) * width_)));
  }

  absl::Status RunClean() {
    return Run([&](const float* output) { clean_.insert(clean_.end(), output, output + width_); });
  }

  absl::StatusOr<double> Disturb(const ValueBuffer* value) {
    Noise noise;
    forward_.Disturb([&](ValueBuffer* written) {
      if (written == value) noise.AddTo(written->numbers.get(), written->width);
    });
    const auto distance = forward_.plan().graph.is_language_model() ? Divergence : RelativeSquare;
    double sum = 0;
    size_t at = 0;
    const absl::Status status = Run([&](const float* output) {
      sum += distance(clean_.data() + at, output, width_);
      at += width_;
    });
    forward_.Disturb(nullptr);
    if (!status.ok()) return status;
    return sum / static_cast<double>(count_) / (kNoise * kNoise);
  }

 private:
  absl::Status Run(absl::FunctionRef<void(const float*)> look) {
    for (size_t i = 0; i < count_; ++i) {
      if (const absl::Status status = data_.feed(i); !status.ok()) return status;
      look(forward_.output().numbers.get());
    }
    return absl::OkStatus();
  }

  const ProbeData& data_;
  Forward& forward_;
  const size_t width_;
  size_t count_ = 0;
  std::vector<float> clean_;
};

}  // namespace

absl::StatusOr<std::vector<double>> MeasureSensitivity(
    const std::vector<const ValueBuffer*>& values, const ProbeData& data,
    const ProgressFn& progress, Forward* forward) {
  Probe probe(data, forward);
  if (const absl::Status status = probe.RunClean(); !status.ok()) return status;
  std::vector<double> sensitivities;
  for (const ValueBuffer* value : values) {
    const absl::StatusOr<double> sensitivity = probe.Disturb(value);
    if (!sensitivity.ok()) return sensitivity.status();
    sensitivities.push_back(*sensitivity);
    if (progress) {
      progress({.stage = "probe", .done = sensitivities.size(), .total = values.size()});
    }
  }
  return sensitivities;
}

}  // namespace lutdb
