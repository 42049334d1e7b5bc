// Runs numbered pieces of work on a few threads that are kept: oneTBB's.
//
// ThreadSanitizer does not see into oneTBB's library and takes all that goes through it for races;
// suppressing those would hide the real ones of the work itself. So where it looks on, every piece
// has a thread of its own, which it understands.
#pragma once

#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace lutdb {

class TaskArena {
 public:
  // No more threads than the machine has cores, about which oneTBB would warn. They are made by the
  // first Run.
  explicit TaskArena(int threads)
      : arena_(std::min(threads, std::max(1, tbb::this_task_arena::max_concurrency()))) {}

  // Calls body(piece) for 0 .. pieces - 1, each once, and returns when all have; what body wrote is
  // there then. body must not throw. Throws std::exception when there is no memory or no thread.
  template <typename Body, typename Partitioner>
  void Run(size_t pieces, const Body& body, const Partitioner& partitioner) {
#ifdef __SANITIZE_THREAD__
    std::vector<std::thread> threads;
    for (size_t piece = 1; piece < pieces; ++piece) {
      threads.emplace_back([&body, piece] { body(piece); });
    }
    body(0);
    for (std::thread& thread : threads) thread.join();
    (void)partitioner;
#else
    arena_.execute([&] { tbb::parallel_for(size_t{0}, pieces, body, partitioner); });
#endif
  }

 private:
  tbb::task_arena arena_;
};

}  // namespace lutdb
