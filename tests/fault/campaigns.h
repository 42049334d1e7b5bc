// Faults by the thousand: each campaign runs workloads under one kind of fault, checks what is left
// after every one, and counts.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/fault/faulty_calls.h"
#include "tests/fault/workloads.h"

namespace lutdb::fault {

struct Tally {
  int64_t cases = 0;
  int64_t errors = 0;     // the work ended with a status
  int64_t successes = 0;  // it went on as if nothing were
  int64_t killed = 0;
  // The process ended in an assertion of RocksDB's, which Debian builds with: as if killed. Met by
  // reads from the wrong place alone (docs/reliability.md), a violation with any other fault.
  int64_t aborted = 0;
  int64_t lost = 0;  // control runs: cases that lost what was acknowledged
  std::vector<std::string> violations;

  void Add(const Tally& other);
};

// Fails the n-th call of each kind, for n = 1, 1 + stride, ..., once and from then on.
Tally FailEveryCall(const Workloads& workloads, const std::string& name, Effect effect,
                    int64_t stride, uint64_t seed);
// Kills the work in place of call number n (tearing a write), at `count` places.
Tally KillAtCalls(const Workloads& workloads, const std::string& name, int64_t count,
                  uint64_t seed);
// Kills the work `count` times at random moments.
Tally KillAtRandom(const Workloads& workloads, const std::string& name, int64_t count,
                   uint64_t seed);
// Cuts the power at `count` moments of one run. obeys_syncs false: the control.
Tally CutPower(const Workloads& workloads, const std::string& name, int64_t count, bool obeys_syncs,
               uint64_t seed);

// Lets memory run out at `count` places of the work.
Tally ExhaustMemory(const Workloads& workloads, const std::string& name, int64_t count,
                    uint64_t seed);
// Has the work die at every named crash point it comes by (base/crash_point.h), the first `times`
// times. *reached: adds those.
Tally DieAtCrashPoints(const Workloads& workloads, const std::string& name, int times,
                       std::set<std::string>* reached);
// Copies the store file by file, as cp does, while the work goes on: each copy is some moment's
// store or is refused. errors: refused; successes: whole.
Tally CopyMeanwhile(const Workloads& workloads, int64_t count, uint64_t seed);
// Reads the branch main over and over while the work goes on.
Tally ReadMeanwhile(const Workloads& workloads, uint64_t seed);

}  // namespace lutdb::fault
