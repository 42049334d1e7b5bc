// OpenBLAS's matrix-vector product in f32, from the Debian package libopenblas0-pthread that
// `./dev bench --peers` installs. Loaded at run time: nothing of it is needed to build.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace lutdb::bench {

// `copies` equal matrices, multiplied by one vector after the other.
class BlasLayer {
 public:
  // Null when there is no OpenBLAS, with the reason in *why. weights: neurons x inputs.
  static std::unique_ptr<BlasLayer> Create(const std::vector<float>& weights, int inputs,
                                           int neurons, int copies, std::string* why);
  // Product with a vector by every copy once, with so many threads; seconds for one of them.
  double SecondsPerProduct(int threads);
  // y = W x.
  std::vector<float> Product(const std::vector<float>& x) const;

 private:
  // cblas.h: row-major is 101, not transposed 111.
  using Sgemv = void(int order, int transposed, int rows, int columns, float alpha, const float* a,
                     int stride, const float* x, int x_stride, float beta, float* y, int y_stride);
  using SetThreads = void(int threads);
  BlasLayer() = default;
  void Multiply(const std::vector<float>& weights, const float* x, float* y) const;

  Sgemv* sgemv_ = nullptr;
  SetThreads* set_threads_ = nullptr;
  int inputs_ = 0, neurons_ = 0;
  std::vector<std::vector<float>> copies_;
};

}  // namespace lutdb::bench
