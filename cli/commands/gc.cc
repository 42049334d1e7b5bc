// lutdb gc STORE: frees the disk space of what nothing refers to any more.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/history.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  bool dry_run = false;
  double wait_seconds = 30;
  bool json = false;
};

absl::Status Gc(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(
      const auto history,
      History::Open(flags.store, {.write = true, .wait_seconds = flags.wait_seconds}));
  LUTDB_ASSIGN_OR_RETURN(const GcReport report, history->Gc(flags.dry_run));
  if (flags.json) {
    output.WriteJson({{"dry_run", flags.dry_run},
                      {"commits", report.commits},
                      {"patches", report.patches},
                      {"generations", report.generations},
                      {"bytes", report.bytes},
                      {"kept", report.kept}});
    return absl::OkStatus();
  }
  output.Write(FormatFacts({
      {"commits", HumanCount(report.commits) + " that no branch or tag leads to"},
      {"patches", HumanCount(report.patches) + " records of them"},
      {"generations", HumanCount(report.generations) + " that were baked into later ones"},
      {flags.dry_run ? "would free" : "freed", HumanBytes(static_cast<double>(report.bytes))},
  }));
  for (const std::string& line : report.kept) output.Write("kept: " + line + "\n");
  return absl::OkStatus();
}

}  // namespace

Action DeclareGc(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_flag("--dry-run", flags->dry_run, "Only say what would be freed")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Gc(*flags, output); };
}

}  // namespace lutdb::cli
