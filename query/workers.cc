#include "query/workers.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/hand_over.h"
#include "base/status.h"

namespace lutdb {

struct Workers::State {
  // More threads than cores only make oneTBB complain on standard error.
  explicit State(unsigned threads)
      : arena(std::min(static_cast<int>(threads),
                       std::max(1, tbb::this_task_arena::max_concurrency()))) {}
  tbb::task_arena arena;  // made lazily by its first use, so that a single lookup never pays for it
};

Workers::Workers(unsigned threads)
    : threads_(threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency())),
      state_(std::make_unique<State>(threads_)) {}
Workers::~Workers() = default;

absl::Status Workers::Split(uint64_t count, uint64_t grain,
                            const std::function<absl::Status(uint64_t, uint64_t)>& body) const {
  grain = std::max<uint64_t>(grain, 1);
  if (count == 0) return absl::OkStatus();
  std::mutex mutex;
  absl::Status first_error;
  std::atomic<bool> failed{false};
  HandOver hand_over;
  const auto run = [&](uint64_t begin, uint64_t end) {
    if (failed.load(std::memory_order_relaxed)) return;
    hand_over.Take();
    absl::Status status = body(begin, end);
    hand_over.Give();
    if (status.ok()) return;
    failed.store(true, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(mutex);
    if (first_error.ok()) first_error = std::move(status);
  };
  try {
    if (threads_ == 1 || count <= grain) {
      run(0, count);
    } else {
      // Two pieces a thread: enough to even out, few enough to keep each a long run of keys.
      const uint64_t pieces = std::min<uint64_t>(count / grain, uint64_t{threads_} * 2);
      hand_over.Give();
      state_->arena.execute([&] {
        tbb::parallel_for(uint64_t{0}, pieces, [&](uint64_t piece) {
          run(count * piece / pieces, count * (piece + 1) / pieces);
        });
      });
      hand_over.Take();
    }
  } catch (const std::exception& error) {
    return ResourceExhausted("work could not be split over {} threads: {}", threads_, error.what());
  }
  return first_error;
}

}  // namespace lutdb
