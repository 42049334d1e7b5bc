// ./dev soak: every campaign at length, from one seed.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/status.h"
#include "tests/fault/campaigns.h"
#include "tests/fault/flips.h"

int main(int argc, char** argv) {
  using namespace lutdb::fault;
  const std::string what = argc > 1 ? argv[1] : "all";
  const std::string name = argc > 2 ? argv[2] : "commit";
  const int64_t count = argc > 3 ? atoll(argv[3]) : 10;
  const uint64_t seed = argc > 4 ? strtoull(argv[4], nullptr, 10) : 1;
  Workloads workloads("/dev/shm/lutdb_soak", seed);
  Tally tally;
  if (what == "bits") {
    const FlipTally flips = FlipBits(workloads, count, seed);
    for (const auto& [kind, c] : flips.kinds) {
      fmt::print("{}: {} flips, {} harmless, {} refused, {} found, {} mended, {} unrecoverable\n",
                 kind, c.flips, c.harmless, c.refused, c.found, c.mended, c.unrecoverable);
    }
    tally.violations = flips.violations;
  }
  if (what == "fail") tally = FailEveryCall(workloads, name, Effect::kFail, count, seed);
  if (what == "flip") tally = FailEveryCall(workloads, name, Effect::kFlip, count, seed);
  if (what == "misplace") tally = FailEveryCall(workloads, name, Effect::kMisplace, count, seed);
  if (what == "tear") tally = FailEveryCall(workloads, name, Effect::kTear, count, seed);
  if (what == "kill") tally = KillAtCalls(workloads, name, count, seed);
  if (what == "random") tally = KillAtRandom(workloads, name, count, seed);
  if (what == "cut") tally = CutPower(workloads, name, count, true, seed);
  if (what == "control") tally = CutPower(workloads, name, count, false, seed);
  fmt::print("{} {}: {} cases, {} errors, {} successes, {} killed, {} lost, {} violations\n", what,
             name, tally.cases, tally.errors, tally.successes, tally.killed, tally.lost,
             tally.violations.size());
  for (const std::string& line : tally.violations) fmt::print("  {}\n", line);
  std::filesystem::remove_all("/dev/shm/lutdb_soak");
}
