// Work in processes of their own, which may die, hang or use up what they like.
#pragma once

#include <functional>
#include <string>

namespace lutdb::fault {

struct Ending {
  bool exited = false;  // by itself
  bool ok = false;      // and the work returned an empty string
  bool hung = false;    // killed by us after the limit
  int signal = 0;       // that it died of
  std::string message;  // what the work returned, as far as it fits
};

// Forks, runs `work` (an empty string: all is well) and waits for at most `seconds`. The caller
// must have no threads of its own: it never opens a store itself. kill_after_us: SIGKILL after so
// many microseconds; negative: never.
Ending InChild(const std::function<std::string()>& work, double seconds = 60,
               int64_t kill_after_us = -1);

}  // namespace lutdb::fault
