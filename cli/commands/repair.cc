// lutdb repair STORE: rebuilds only what is damaged, from the kept weights.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/build.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string at = "main";
  VerifyOptions options;
  double wait_seconds = 30;
  bool json = false;
};

void Print(const RepairReport& report, Output& output) {
  for (const std::string& line : report.unrecoverable) output.Write("lost: " + line + "\n");
  if (report.files_rebuilt == 0 && report.records_rebuilt == 0 && report.unrecoverable.empty()) {
    output.Write("nothing was damaged\n");
    return;
  }
  output.Write(FormatFacts({{"files rebuilt", HumanCount(report.files_rebuilt)},
                            {"records rebuilt", HumanCount(report.records_rebuilt)}}));
}

absl::Status Repair(const Flags& flags, Output& output) {
  LUTDB_RETURN_IF_ERROR(CheckAt(flags.store, flags.at));
  LUTDB_RETURN_IF_ERROR(WaitForWriter(flags.store, flags.wait_seconds));
  VerifyOptions options = flags.options;
  options.cancel = StopOnSignals();
  absl::StatusOr<RepairReport> report;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    report = RepairStore(flags.store, options);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (flags.json) {
    output.WriteJson({{"files_rebuilt", report->files_rebuilt},
                      {"records_rebuilt", report->records_rebuilt},
                      {"unrecoverable", report->unrecoverable}});
  } else {
    Print(*report, output);
  }
  if (report->unrecoverable.empty()) return absl::OkStatus();
  return DataLoss("{}: {} places could not be repaired; what is named above is lost", flags.store,
                  report->unrecoverable.size());
}

}  // namespace

Action DeclareRepair(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  AddAt(app, &flags->at);
  AddThreads(app, &flags->options.threads);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Repair(*flags, output); };
}

}  // namespace lutdb::cli
