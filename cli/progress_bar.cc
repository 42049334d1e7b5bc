#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/notice.h"
#include "cli/sizes.h"

namespace lutdb::cli {
namespace {
constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kTerminalInterval{100};
constexpr std::chrono::seconds kLogInterval{5};
}  // namespace

std::string FormatProgress(const Progress& progress, uint64_t done, uint64_t bytes,
                           double seconds) {
  std::string line = fmt::format("{:<8}", progress.stage);
  if (progress.total > 0) {
    const double share =
        std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
    const int filled = static_cast<int>(share * kBarWidth);
    line += fmt::format(" [{}{}] {:3.0f} %", std::string(filled, '#'),
                        std::string(kBarWidth - filled, '.'), share * 100);
  }
  if (progress.bytes_done > 0) line += "  " + HumanBytes(static_cast<double>(progress.bytes_done));
  if (bytes > 0 && seconds > 0) {
    line += "  " + HumanBytes(static_cast<double>(bytes) / seconds) + "/s";
  }
  if (progress.bytes_stored > 0) {
    line += "  " + HumanBytes(static_cast<double>(progress.bytes_stored)) + " stored";
  }
  if (progress.total > progress.done && done > 0 && seconds > 0.5) {
    const double left =
        seconds * static_cast<double>(progress.total - progress.done) / static_cast<double>(done);
    line += "  " + HumanSeconds(left) + " left";
  }
  return line;
}

ProgressBar::ProgressBar() : terminal_(isatty(STDERR_FILENO) == 1), last_shown_(Clock::now()) {}

ProgressBar::~ProgressBar() {
  if (line_open_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::Report(const Progress& progress) {
  const Clock::time_point now = Clock::now();
  if (stage_ != progress.stage) {
    stage_ = progress.stage;
    stage_begin_ = now;
    done_at_begin_ = progress.done;
    bytes_at_begin_ = progress.bytes_done;
  }
  const Clock::duration since = now - last_shown_;
  if (terminal_ ? since < kTerminalInterval : since < kLogInterval) return;
  last_shown_ = now;
  const std::string line =
      FormatProgress(progress, progress.done - std::min(progress.done, done_at_begin_),
                     progress.bytes_done - std::min(progress.bytes_done, bytes_at_begin_),
                     std::chrono::duration<double>(now - stage_begin_).count());
  if (terminal_) {
    Notice("\r{}\x1b[K", line);
    line_open_ = true;
  } else {
    Notice("{}\n", line);
  }
  std::fflush(stderr);
}

}  // namespace lutdb::cli
