// Faults by the thousand: each campaign runs workloads under one kind of fault, checks what is left
// after every one, and counts.
#pragma once

#include <cstdint>
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
Tally CutPower(const Workloads& workloads, const std::string& name, int64_t count,
               bool obeys_syncs, uint64_t seed);

}  // namespace lutdb::fault
