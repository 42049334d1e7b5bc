#include "bench/blas_peer.h"

#include <dlfcn.h>

#include "bench/report.h"

namespace lutdb::bench {

std::unique_ptr<BlasLayer> BlasLayer::Create(const std::vector<float>& weights, int inputs,
                                             int neurons, int copies, std::string* why) {
  std::unique_ptr<BlasLayer> layer(new BlasLayer);
  void* library = ::dlopen("libopenblas.so.0", RTLD_NOW);
  if (library != nullptr) {
    layer->sgemv_ = reinterpret_cast<Sgemv*>(::dlsym(library, "cblas_sgemv"));
    layer->set_threads_ =
        reinterpret_cast<SetThreads*>(::dlsym(library, "openblas_set_num_threads"));
  }
  if (layer->sgemv_ == nullptr || layer->set_threads_ == nullptr) {
    *why = "peer not installed (./dev bench --peers): OpenBLAS";
    return nullptr;
  }
  layer->inputs_ = inputs;
  layer->neurons_ = neurons;
  layer->copies_.assign(static_cast<size_t>(copies), weights);
  return layer;
}

void BlasLayer::Multiply(const std::vector<float>& weights, const float* x, float* y) const {
  sgemv_(101, 111, neurons_, inputs_, 1, weights.data(), inputs_, x, 1, 0, y, 1);
}

double BlasLayer::SecondsPerProduct(int threads) {
  set_threads_(threads);
  const std::vector<float> x(static_cast<size_t>(inputs_), 1);
  std::vector<float> y(static_cast<size_t>(neurons_));
  const double seconds = SecondsOf([&] {
    for (const auto& weights : copies_) Multiply(weights, x.data(), y.data());
  });
  return seconds / static_cast<double>(copies_.size());
}

std::vector<float> BlasLayer::Product(const std::vector<float>& x) const {
  std::vector<float> y(static_cast<size_t>(neurons_));
  Multiply(copies_.front(), x.data(), y.data());
  return y;
}

}  // namespace lutdb::bench
