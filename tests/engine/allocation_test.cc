// Once warm, a token costs no allocation: counted by replacing operator new in this program.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/engine/built_models.h"

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

// Not inlined: the compiler would see malloc and free through the pair and suspect a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace lutdb {
namespace {

TEST(Allocation, WarmTokensAllocateNothing) {
  ScratchDirectory scratch;
  TinyLlama llama;
  llama.vocabulary = 30;
  BuildOrFail(WriteLlama(scratch, "llama", llama), scratch / "store", {});
  ModelOptions options;
  options.store.threads = 1;
  for (const bool reference : {false, true}) {
    options.reference = reference;
    const auto model = OpenOrNull(scratch / "store", options);
    ASSERT_NE(model, nullptr);
    std::vector<float> logits(30);
    uint64_t counted = 0;
    for (int round = 0; round < 3; ++round) {  // the last one finds everything in the arena
      model->Reset();
      const uint64_t before = allocations.load();
      for (int32_t token = 0; token < 25; ++token) {
        ASSERT_TRUE(model->Feed(token, absl::MakeSpan(logits)).ok());
      }
      counted = allocations.load() - before;
    }
    EXPECT_EQ(counted, 0u) << "reference " << reference;
  }
}

}  // namespace
}  // namespace lutdb
