#include "query/row_checksum.h"

// On x86 the package brings variants for each instruction set and a function that chooses; this
// header puts it in the place of the one that is compiled for any x86.
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace lutdb {

uint64_t RowChecksum(const void* bytes, size_t count) { return XXH3_64bits(bytes, count); }

}  // namespace lutdb
