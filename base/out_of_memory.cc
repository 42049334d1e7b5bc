#include "base/out_of_memory.h"

#include <unistd.h>

#include <new>
#include <string_view>

namespace lutdb {

void ExitWhenOutOfMemory() {
  std::set_new_handler([] {
    // No allocation, no stream: there is no memory.
    constexpr std::string_view kLine =
        "lutdb: out of memory; nothing is left half-done: select less, or set smaller --arena or "
        "--memory\n";
    (void)!::write(STDERR_FILENO, kLine.data(), kLine.size());
    ::_exit(1);
  });
}

void FailAllocation() {
  if (const std::new_handler handler = std::get_new_handler()) handler();
  throw std::bad_alloc();
}

}  // namespace lutdb
