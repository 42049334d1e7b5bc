#include "tests/fault/campaigns.h"

#include <signal.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/out_of_memory.h"
#include "base/status.h"
#include "tests/fault/disk_replay.h"
#include "tests/fault/in_child.h"

namespace lutdb::fault {
namespace {

namespace fs = std::filesystem;

class Runner {
 public:
  Runner(const Workloads& workloads, const std::string& name)
      : workload_(workloads.Get(name)),
        room_(JoinPath(workloads.folder(), "run")),
        store_(JoinPath(room_, "s")) {}

  const std::string& store() const { return store_; }
  const std::string& room() const { return room_; }
  const Workload& workload() const { return workload_; }

  // A fresh copy of the start, watched.
  void Prepare() {
    Unwatch();
    CopyFolder(workload_.start, room_);
    Watch(store_);
  }
  Ending Run(int64_t kill_after_us = -1) {
    return InChild([this] { return workload_.run(store_); }, 60, kill_after_us);
  }
  // What the check says about the store at a path; dying counts.
  std::string Check(const std::string& store, int64_t acknowledged, bool complete) {
    Unwatch();
    const Ending ending = InChild([&] { return workload_.check(store, acknowledged, complete); });
    if (ending.ok) return "";
    if (ending.hung) return "looking at it hangs";
    if (ending.signal != 0) return fmt::format("looking at it dies of signal {}", ending.signal);
    return ending.message.empty() ? "looking at it fails" : ending.message;
  }

 private:
  const Workload& workload_;
  const std::string room_, store_;
};

// Calls of each kind in a run without faults.
struct Counts {
  int64_t of[kCalls] = {};
  int64_t total = 0;
  int64_t acknowledged = 0;
  double seconds = 0;
};

Counts CountCalls(Runner* runner, Tally* tally) {
  runner->Prepare();
  const auto begin = std::chrono::steady_clock::now();
  const Ending ending = runner->Run();
  Counts counts;
  counts.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (int i = 0; i < kCalls; ++i) counts.of[i] = ThePlan().count[i];
  counts.total = TotalCalls();
  counts.acknowledged = ThePlan().acknowledged;
  if (!ending.ok) {
    tally->violations.push_back(
        fmt::format("{}: fails without faults: {}", runner->workload().name, ending.message));
  }
  return counts;
}

int ErrorFor(Call call, bool sticky) {
  if (call == Call::kSpace) return ENOSPC;
  if (call == Call::kWrite || call == Call::kName) return sticky ? ENOSPC : EIO;
  return EIO;
}

void Judge(Runner* runner, const Ending& ending, const std::string& what, Tally* tally) {
  ++tally->cases;
  Plan& plan = ThePlan();
  const int64_t acknowledged = plan.acknowledged;
  const std::string where = plan.where;
  const bool killed = plan.effect == Effect::kKill && ending.signal == SIGKILL;
  std::string problem;
  if (ending.hung) {
    problem = "it hangs";
  } else if (killed) {
    ++tally->killed;
  } else if (ending.signal == SIGABRT && plan.effect == Effect::kMisplace) {
    ++tally->aborted;
  } else if (ending.signal != 0) {
    problem = fmt::format("it dies of signal {}", ending.signal);
  } else if (ending.ok) {
    ++tally->successes;
  } else {
    ++tally->errors;
    // Out of memory, the line went to standard error and the process with it.
    if (ending.message.empty() && plan.call != Call::kMemory) problem = "it fails without a line";
    if (ending.message.find("WRONG") != std::string::npos) problem = ending.message;
    if (ending.message.find('\n') != std::string::npos) problem = "its error has several lines";
  }
  const std::string left = runner->Check(runner->store(), acknowledged, ending.ok);
  if (problem.empty()) problem = left;
  if (problem.empty()) return;
  tally->violations.push_back(fmt::format("{}, {} ({}; {} acknowledged; said: {}): {}",
                                          runner->workload().name, what, where, acknowledged,
                                          ending.message, problem));
}

}  // namespace

void Tally::Add(const Tally& other) {
  cases += other.cases;
  errors += other.errors;
  successes += other.successes;
  killed += other.killed;
  aborted += other.aborted;
  lost += other.lost;
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
}

Tally FailEveryCall(const Workloads& workloads, const std::string& name, Effect effect,
                    int64_t stride, uint64_t seed) {
  Tally tally;
  Runner runner(workloads, name);
  const Counts counts = CountCalls(&runner, &tally);
  std::mt19937_64 random(seed);
  for (int i = 0; i < static_cast<int>(Call::kMemory); ++i) {
    const auto call = static_cast<Call>(i);
    if ((effect == Effect::kFlip || effect == Effect::kMisplace) && call != Call::kRead) continue;
    if (effect == Effect::kTear && call != Call::kWrite) continue;
    for (const bool sticky : {false, true}) {
      if (sticky && effect != Effect::kFail) continue;
      const int64_t first = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(stride));
      for (int64_t n = first; n <= counts.of[i]; n += stride) {
        runner.Prepare();
        Arm(effect, call, n, sticky, ErrorFor(call, sticky));
        const Ending ending = runner.Run();
        Judge(&runner, ending,
              fmt::format("effect {} on {} {}{}", static_cast<int>(effect), Name(call), n,
                          sticky ? " and on" : ""),
              &tally);
      }
    }
  }
  return tally;
}

