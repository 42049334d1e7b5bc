// Progress of long work on standard error: a bar on a terminal, a line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "lutdb/options.h"

namespace lutdb::cli {

// Shows what is reported; clears or ends its line when destroyed. Used by one thread at a time.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;

  void Report(const Progress& progress);
  // For the library's options; the bar must outlive the work.
  ProgressFn Callback() {
    return [this](const Progress& progress) { Report(progress); };
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool line_open_ = false;
  std::string stage_;
  Clock::time_point stage_begin_;
  uint64_t done_at_begin_ = 0;  // work found finished when the stage began, as after a resumption
  uint64_t bytes_at_begin_ = 0;
  Clock::time_point last_shown_;
};

// One line: stage, bar, share, bytes, rate and time left. `done` and `bytes` were made in
// `seconds`; the rest of progress.done was there before.
std::string FormatProgress(const Progress& progress, uint64_t done, uint64_t bytes, double seconds);

}  // namespace lutdb::cli
