// Work on a store while others copy or read it.

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "base/file.h"
#include "base/status.h"
#include "tests/fault/campaigns.h"
#include "tests/fault/in_child.h"

namespace lutdb::fault {
namespace {

namespace fs = std::filesystem;

// Takes the steps of the edited store's script from where "bake" starts, slowly enough to be met.
pid_t StartWriter(const Workloads& workloads, const std::string& store) {
  const pid_t writer = ::fork();
  if (writer != 0) return writer;
  const EditScript& script = workloads.edited_script();
  auto history = History::Open(store, {.write = true});
  if (!history.ok()) ::_exit(1);
  for (size_t i = workloads.edited_begin(); i < script.steps().size(); ++i) {
    if (!RunStep(script.steps()[i], history->get()).ok()) ::_exit(1);
    Acknowledge();
    ::usleep(1000);
  }
  history->reset();
  ::_exit(0);
}

bool IsRunning(pid_t process, int* status) { return ::waitpid(process, status, WNOHANG) == 0; }

// As `cp -r` does: what is gone when its turn comes is left out.
void CopyAsItIs(const std::string& from, const std::string& to) {
  std::error_code ignored;
  fs::create_directories(to, ignored);
  for (const auto& entry : fs::directory_iterator(from, ignored)) {
    const std::string path = JoinPath(to, entry.path().filename().string());
    if (entry.is_directory(ignored)) {
      CopyAsItIs(entry.path(), path);
    } else {
      fs::copy_file(entry.path(), path, ignored);
    }
  }
}

// Whether each table is, entry for entry, what `main` was at one of the states; reads of different
// tables may be of different commits.
std::string CheckMain(const BuiltTables& tables, const EditScript& script, size_t low,
                      size_t high) {
  for (uint32_t t = 0; t < tables.size(); ++t) {
    bool any = false;
    for (size_t k = low; k <= std::min(high, script.steps().size()) && !any; ++k) {
      std::vector<int16_t> wanted = script.tables()[t].entries;
      for (const auto& [place, value] : script.state(k).branches.at("main")->edited) {
        if (place.first == t) wanted[place.second] = value;
      }
      any = wanted == tables[t].entries;
    }
    if (!any) {
      return fmt::format("{} is of no moment between {} and {} steps", tables[t].name, low, high);
    }
  }
  return "";
}

}  // namespace

Tally CopyMeanwhile(const Workloads& workloads, int64_t count, uint64_t seed) {
  Tally tally;
  Unwatch();
  const std::string room = JoinPath(workloads.folder(), "meanwhile");
  const std::string store = JoinPath(room, "s");
  CopyFolder(workloads.Get("bake").start, room);
  std::mt19937_64 random(seed);
  const pid_t writer = StartWriter(workloads, store);
  int status = 0;
  std::vector<std::string> copies;
  while (static_cast<int64_t>(copies.size()) < count && IsRunning(writer, &status)) {
    ::usleep(static_cast<useconds_t>(random() % 8000));
    copies.push_back(JoinPath(room, fmt::format("copy{}", copies.size())));
    CopyAsItIs(store, copies.back());
  }
  ::waitpid(writer, &status, 0);
  const EditScript& script = workloads.edited_script();
  for (const std::string& copy : copies) {
    ++tally.cases;
    const Ending ending = InChild([&] {
      size_t found = 0;
      return CompareStore(copy, script, workloads.edited_begin(), script.steps().size(), &found);
    });
    const bool refused = ending.message.rfind("cannot be read", 0) == 0;
    tally.successes += ending.ok;
    tally.errors += refused;
    if (!ending.ok && !refused) {
      tally.violations.push_back(
          fmt::format("seed {}: {}: {} (signal {})", seed, copy, ending.message, ending.signal));
    }
  }
  return tally;
}

Tally ReadMeanwhile(const Workloads& workloads, uint64_t seed) {
  Tally tally;
  const std::string room = JoinPath(workloads.folder(), "meanwhile");
  const std::string store = JoinPath(room, "s");
  CopyFolder(workloads.Get("bake").start, room);
  Watch(store);  // for the counter of what was acknowledged
  const pid_t writer = StartWriter(workloads, store);
  const EditScript& script = workloads.edited_script();
  int status = 0;
  while (IsRunning(writer, &status)) {
    ++tally.cases;
    const Ending ending = InChild([&]() -> std::string {
      const size_t low = workloads.edited_begin() + static_cast<size_t>(ThePlan().acknowledged);
      const auto tables = ReadTables(store, "main");
      const size_t high = workloads.edited_begin() + static_cast<size_t>(ThePlan().acknowledged);
      if (!tables.ok()) return Message(tables.status());
      return CheckMain(*tables, script, low, high + 1);
    });
    if (!ending.ok) {
      tally.violations.push_back(fmt::format("seed {}: a reader beside a writer: {} (signal {})",
                                             seed, ending.message, ending.signal));
    }
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    tally.violations.push_back("the writer beside readers failed");
  }
  Unwatch();
  return tally;
}

}  // namespace lutdb::fault
