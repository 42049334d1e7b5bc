// Parses, runs, and maps the status of the command to the exit code.

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "base/lost_mapping.h"
#include "base/out_of_memory.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/notice.h"
#include "cli/output.h"

namespace {

// A file that is opened while one of these is closed would get its number, and messages with it.
void ReserveStandardDescriptors() {
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // Writing to it fails, as it would to one that is closed.
    if (::fcntl(standard, F_GETFD) == -1) (void)::open("/dev/null", O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  ReserveStandardDescriptors();
  // A closed pipe is seen where it is written to, and is no reason to die.
  std::signal(SIGPIPE, SIG_IGN);
  lutdb::ExitWhenOutOfMemory();
  lutdb::ExitWhenAMappingIsLost();
  lutdb::cli::Output output(STDOUT_FILENO);
  absl::Status status =
      lutdb::cli::RunCommand(std::vector<std::string>(argv + (argc > 0), argv + argc), output);
  const absl::Status written = output.Flush();
  // Whoever reads the results has seen enough of them.
  if (output.reader_gone()) return 0;
  if (status.ok()) status = written;
  if (status.ok()) return 0;
  std::fflush(stdout);
  lutdb::cli::Notice("lutdb: {}\n", lutdb::Message(status));
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
