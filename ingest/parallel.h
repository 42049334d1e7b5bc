// Work on numbered pieces by a few threads: what the builder, verify and repair do all their passes
// with. Pieces are claimed in ascending order, so memory in flight is bounded by the threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace lutdb {

// options.threads, or all cores when it is 0; at least 1.
unsigned ThreadsOf(unsigned threads);

// Calls work(piece, worker) once for each piece below `count`, worker below `threads`. After the
// first error no new piece begins; that error is returned. Cancelled when *cancel becomes true
// (null: never).
absl::Status ParallelFor(uint64_t count, unsigned threads, const std::atomic<bool>* cancel,
                         const std::function<absl::Status(uint64_t piece, unsigned worker)>& work);

// What ParallelFor returns when cancelled; long pieces check the flag themselves.
bool IsCancelled(const std::atomic<bool>* cancel);
absl::Status CancelledStatus();

}  // namespace lutdb
