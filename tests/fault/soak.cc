// ./dev soak: every campaign, round after round with another seed, until the time is over.
//
//   fault_soak HOURS [SEED] [SUMMARY] [FLIPS] [CAMPAIGN]
//
// With a campaign named, "failed calls" fails each and every call, otherwise every fifth.
//
// Stores lie below TMPDIR. Prints a line per campaign and every violation with its seed as they
// come, and writes a summary as JSON. Exit status 1 when anything was lost, wrong, hung or dead.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "tests/fault/campaigns.h"
#include "tests/fault/flips.h"

namespace lutdb::fault {
namespace {

using Json = nlohmann::ordered_json;

class Soak {
 public:
  Soak(double hours, uint64_t seed, int64_t flips, std::string only)
      : end_(std::chrono::steady_clock::now() +
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                 std::chrono::duration<double>(hours * 3600))),
        seed_(seed),
        flips_(flips),
        only_(std::move(only)) {}

  // At least one round, so that a short soak tries everything.
  bool Run(const std::string& folder) {
    do {
      const uint64_t seed = seed_ + rounds_ * 1000003;
      std::filesystem::remove_all(folder);
      const Workloads workloads(folder, seed);
      Round(workloads, seed);
      ++rounds_;
    } while (std::chrono::steady_clock::now() < end_);
    std::filesystem::remove_all(folder);
    return violations_.empty();
  }

  Json Summary() const {
    Json summary = {{"seed", seed_}, {"rounds", rounds_}};
    for (const auto& [name, tally] : tallies_) {
      summary["campaigns"][name] = {{"cases", tally.cases},
                                    {"errors", tally.errors},
                                    {"successes", tally.successes},
                                    {"killed", tally.killed},
                                    {"aborted", tally.aborted},
                                    {"lost", tally.lost},
                                    {"violations", tally.violations.size()}};
    }
    for (const auto& [kind, c] : flip_kinds_) {
      summary["bit_flips"][kind] = {{"flips", c.flips},     {"harmless", c.harmless},
                                    {"refused", c.refused}, {"found", c.found},
                                    {"mended", c.mended},   {"unrecoverable", c.unrecoverable}};
    }
    summary["violations"] = violations_;
    return summary;
  }

 private:
  void Round(const Workloads& workloads, uint64_t seed) {
    struct Faults {
      const char* what;
      Effect effect;
      int64_t every;
    };
    const bool each = !only_.empty();
    const Faults all_faults[] = {{"failed calls", Effect::kFail, each ? 1 : 5},
                                 {"torn writes", Effect::kTear, each ? 1 : 3},
                                 {"spoilt reads", Effect::kFlip, each ? 1 : 3},
                                 {"misplaced reads", Effect::kMisplace, each ? 1 : 3}};
    for (const Workload& workload : workloads.all()) {
      const std::string& name = workload.name;
      for (const Faults& faults : all_faults) {
        Try(faults.what, name,
            [&] { return FailEveryCall(workloads, name, faults.effect, faults.every, seed); });
      }
      Try("kills at calls", name, [&] { return KillAtCalls(workloads, name, 60, seed); });
      Try("kills at moments", name, [&] { return KillAtRandom(workloads, name, 60, seed); });
      Try("out of memory", name, [&] { return ExhaustMemory(workloads, name, 20, seed); });
      std::set<std::string> reached;
      Try("crash points", name, [&] { return DieAtCrashPoints(workloads, name, 2, &reached); });
      if (name == "arena") continue;  // nothing of it is promised to last
      Try("power cuts", name, [&] { return CutPower(workloads, name, 80, true, seed); });
      Try("cuts without syncs", name, [&] { return CutPower(workloads, name, 20, false, seed); });
    }
    Try("plain copies", "bake", [&] { return CopyMeanwhile(workloads, 20, seed); });
    Try("readers", "bake", [&] { return ReadMeanwhile(workloads, seed); });
    Try("bit flips", "all", [&] { return Flips(workloads, seed); });
  }

  Tally Flips(const Workloads& workloads, uint64_t seed) {
    const FlipTally flips = FlipBits(workloads, flips_, seed);
    Tally tally;
    for (const auto& [kind, c] : flips.kinds) {
      FlipCounts& all = flip_kinds_[kind];
      tally.cases += c.flips;
      all.flips += c.flips;
      all.harmless += c.harmless;
      all.refused += c.refused;
      all.found += c.found;
      all.mended += c.mended;
      all.unrecoverable += c.unrecoverable;
    }
    tally.violations = flips.violations;
    return tally;
  }

  void Try(const std::string& what, const std::string& name, const std::function<Tally()>& run) {
    if (what.find(only_) == std::string::npos) return;
    const Tally tally = run();
    fmt::print(
        "round {}, {}, {}: {} cases, {} errors, {} successes, {} killed, {} aborted, "
        "{} lost, "
        "{} violations\n",
        rounds_, what, name, tally.cases, tally.errors, tally.successes, tally.killed,
        tally.aborted, tally.lost, tally.violations.size());
    for (const std::string& line : tally.violations) {
      fmt::print("VIOLATION (seed {}): {}\n", seed_ + rounds_ * 1000003, line);
      violations_.push_back(line);
    }
    std::fflush(stdout);
    tallies_[what].Add(tally);
  }

  const std::chrono::steady_clock::time_point end_;
  const uint64_t seed_;
  const int64_t flips_;
  const std::string only_;  // part of the names of the campaigns to run
  uint64_t rounds_ = 0;
  std::map<std::string, Tally> tallies_;
  std::map<std::string, FlipCounts> flip_kinds_;
  std::vector<std::string> violations_;
};

}  // namespace
}  // namespace lutdb::fault

int main(int argc, char** argv) {
  const double hours = argc > 1 ? std::atof(argv[1]) : 0;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const std::string path = argc > 3 ? argv[3] : "soak.json";
  const int64_t flips = argc > 4 ? std::atoll(argv[4]) : 1000;
  lutdb::fault::Soak soak(hours, seed, flips, argc > 5 ? argv[5] : "");
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("lutdb_soak.{}", getpid());
  const bool held = soak.Run(folder);
  std::ofstream(path) << soak.Summary().dump(2) << "\n";
  fmt::print("{}; summary in {}\n", held ? "nothing lost, nothing wrong" : "VIOLATIONS", path);
  return held ? 0 : 1;
}
