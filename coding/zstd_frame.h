// ZSTD frames by contexts that each thread keeps, since making one costs more than compressing a
// few kilobytes. When there is no memory for one, what happens is what operator new does, so that
// it is never taken for damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lutdb {

// A frame of `count` bytes, written to `frame` (resized to what it takes); false: ZSTD refuses.
// Deterministic.
bool CompressFrame(const void* from, size_t count, int level, std::vector<uint8_t>* frame);

// Whether the frame holds exactly `count` bytes, which are then at `to`; never writes beyond.
bool DecompressFrame(const void* frame, size_t bytes, void* to, size_t count);

}  // namespace lutdb
