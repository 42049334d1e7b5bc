#include "bench/ggml_peer.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace lutdb::bench {
namespace {

// ggml's C interface, as far as it is used here; all of its objects are opaque.
struct InitParams {
  size_t memory_bytes;
  void* memory;
  bool no_alloc;
};
using Handle = void*;
constexpr int kTypeF32 = 0;
constexpr int kTypeQ8_0 = 8;
constexpr int kTypeQ4_K = 12;
constexpr int kDeviceCpu = 0;

struct Functions {
  void (*load_all)(const char*);
  Handle (*device_by_type)(int);
  Handle (*device_init)(Handle, const char*);
  Handle (*device_registry)(Handle);
  void* (*proc_address)(Handle, const char*);
  Handle (*init)(InitParams);
  void (*free)(Handle);
  Handle (*new_tensor_1d)(Handle, int, int64_t);
  Handle (*new_tensor_2d)(Handle, int, int64_t, int64_t);
  Handle (*mul_mat)(Handle, Handle, Handle);
  Handle (*new_graph)(Handle);
  void (*expand)(Handle, Handle);
  Handle (*alloc_tensors_from_type)(Handle, Handle);
  Handle (*alloc_tensors)(Handle, Handle);
  const char* (*buffer_type_name)(Handle);
  void (*set)(Handle, const void*, size_t, size_t);
  void (*get)(Handle, void*, size_t, size_t);
  int (*compute)(Handle, Handle);
  void (*buffer_free)(Handle);
  void (*backend_free)(Handle);
  size_t (*quantize)(int, const float*, void*, int64_t, int64_t, int64_t, const float*);
  size_t (*row_size)(int, int64_t);
};

template <typename F>
bool Find(void* library, const char* name, F* function, std::string* why) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  if (*function == nullptr) *why = fmt::format("the peer's library has no {}", name);
  return *function != nullptr;
}

bool LoadFunctions(const std::string& folder, Functions* f, std::string* why) {
  void* base = dlopen((folder + "/libggml-base.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* ggml = nullptr;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("libggml.", 0) == 0) ggml = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  if (base == nullptr || ggml == nullptr) {
    *why = fmt::format("the peer's libraries in {} cannot be loaded", folder);
    return false;
  }
  return Find(ggml, "ggml_backend_load_all_from_path", &f->load_all, why) &&
         Find(ggml, "ggml_backend_dev_by_type", &f->device_by_type, why) &&
         Find(base, "ggml_backend_dev_init", &f->device_init, why) &&
         Find(base, "ggml_backend_dev_backend_reg", &f->device_registry, why) &&
         Find(base, "ggml_backend_reg_get_proc_address", &f->proc_address, why) &&
         Find(base, "ggml_init", &f->init, why) && Find(base, "ggml_free", &f->free, why) &&
         Find(base, "ggml_new_tensor_1d", &f->new_tensor_1d, why) &&
         Find(base, "ggml_new_tensor_2d", &f->new_tensor_2d, why) &&
         Find(base, "ggml_mul_mat", &f->mul_mat, why) &&
         Find(base, "ggml_new_graph", &f->new_graph, why) &&
         Find(base, "ggml_build_forward_expand", &f->expand, why) &&
         Find(base, "ggml_backend_alloc_ctx_tensors_from_buft", &f->alloc_tensors_from_type, why) &&
         Find(base, "ggml_backend_alloc_ctx_tensors", &f->alloc_tensors, why) &&
         Find(base, "ggml_backend_buft_name", &f->buffer_type_name, why) &&
         Find(base, "ggml_backend_tensor_set", &f->set, why) &&
         Find(base, "ggml_backend_tensor_get", &f->get, why) &&
         Find(base, "ggml_backend_graph_compute", &f->compute, why) &&
         Find(base, "ggml_backend_buffer_free", &f->buffer_free, why) &&
         Find(base, "ggml_backend_free", &f->backend_free, why) &&
         Find(base, "ggml_quantize_chunk", &f->quantize, why) &&
         Find(base, "ggml_row_size", &f->row_size, why);
}

std::string LibraryFolder(const std::string& peers) {
  return peers + "/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64";
}

}  // namespace

struct GgmlLayer::State {
  Functions f;
  Handle backend = nullptr;
  Handle weights_context = nullptr;
  Handle context = nullptr;  // of the vectors and the graphs
  Handle weights_buffer = nullptr;
  Handle buffer = nullptr;
  std::vector<Handle> matrices, products;
  Handle x = nullptr;
  Handle all = nullptr;    // graph of every product
  Handle first = nullptr;  // graph of the first
  std::string buffer_type;
  uint64_t bytes = 0;
  int inputs = 0, neurons = 0;
  void (*set_threads)(Handle, int) = nullptr;

  ~State() {
    if (buffer != nullptr) f.buffer_free(buffer);
    if (weights_buffer != nullptr) f.buffer_free(weights_buffer);
    if (context != nullptr) f.free(context);
    if (weights_context != nullptr) f.free(weights_context);
    if (backend != nullptr) f.backend_free(backend);
  }