Tally ExhaustMemory(const Workloads& workloads, const std::string& name, int64_t count,
                    uint64_t seed) {
  Tally tally;
  Runner runner(workloads, name);
  const Counts counts = CountCalls(&runner, &tally);
  std::mt19937_64 random(seed);
  const auto allocations = static_cast<uint64_t>(counts.of[static_cast<int>(Call::kMemory)]);
  for (int64_t i = 0; i < count; ++i) {
    runner.Prepare();
    const auto n = static_cast<int64_t>(1 + random() % allocations);
    Arm(Effect::kFail, Call::kMemory, n, true, ENOMEM);
    const Ending ending = InChild([&] {
      ExitWhenOutOfMemory();
      (void)::freopen("/dev/null", "w", stderr);  // where the line goes
      return runner.workload().run(runner.store());
    });
    Judge(&runner, ending, fmt::format("seed {}: no memory from allocation {}", seed, n), &tally);
  }
  return tally;
}

Tally DieAtCrashPoints(const Workloads& workloads, const std::string& name, int times,
                       std::set<std::string>* reached) {
  Tally tally;
  Runner runner(workloads, name);
  for (const char* point : CrashPoints()) {
    for (int time = 1; time <= times; ++time) {
      runner.Prepare();
      ::setenv("LUTDB_CRASH_AT", fmt::format("{}:{}", point, time).c_str(), 1);
      const Ending ending = runner.Run();
      if (ending.signal == SIGKILL) {
        reached->insert(point);
        const int64_t acknowledged = ThePlan().acknowledged;
        ::unsetenv("LUTDB_CRASH_AT");
        ++tally.cases;
        ++tally.killed;
        const std::string problem = runner.Check(runner.store(), acknowledged, false);
        if (!problem.empty()) {
          tally.violations.push_back(
              fmt::format("{} killed at {}:{}: {}", name, point, time, problem));
        }
      }
      ::unsetenv("LUTDB_CRASH_AT");
    }
  }
  return tally;
}

Tally KillAtCalls(const Workloads& workloads, const std::string& name, int64_t count,
                  uint64_t seed) {
  Tally tally;
  Runner runner(workloads, name);
  const Counts counts = CountCalls(&runner, &tally);
  std::mt19937_64 random(seed);
  for (int64_t i = 0; i < count; ++i) {
    runner.Prepare();
    const auto n = static_cast<int64_t>(1 + random() % static_cast<uint64_t>(counts.total));
    Arm(Effect::kKill, Call::kRead, n, false, 0);
    const Ending ending = runner.Run();
    Judge(&runner, ending, fmt::format("seed {}: killed at call {}", seed, n), &tally);
  }
  return tally;
}

Tally KillAtRandom(const Workloads& workloads, const std::string& name, int64_t count,
                   uint64_t seed) {
  Tally tally;
  Runner runner(workloads, name);
  const Counts counts = CountCalls(&runner, &tally);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> moment(0, counts.seconds * 1e6);
  for (int64_t i = 0; i < count; ++i) {
    runner.Prepare();
    ThePlan().effect = Effect::kKill;  // dying of it is no crash
    const auto after = static_cast<int64_t>(moment(random));
    const Ending ending = runner.Run(after);
    Judge(&runner, ending, fmt::format("seed {}: killed after {} us", seed, after), &tally);
  }
  return tally;
}

Tally CutPower(const Workloads& workloads, const std::string& name, int64_t count, bool obeys_syncs,
               uint64_t seed) {
  Tally tally;
  Runner runner(workloads, name);
  runner.Prepare();
  const std::string trace = JoinPath(workloads.folder(), "trace");
  StartTrace(trace);
  const Ending ending = runner.Run();
  Unwatch();
  if (!ending.ok) tally.violations.push_back(name + ": fails without faults: " + ending.message);
  std::ifstream file(trace, std::ios::binary);
  const std::vector<DiskChange> changes =
      DecodeChanges(std::string(std::istreambuf_iterator<char>(file), {}));
  std::mt19937_64 random(seed);
  std::vector<size_t> moments(static_cast<size_t>(count));
  for (size_t& moment : moments) moment = random() % (changes.size() + 1);
  moments.back() = changes.size();  // when everything was acknowledged
  std::sort(moments.begin(), moments.end());
  ReplayedDisk disk(runner.store(), JoinPath(workloads.Get(name).start, "s"), obeys_syncs);
  const std::string room = JoinPath(workloads.folder(), "cut");
  size_t at = 0;
  int64_t acknowledged = 0;
  for (size_t i = 0; i < moments.size(); ++i) {
    for (; at < moments[i]; ++at) {
      acknowledged += changes[at].change == Change::kAcknowledge;
      disk.Apply(changes[at]);
    }
    fs::remove_all(room);
    fs::create_directory(room);
    const Cut cut = i % 3 == 0 || !obeys_syncs ? Cut::kNothingUnsynced : Cut::kSomeUnsynced;
    disk.WriteAfter(cut, &random, JoinPath(room, "s"));
    ++tally.cases;
    const std::string problem =
        runner.Check(JoinPath(room, "s"), acknowledged, at == changes.size());
    if (problem.empty()) continue;
    if (!obeys_syncs) {
      ++tally.lost;
      continue;
    }
    tally.violations.push_back(fmt::format(
        "{}, seed {}: power cut after change {} of {} ({} acknowledged, {}): {}", name, seed, at,
        changes.size(), acknowledged,
        cut == Cut::kNothingUnsynced ? "nothing unsynced kept" : "some of it kept", problem));
  }
  return tally;
}

}  // namespace lutdb::fault
