// Reports an evaluation's progress a few times a second and looks whether to stop.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "lutdb/eval.h"

namespace lutdb {

class EvalProgress {
 public:
  // `options` outlives it.
  EvalProgress(const EvalOptions& options, uint64_t total) : options_(options), total_(total) {}

  // Cancelled when asked to stop.
  absl::Status Tick(uint64_t done) {
    if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
      return absl::CancelledError("evaluation was interrupted");
    }
    if (!options_.progress) return absl::OkStatus();
    const auto now = std::chrono::steady_clock::now();
    if (done < total_ && now - reported_ < std::chrono::milliseconds(200)) return absl::OkStatus();
    reported_ = now;
    Progress progress;
    progress.stage = "eval";
    progress.done = done;
    progress.total = total_;
    options_.progress(progress);
    return absl::OkStatus();
  }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const EvalOptions& options_;
  uint64_t total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point reported_{};
};

}  // namespace lutdb
