#include "ingest/progress_meter.h"

namespace lutdb {

constexpr std::chrono::milliseconds kBetweenCalls(200);

void ProgressMeter::Start(const char* stage, uint64_t total, uint64_t done) {
  if (!function_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.stage = stage;
  progress_.total = total;
  progress_.done = done;
  progress_.bytes_done = 0;
  function_(progress_);
  next_call_ = std::chrono::steady_clock::now() + kBetweenCalls;
}

void ProgressMeter::Add(uint64_t done, uint64_t bytes_done, uint64_t bytes_stored) {
  if (!function_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  progress_.done += done;
  progress_.bytes_done += bytes_done;
  progress_.bytes_stored += bytes_stored;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_call_) return;
  next_call_ = now + kBetweenCalls;
  function_(progress_);
}

void ProgressMeter::Finish() {
  if (!function_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  function_(progress_);
}

}  // namespace lutdb
