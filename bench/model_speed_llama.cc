// llama.cpp as model_speed.py asks it, from the libraries and the headers of the npm packages that
// `./dev bench --peers` installs; built only where they are.
//
//   model_speed_llama LIBRARIES run MODEL.gguf TOKENS THREADS on|off   (flash attention)
//   model_speed_llama LIBRARIES quantize MODEL.gguf OUT.gguf Q4_K_M|Q8_0
//
// Settings are the fastest there are for a processor: weights in ggml's repacked buffers, threads
// that are kept and wait actively between the steps of a token.
#include <dlfcn.h>
#include <fmt/format.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "bench/model_speed.h"

namespace lutdb::bench {
namespace {

[[noreturn]] void Stop(const std::string& message) {
  fmt::print(stderr, "model_speed_llama: {}\n", message);
  std::exit(1);
}

// The functions used, found by name: nothing of the peer is linked.
struct Llama {
  decltype(&ggml_backend_load_all_from_path) load_all;
  decltype(&ggml_backend_dev_by_type) device_by_type;
  decltype(&ggml_backend_dev_backend_reg) device_registry;
  decltype(&ggml_backend_reg_get_proc_address) proc_address;
  decltype(&ggml_threadpool_params_default) pool_defaults;
  decltype(&llama_log_set) log_set;
  decltype(&llama_model_default_params) model_defaults;
  decltype(&llama_model_load_from_file) load;
  decltype(&llama_model_get_vocab) vocabulary;
  decltype(&llama_vocab_n_tokens) vocabulary_size;
  decltype(&llama_model_size) model_bytes;
  decltype(&llama_context_default_params) context_defaults;
  decltype(&llama_init_from_model) make_context;
  decltype(&llama_attach_threadpool) attach;
  decltype(&llama_get_memory) memory;
  decltype(&llama_memory_clear) clear;
  decltype(&llama_batch_get_one) batch;
  decltype(&llama_decode) decode;
  decltype(&llama_get_logits_ith) logits;
  decltype(&llama_model_quantize_default_params) quantize_defaults;
  decltype(&llama_model_quantize) quantize;
};

void* OpenLibrary(const std::string& folder, const std::string& begin) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind(begin, 0) != 0) continue;
    void* library = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) Stop(dlerror());
    return library;
  }
  Stop(fmt::format("{} holds no {}*", folder, begin));
}

template <typename F>
void Find(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  if (*function == nullptr) Stop(fmt::format("the library has no {}", name));
}

void Quiet(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) fmt::print(stderr, "{}", text);
}

Llama Load(const std::string& folder) {
  Llama f;
  void* base = OpenLibrary(folder, "libggml-base.so");
  void* ggml = OpenLibrary(folder, "libggml.");
  void* llama = OpenLibrary(folder, "libllama.");
  Find(ggml, "ggml_backend_load_all_from_path", &f.load_all);
  Find(ggml, "ggml_backend_dev_by_type", &f.device_by_type);
  Find(base, "ggml_backend_dev_backend_reg", &f.device_registry);
  Find(base, "ggml_backend_reg_get_proc_address", &f.proc_address);
  Find(base, "ggml_threadpool_params_default", &f.pool_defaults);
  Find(llama, "llama_log_set", &f.log_set);
  Find(llama, "llama_model_default_params", &f.model_defaults);
  Find(llama, "llama_model_load_from_file", &f.load);
  Find(llama, "llama_model_get_vocab", &f.vocabulary);
  Find(llama, "llama_vocab_n_tokens", &f.vocabulary_size);
  Find(llama, "llama_model_size", &f.model_bytes);
  Find(llama, "llama_context_default_params", &f.context_defaults);
  Find(llama, "llama_init_from_model", &f.make_context);
  Find(llama, "llama_attach_threadpool", &f.attach);
  Find(llama, "llama_get_memory", &f.memory);
  Find(llama, "llama_memory_clear", &f.clear);
  Find(llama, "llama_batch_get_one", &f.batch);
  Find(llama, "llama_decode", &f.decode);
  Find(llama, "llama_get_logits_ith", &f.logits);
  Find(llama, "llama_model_quantize_default_params", &f.quantize_defaults);
  Find(llama, "llama_model_quantize", &f.quantize);
  f.log_set(Quiet, nullptr);
  f.load_all(folder.c_str());
  return f;
}

