#include "cli/interrupt.h"

#include <csignal>

namespace lutdb::cli {
namespace {
std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "signal handlers may only touch such");
}  // namespace

std::atomic<bool>* StopOnSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop.store(true); };
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // reset: the second signal takes its default course
  for (int signal : {SIGINT, SIGTERM}) {
    struct sigaction old = {};
    // A shell's `command &` ignores SIGINT on purpose; that is left alone.
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
  return &stop;
}

}  // namespace lutdb::cli
