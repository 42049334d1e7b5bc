// Ctrl-C and SIGTERM as a flag that long work looks at. A second signal ends the process at once.
#pragma once

#include <atomic>

namespace lutdb::cli {

// Installs the handlers and returns the flag they set. Commands that never look at it should not
// call this: the first signal would then be lost on them.
std::atomic<bool>* StopOnSignals();

}  // namespace lutdb::cli
