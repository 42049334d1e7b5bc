// llama.cpp's matrix-vector product, from the libraries in the npm package
// @node-llama-cpp/linux-x64 that `./dev bench --peers` installs. Loaded at run time: nothing of it
// is needed to build.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace lutdb::bench {

enum class GgmlType { kQ8_0, kQ4_K };

// `copies` equal matrices of one quantized type, multiplied by one vector after the other.
class GgmlLayer {
 public:
  // Null when the package is not in `peers`, with the reason in *why. weights: neurons x inputs.
  static std::unique_ptr<GgmlLayer> Create(const std::string& peers, GgmlType type,
                                           const std::vector<float>& weights, int inputs,
                                           int neurons, int copies, std::string* why);
  ~GgmlLayer();

  // Product with x by every copy once, with so many threads; seconds for one of them.
  double SecondsPerProduct(int threads);
  // y = W x as the first copy has it.
  std::vector<float> Product(const std::vector<float>& x);
  // The kind of memory the weights lie in: "CPU_REPACK" where ggml has its fastest kernels.
  const std::string& buffer_type() const;
  uint64_t bytes() const;  // of one copy

 private:
  GgmlLayer();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lutdb::bench
