#include "tests/fault/in_child.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/fault/faulty_calls.h"

namespace lutdb::fault {
namespace {

double Now() {
  struct timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

Ending InChild(const std::function<std::string()>& work, double seconds, int64_t kill_after_us) {
  Plan& plan = ThePlan();
  plan.message[0] = '\0';
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    FaultMemoryHere();
    const std::string message = work();
    std::strncpy(plan.message, message.c_str(), sizeof(plan.message) - 1);
    std::fflush(nullptr);
    ::_exit(message.empty() ? 0 : 1);
  }
  Ending ending;
  const double end = Now() + seconds;
  const double kill_at =
      kill_after_us < 0 ? end : Now() + static_cast<double>(kill_after_us) * 1e-6;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    const double now = Now();
    if (now >= kill_at) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      ending.hung = kill_after_us < 0;
      break;
    }
    ::usleep(kill_after_us < 0 ? 300 : 50);
  }
  ending.exited = WIFEXITED(status);
  ending.ok = ending.exited && WEXITSTATUS(status) == 0;
  ending.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  ending.message = plan.message;
  return ending;
}

}  // namespace lutdb::fault
