// The threads of one model: a static split of independent outputs, so that which thread computes
// what never depends on timing and results are the same for any number of threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>

#include "base/status.h"
#include "base/task_arena.h"

namespace lutdb {

class ThreadTeam {
 public:
  // Work (elements touched) below which waking another thread costs more than it saves.
  static constexpr uint64_t kWorkMin = 1 << 17;

  // threads 0: all cores.
  explicit ThreadTeam(unsigned threads)
      : count_(threads == 0 ? std::max(1, tbb::this_task_arena::max_concurrency())
                            : static_cast<int>(std::min(threads, 1024u))),
        arena_(count_) {}

  // Most slices a Split makes; slice numbers are below it.
  unsigned count() const { return static_cast<unsigned>(count_); }

  // Calls body(slice, begin, end) for consecutive ranges that cover [0, items), cut at multiples of
  // `granule`, at most one per thread; on the calling thread alone when `work` is small. body must
  // not throw and writes nothing that another range writes. ResourceExhausted when threads or
  // memory cannot be had; outputs are then undefined.
  template <typename Body>
  absl::Status Split(size_t items, size_t granule, uint64_t work, const Body& body) {
    const size_t granules = (items + granule - 1) / granule;
    const size_t slices = std::min<size_t>(count(), granules);
    if (slices <= 1 || work < kWorkMin) {
      if (items > 0) body(0u, size_t{0}, items);
      return absl::OkStatus();
    }
    const auto run = [&](size_t slice) {
      const size_t begin = granules * slice / slices * granule;
      const size_t end = std::min(items, granules * (slice + 1) / slices * granule);
      body(static_cast<unsigned>(slice), begin, end);
    };
    try {
      arena_.Run(slices, run, tbb::static_partitioner());
    } catch (const std::exception& error) {
      return ResourceExhausted("cannot run {} threads: {}; use fewer", slices, error.what());
    }
    return absl::OkStatus();
  }

 private:
  int count_;
  TaskArena arena_;
};

}  // namespace lutdb
