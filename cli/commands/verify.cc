// lutdb verify STORE: is everything there, whole, and what the weights say?

#include <chrono>
#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/build.h"
#include "lutdb/history.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string at = "main";
  VerifyOptions options;
  bool exact_given = false;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

Json ToJson(const VerifyReport& report, double seconds) {
  return {{"clean", report.clean},
          {"problems", report.problems},
          {"files_checked", report.files_checked},
          {"bytes_checked", report.bytes_checked},
          {"records_checked", report.records_checked},
          {"commits_checked", report.commits_checked},
          {"cells_recomputed", report.cells_recomputed},
          {"seconds", seconds}};
}

void Print(const VerifyReport& report, Output& output) {
  for (const std::string& problem : report.problems) output.Write("problem: " + problem + "\n");
  output.Write(FormatFacts({
      {"clean", report.clean ? "yes" : "no"},
      {"files checked", HumanCount(report.files_checked)},
      {"bytes checked", HumanBytes(static_cast<double>(report.bytes_checked))},
      {"records checked", HumanCount(report.records_checked)},
      {"commits checked", HumanCount(report.commits_checked)},
      {"cells recomputed", HumanCount(report.cells_recomputed)},
  }));
}

// Commits are another layer's: their check is added to the report of the records.
void AddHistory(const std::string& store, VerifyReport* report) {
  const auto add = [&](const absl::Status& status) {
    report->problems.push_back("the edit history: " + Message(status));
  };
  const auto history = History::Open(store, {});
  if (!history.ok()) {
    // A store that does not open was found damaged already.
    if (report->clean) add(history.status());
  } else if (const auto checked = (*history)->Check(); !checked.ok()) {
    add(checked.status());
  } else {
    report->commits_checked = checked->commits;
    report->problems.insert(report->problems.end(), checked->problems.begin(),
                            checked->problems.end());
  }
  report->clean = report->problems.empty();
}

absl::Status Verify(const Flags& flags, Output& output) {
  VerifyOptions options = flags.options;
  // Written so that NaN is refused, too.
  if (flags.exact_given && !(options.exact_fraction > 0 && options.exact_fraction <= 1)) {
    return InvalidArgument("--exact takes the share of cells to recompute, above 0 and at most 1");
  }
  LUTDB_RETURN_IF_ERROR(CheckAt(flags.store, flags.at));
  options.cancel = StopOnSignals();
  const auto begin = std::chrono::steady_clock::now();
  absl::StatusOr<VerifyReport> report;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    report = VerifyStore(flags.store, options);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (options.deep) AddHistory(flags.store, &*report);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (flags.json) {
    output.WriteJson(ToJson(*report, seconds));
  } else {
    Print(*report, output);
  }
  Notice("verified in {}\n", HumanSeconds(seconds));
  if (report->clean) return absl::OkStatus();
  return DataLoss("{}: {} problems found; 'lutdb repair' rebuilds what follows from the weights",
                  flags.store, report->problems.size());
}

}  // namespace

Action DeclareVerify(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_flag("--deep", flags->options.deep, "Every byte of every live file, every record")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  CLI::Option* exact = app.add_option("--exact", flags->options.exact_fraction,
                                      "Recompute this share of the cells from the kept weights")
                           ->type_name("FRACTION");
  app.add_option("--seed", flags->options.seed, "Which cells --exact picks (default: 1)")
      ->check(WholeNumber())
      ->type_name("S");
  AddAt(app, &flags->at);
  AddThreads(app, &flags->options.threads);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags, exact](Output& output) {
    flags->exact_given = exact->count() > 0;
    return Verify(*flags, output);
  };
}

}  // namespace lutdb::cli
