#include "ingest/parallel.h"

#include <algorithm>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/status.h"

namespace lutdb {

unsigned ThreadsOf(unsigned threads) {
  return threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

bool IsCancelled(const std::atomic<bool>* cancel) {
  return cancel != nullptr && cancel->load(std::memory_order_relaxed);
}

absl::Status CancelledStatus() { return absl::CancelledError("interrupted"); }

absl::Status ParallelFor(uint64_t count, unsigned threads, const std::atomic<bool>* cancel,
                         const std::function<absl::Status(uint64_t, unsigned)>& work) {
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  absl::Status first_error;
  auto run = [&](unsigned worker) {
    while (!stop.load(std::memory_order_relaxed)) {
      const uint64_t piece = next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= count) return;
      absl::Status status = IsCancelled(cancel) ? CancelledStatus() : work(piece, worker);
      if (status.ok()) continue;
      std::lock_guard<std::mutex> lock(mutex);
      if (first_error.ok()) first_error = std::move(status);
      stop.store(true, std::memory_order_relaxed);
    }
  };
  const unsigned extra =
      static_cast<unsigned>(std::min<uint64_t>(threads, std::max<uint64_t>(count, 1))) - 1;
  std::vector<std::thread> helpers;
  for (unsigned worker = 1; worker <= extra; ++worker) {
    try {
      helpers.emplace_back(run, worker);
    } catch (const std::system_error&) {
      break;  // fewer threads than asked for do the same work
    }
  }
  run(0);
  for (std::thread& helper : helpers) helper.join();
  return first_error;
}

}  // namespace lutdb
