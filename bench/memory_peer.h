// What the machine itself can do: reading memory from one end to the other, and a dense product.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"

namespace lutdb::bench {

// A gigabyte of memory in huge pages where the machine gives them, every page touched.
class SequentialMemory {
 public:
  SequentialMemory();
  // Bytes read per second, all of it once, by so many threads with a piece each.
  double BytesPerSecond(int threads);
  uint64_t bytes() const { return bytes_; }

 private:
  uint64_t bytes_ = uint64_t{1} << 30;
  AlignedArray<uint8_t> memory_;
};

}  // namespace lutdb::bench
