#include "query/workers.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/status.h"
#include "base/task_arena.h"

namespace lutdb {

struct Workers::State {
  explicit State(unsigned threads) : arena(static_cast<int>(threads)) {}
  TaskArena arena;  // its threads are made by its first use: a single lookup never pays for them
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
  const auto run = [&](uint64_t begin, uint64_t end) {
    if (failed.load(std::memory_order_relaxed)) return;
    absl::Status status = body(begin, end);
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
      const auto piece_of = [&](uint64_t piece) {
        run(count * piece / pieces, count * (piece + 1) / pieces);
      };
      state_->arena.Run(pieces, piece_of, tbb::auto_partitioner());
    }
  } catch (const std::exception& error) {
    return ResourceExhausted("work could not be split over {} threads: {}", threads_, error.what());
  }
  return first_error;
}

}  // namespace lutdb
