// ./dev bench: every figure that lutdb is held to, in one run.
#include "bench/suite.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/file.h"

namespace lutdb::bench {

void Die(const std::string& message) {
  fmt::print(stderr, "bench: {}\n", message);
  std::exit(1);
}

const std::vector<std::string>& FigureNames() {
  static const std::vector<std::string> names = {
      "hot_bandwidth_1t",  "hot_bandwidth_2t", "half_zero",      "batch_512",      "hot_vs_q4k_1t",
      "hot_vs_q4k_2t",     "hot3_vs_q4k_1t",   "hot3_vs_q4k_2t", "hot_vs_q8_0_1t", "frontier",
      "arena_vs_multiget", "arena_fill_gbps",  "capped_arena",   "warm_open_s",    "growth",
      "cold_vs_fio_1t",    "cold_vs_fio_4t"};
  return names;
}

bool Suite::Wants(const std::string& name) const {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

bool Suite::WantsAny(const std::vector<std::string>& some) const {
  return std::any_of(some.begin(), some.end(), [&](const std::string& n) { return Wants(n); });
}

namespace {

struct Group {
  const char* what;
  void (*measure)(Suite*);
};

int Run(Suite* suite, bool json) {
  constexpr Group kGroups[] = {{"the hot path", MeasureHot},
                               {"the frontier", MeasureFrontier},
                               {"arena and storage", MeasureStorage},
                               {"reads from disk", MeasureCold}};
  for (const Group& group : kGroups) {
    const double seconds = SecondsOf([&] { group.measure(suite); });
    fmt::print(stderr, "bench: {}: {:.0f} s\n", group.what, seconds);
  }
  fmt::print("{}", json ? suite->report.Json() + "\n" : suite->report.Text());
  return suite->report.all_hold() ? 0 : 1;
}

}  // namespace
}  // namespace lutdb::bench

int main(int argc, char** argv) {
  lutdb::bench::Suite suite;
  bool json = false;
  std::string scratch;
  CLI::App app(
      "Measures lutdb on this machine: each figure with its spread and its bound. Needs up "
      "to 40 GB of disk and 20 GB of memory; --only takes less.");
  app.add_flag("--json", json, "one JSON object on standard output");
  app.add_option("--only", suite.names, "figures to measure")->delimiter(',');
  app.add_option("--scratch", scratch, "folder for what is measured on")->required();
  app.add_option("--peers-at", suite.peers, "folder of the peers' npm packages");
  app.add_flag("--quick", suite.quick, "small sizes: shows that everything runs, measures nothing");
  CLI11_PARSE(app, argc, argv);
  for (const std::string& name : suite.names) {
    const auto& known = lutdb::bench::FigureNames();
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    fmt::print(stderr, "bench: there is no figure '{}'; there are {}\n", name,
               fmt::join(known, ", "));
    return 2;
  }
  std::error_code error;
  suite.folder = scratch + "/suite";
  std::filesystem::remove_all(suite.folder, error);
  if (!std::filesystem::create_directories(suite.folder, error)) {
    lutdb::bench::Die(fmt::format("{} cannot be made: {}", suite.folder, error.message()));
  }
  const int result = lutdb::bench::Run(&suite, json);
  std::filesystem::remove_all(suite.folder, error);
  return result;
}
