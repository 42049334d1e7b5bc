// Heap memory aligned for vectors and cache lines, sized once.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/check.h"

namespace lutdb {

inline constexpr size_t kCacheLineBytes = 64;

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};

// count elements of trivially copyable T, uninitialised, aligned to 64 bytes. Dies when memory is
// out: callers size their buffers from checked shapes and budgets.
template <typename T>
using AlignedArray = std::unique_ptr<T[], FreeDeleter>;

template <typename T>
AlignedArray<T> MakeAligned(size_t count) {
  const size_t bytes =
      (count * sizeof(T) + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  void* memory = std::aligned_alloc(kCacheLineBytes, bytes == 0 ? kCacheLineBytes : bytes);
  LUTDB_CHECK(memory != nullptr);
  return AlignedArray<T>(static_cast<T*>(memory));
}

// The same for arrays of many megabytes that are read here and there: in huge pages where the
// system has them for those who ask.
template <typename T>
AlignedArray<T> MakeHuge(size_t count) {
  constexpr size_t kHugeBytes = size_t{2} << 20;
  if (count * sizeof(T) < kHugeBytes) return MakeAligned<T>(count);
  const size_t bytes = (count * sizeof(T) + kHugeBytes - 1) / kHugeBytes * kHugeBytes;
  void* memory = std::aligned_alloc(kHugeBytes, bytes);
  LUTDB_CHECK(memory != nullptr);
  (void)::madvise(memory, bytes, MADV_HUGEPAGE);  // advice: small pages hold the same
  return AlignedArray<T>(static_cast<T*>(memory));
}

}  // namespace lutdb
