// lutdb as model_speed.py asks it: model_speed_lutdb STORE TOKENS THREADS ARENA_BYTES|reference.
#include <absl/types/span.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "bench/model_speed.h"
#include "lutdb/model.h"

namespace lutdb::bench {
namespace {

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "model_speed: {}\n", std::string(status.message()));
  std::exit(1);
}

class LutdbEngine : public LanguageEngine {
 public:
  LutdbEngine(const std::string& store, unsigned threads, const std::string& arena_bytes) {
    ModelOptions options;
    options.reference = arena_bytes == "reference";
    options.store.threads = threads;
    options.store.arena_bytes = options.reference ? 0 : std::stoull(arena_bytes);
    auto model = Model::Open(store, options);
    Check(model.status());
    model_ = *std::move(model);
    logits_.resize(model_->output_width());
  }
  void Reset() override { model_->Reset(); }
  const float* Feed(const int32_t* tokens, size_t count) override {
    const absl::Span<float> logits = absl::MakeSpan(logits_);
    Check(count == 1 ? model_->Feed(*tokens, logits)
                     : model_->FeedAll(absl::MakeConstSpan(tokens, count), logits));
    return logits_.data();
  }
  size_t vocabulary() const override { return logits_.size(); }
  nlohmann::json Memory() const override {
    const ArenaReport arena = model_->arena();
    return {{"arena_owned", arena.owned},
            {"arena_bytes", arena.used_bytes},
            {"arena_misses", arena.misses}};
  }

 private:
  std::unique_ptr<Model> model_;
  std::vector<float> logits_;
};

}  // namespace
}  // namespace lutdb::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: model_speed_lutdb STORE TOKENS THREADS ARENA_BYTES|reference\n");
    return 2;
  }
  const auto tokens = lutdb::bench::ReadTokens(argv[2]);
  lutdb::bench::LutdbEngine engine(argv[1], static_cast<unsigned>(std::stoul(argv[3])), argv[4]);
  lutdb::bench::Serve(tokens, &engine);
  return 0;
}