class LlamaEngine : public LanguageEngine {
 public:
  LlamaEngine(const Llama& llama, const std::string& path, uint32_t positions, int threads,
              bool flash)
      : f_(llama) {
    llama_model_params model_params = f_.model_defaults();
    model_params.use_extra_bufts = true;
    model_ = f_.load(path.c_str(), model_params);
    if (model_ == nullptr) Stop(fmt::format("{} cannot be loaded", path));
    vocabulary_ = static_cast<size_t>(f_.vocabulary_size(f_.vocabulary(model_)));
    llama_context_params params = f_.context_defaults();
    params.n_ctx = positions;
    params.n_batch = positions;
    params.n_ubatch = 512;
    params.n_threads = threads;
    params.n_threads_batch = threads;
    params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    context_ = f_.make_context(model_, params);
    if (context_ == nullptr) Stop("no context can be made");
    KeepThreads(threads);
  }
  void Reset() override { f_.clear(f_.memory(context_), true); }
  const float* Feed(const int32_t* tokens, size_t count) override {
    llama_batch batch =
        f_.batch(const_cast<llama_token*>(tokens), static_cast<int32_t>(count));  // only read
    if (f_.decode(context_, batch) != 0) Stop("decoding failed");
    return f_.logits(context_, -1);
  }
  size_t vocabulary() const override { return vocabulary_; }
  nlohmann::json Memory() const override { return {{"weights_bytes", f_.model_bytes(model_)}}; }

 private:
  void KeepThreads(int threads) {
    using NewPool = ggml_threadpool* (*)(ggml_threadpool_params*);
    ggml_backend_reg_t registry =
        f_.device_registry(f_.device_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
    const auto make = reinterpret_cast<NewPool>(f_.proc_address(registry, "ggml_threadpool_new"));
    if (make == nullptr || threads == 1) return;
    ggml_threadpool_params params = f_.pool_defaults(threads);
    ggml_threadpool* pool = make(&params);
    if (pool != nullptr) f_.attach(context_, pool, pool);
  }

  const Llama& f_;
  llama_model* model_ = nullptr;
  llama_context* context_ = nullptr;
  size_t vocabulary_ = 0;
};

int Quantize(const Llama& f, const char* from, const char* to, const std::string& type) {
  const std::map<std::string, llama_ftype> types = {{"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
                                                    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0}};
  const auto found = types.find(type);
  if (found == types.end()) Stop(fmt::format("type '{}' is not Q4_K_M or Q8_0", type));
  llama_model_quantize_params params = f.quantize_defaults();
  params.ftype = found->second;
  return f.quantize(from, to, &params) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lutdb::bench

int main(int argc, char** argv) {
  namespace bench = lutdb::bench;
  const std::string verb = argc > 2 ? argv[2] : "";
  if (verb == "quantize" && argc == 6) {
    return bench::Quantize(bench::Load(argv[1]), argv[3], argv[4], argv[5]);
  }
  if (verb != "run" || argc != 7) {
    fmt::print(stderr,
               "usage: model_speed_llama LIBRARIES run MODEL TOKENS THREADS on|off\n"
               "       model_speed_llama LIBRARIES quantize MODEL OUT TYPE\n");
    return 2;
  }
  const bench::Llama llama = bench::Load(argv[1]);
  const auto tokens = bench::ReadTokens(argv[4]);
  bench::LlamaEngine engine(llama, argv[3], static_cast<uint32_t>(tokens.size()) + 256,
                            std::stoi(argv[5]), std::string(argv[6]) == "on");
  bench::Serve(tokens, &engine);
  return 0;
}
