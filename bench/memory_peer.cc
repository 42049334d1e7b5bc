#include "bench/memory_peer.h"

#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "bench/suite.h"

namespace lutdb::bench {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;

using Words = uint64_t __attribute__((vector_size(64)));

// Eight independent sums, so that additions never wait for each other.
__attribute__((target_clones("avx512f", "avx2", "default"))) uint64_t SumOf(const uint8_t* from,
                                                                            uint64_t bytes) {
  Words sums[8] = {};
  const auto* words = reinterpret_cast<const Words*>(from);
  for (uint64_t i = 0; i < bytes / sizeof(Words); i += 8) {
    for (uint64_t k = 0; k < 8; ++k) sums[k] += words[i + k];
  }
  uint64_t sum = 0;
  for (const Words& lane : sums) {
    for (int k = 0; k < 8; ++k) sum += lane[k];
  }
  return sum;
}

}  // namespace

SequentialMemory::SequentialMemory() {
  memory_.reset(static_cast<uint8_t*>(std::aligned_alloc(kHugePageBytes, bytes_)));
  if (memory_ == nullptr) Die("no memory to read from one end to the other");
  (void)::madvise(memory_.get(), bytes_, MADV_HUGEPAGE);
  std::memset(memory_.get(), 1, bytes_);
}

double SequentialMemory::BytesPerSecond(int threads) {
  std::vector<std::thread> others;
  std::vector<uint64_t> sums(static_cast<size_t>(threads));
  const uint64_t piece = bytes_ / static_cast<uint64_t>(threads);
  const auto start = std::chrono::steady_clock::now();
  const auto read = [&](size_t t) { sums[t] = SumOf(memory_.get() + t * piece, piece); };
  for (size_t t = 1; t < sums.size(); ++t) others.emplace_back(read, t);
  read(0);
  for (std::thread& other : others) other.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const uint64_t sum : sums) {
    if (sum != piece / 8 * 0x0101010101010101) Die("memory holds something else than was written");
  }
  return static_cast<double>(piece * sums.size()) / seconds;
}

}  // namespace lutdb::bench
