// Invariants of our own code. Bad input never reaches these: it becomes an absl::Status.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace lutdb {

[[noreturn]] inline void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "lutdb: internal error: %s does not hold (%s:%d); please report this\n",
               condition, file, line);
  std::abort();
}

}  // namespace lutdb

// Stays on in release builds: a wrong sum is worse than a crash.
#define LUTDB_CHECK(condition) \
  ((condition) ? (void)0 : ::lutdb::CheckFailed(#condition, __FILE__, __LINE__))

// For kernels, where a branch per element would cost; on in debug and sanitizer builds only.
#ifdef NDEBUG
#define LUTDB_DCHECK(condition) ((void)sizeof(condition))
#else
#define LUTDB_DCHECK(condition) LUTDB_CHECK(condition)
#endif
