// Turns what many threads finish into a few calls a second of the caller's progress function.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "lutdb/options.h"

namespace lutdb {

// Thread-safe. Does nothing without a function.
class ProgressMeter {
 public:
  explicit ProgressMeter(const ProgressFn& function) : function_(function) {}

  // Begins a stage (a string literal); bytes written so far carry over from stage to stage.
  void Start(const char* stage, uint64_t total, uint64_t done);
  // done: in the stage's unit.
  void Add(uint64_t done, uint64_t bytes_done, uint64_t bytes_stored);
  void Finish();  // the last figures of a stage

 private:
  const ProgressFn& function_;
  std::mutex mutex_;
  Progress progress_;
  std::chrono::steady_clock::time_point next_call_{};
};

}  // namespace lutdb
