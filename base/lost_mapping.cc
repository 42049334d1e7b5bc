#include "base/lost_mapping.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace lutdb {

void ExitWhenAMappingIsLost() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    constexpr std::string_view kLine =
        "lutdb: a file that is in use (the model, or the arena of the store) was cut short or "
        "cannot "
        "be read any more; leave it alone, or run without (--arena off), and try again\n";
    (void)!::write(STDERR_FILENO, kLine.data(), kLine.size());
    ::_exit(1);
  };
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace lutdb
