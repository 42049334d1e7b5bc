// XXH3 as lutdb uses it: streaming states that live on the stack, with the library's own run-time
// choice of instruction set (twice as fast as its portable form). Hashes are the same either way.
#pragma once

#include <cstddef>
#include <cstdint>

#define XXH_STATIC_LINKING_ONLY  // states on the stack
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

#include "lutdb/types.h"

namespace lutdb {

inline uint64_t Hash64Of(const void* bytes, size_t count) { return XXH3_64bits(bytes, count); }

// XXH3-64 of bytes that arrive in pieces.
class Hash64 {
 public:
  Hash64() {
    XXH3_INITSTATE(&state_);
    XXH3_64bits_reset(&state_);
  }
  void Update(const void* bytes, size_t count) { XXH3_64bits_update(&state_, bytes, count); }
  uint64_t Finish() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

// XXH3-128 of bytes that arrive in pieces; reusable by Reset.
class Hash128Stream {
 public:
  Hash128Stream() {
    XXH3_INITSTATE(&state_);
    Reset();
  }
  void Reset() { XXH3_128bits_reset(&state_); }
  void Update(const void* bytes, size_t count) { XXH3_128bits_update(&state_, bytes, count); }
  Hash128 Finish() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return {.low = hash.low64, .high = hash.high64};
  }

 private:
  XXH3_state_t state_;
};

}  // namespace lutdb
