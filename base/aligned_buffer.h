// Heap memory aligned for vectors and cache lines, sized once.
#pragma once

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

}  // namespace lutdb
