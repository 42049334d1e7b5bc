// XXH3-64 of many rows at once, with the widest vectors of the processor: the checksum is what a
// filling of the arena would else wait for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lutdb {

uint64_t RowChecksum(const void* bytes, size_t count);

}  // namespace lutdb