  // Weights in ggml's repacked buffer type, where its fastest kernels are; else as it keeps them.
  // Of Q8_0 there is no repacked form for x86, and asking for it crashes.
  void PlaceWeights(Handle device, GgmlType type) {
    const auto extra = reinterpret_cast<Handle* (*)(Handle)>(
        f.proc_address(f.device_registry(device), "ggml_backend_dev_get_extra_bufts"));
    Handle* types = extra == nullptr || type == GgmlType::kQ8_0 ? nullptr : extra(device);
    for (; types != nullptr && *types != nullptr; ++types) {
      buffer_type = f.buffer_type_name(*types);
      if (buffer_type != "CPU_REPACK") continue;
      weights_buffer = f.alloc_tensors_from_type(weights_context, *types);
      if (weights_buffer != nullptr) return;
    }
    buffer_type = "CPU";
    weights_buffer = f.alloc_tensors(weights_context, backend);
  }
};

GgmlLayer::GgmlLayer() : state_(std::make_unique<State>()) {}
GgmlLayer::~GgmlLayer() = default;
const std::string& GgmlLayer::buffer_type() const { return state_->buffer_type; }
uint64_t GgmlLayer::bytes() const { return state_->bytes; }

std::unique_ptr<GgmlLayer> GgmlLayer::Create(const std::string& peers, GgmlType type,
                                             const std::vector<float>& weights, int inputs,
                                             int neurons, int copies, std::string* why) {
  const std::string folder = LibraryFolder(peers);
  if (!std::filesystem::exists(folder)) {
    *why = "peer not installed (./dev bench --peers)";
    return nullptr;
  }
  std::unique_ptr<GgmlLayer> layer(new GgmlLayer());
  State& s = *layer->state_;
  if (!LoadFunctions(folder, &s.f, why)) return nullptr;
  static const bool loaded = [&] {
    s.f.load_all(folder.c_str());
    return true;
  }();
  (void)loaded;
  Handle device = s.f.device_by_type(kDeviceCpu);
  s.backend = device == nullptr ? nullptr : s.f.device_init(device, nullptr);
  if (s.backend == nullptr) {
    *why = "the peer found no processor it can run on";
    return nullptr;
  }
  s.set_threads = reinterpret_cast<void (*)(Handle, int)>(
      s.f.proc_address(s.f.device_registry(device), "ggml_backend_set_n_threads"));
  s.inputs = inputs;
  s.neurons = neurons;
  s.weights_context = s.f.init({size_t{1} << 20, nullptr, true});
  s.context = s.f.init({size_t{8} << 20, nullptr, true});
  const int ggml_type = type == GgmlType::kQ8_0 ? kTypeQ8_0 : kTypeQ4_K;
  for (int i = 0; i < copies; ++i) {
    s.matrices.push_back(s.f.new_tensor_2d(s.weights_context, ggml_type, inputs, neurons));
  }
  s.PlaceWeights(device, type);
  s.x = s.f.new_tensor_1d(s.context, kTypeF32, inputs);
  s.all = s.f.new_graph(s.context);
  s.first = s.f.new_graph(s.context);
  for (Handle matrix : s.matrices) {
    s.products.push_back(s.f.mul_mat(s.context, matrix, s.x));
    s.f.expand(s.all, s.products.back());
  }
  s.f.expand(s.first, s.products.front());
  s.buffer = s.f.alloc_tensors(s.context, s.backend);
  if (s.weights_buffer == nullptr || s.buffer == nullptr || s.set_threads == nullptr) {
    *why = "the peer has no memory for its weights";
    return nullptr;
  }
  s.bytes = s.f.row_size(ggml_type, inputs) * static_cast<uint64_t>(neurons);
  std::vector<uint8_t> quantized(s.bytes);
  s.f.quantize(ggml_type, weights.data(), quantized.data(), 0, neurons, inputs, nullptr);
  for (Handle matrix : s.matrices) s.f.set(matrix, quantized.data(), 0, s.bytes);
  return layer;
}

double GgmlLayer::SecondsPerProduct(int threads) {
  State& s = *state_;
  s.set_threads(s.backend, threads);
  const auto start = std::chrono::steady_clock::now();
  s.f.compute(s.backend, s.all);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return seconds / static_cast<double>(s.matrices.size());
}

std::vector<float> GgmlLayer::Product(const std::vector<float>& x) {
  State& s = *state_;
  s.set_threads(s.backend, 1);
  s.f.set(s.x, x.data(), 0, sizeof(float) * x.size());
  s.f.compute(s.backend, s.first);
  std::vector<float> y(static_cast<size_t>(s.neurons));
  s.f.get(s.products.front(), y.data(), 0, sizeof(float) * y.size());
  return y;
}

}  // namespace lutdb::bench
