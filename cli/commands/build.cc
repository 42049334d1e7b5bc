// lutdb build MODEL STORE: builds a store, or resumes an interrupted build.

#include "lutdb/build.h"

#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "db/store_files.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string model;
  std::string store;
  bool json = false;
  double wait_seconds = 30;
  BuildFlags build;
};

Json ToJson(const BuildReport& report) {
  return {{"already_built", report.already_built},
          {"content_hash", report.content_hash.Hex()},
          {"ranges", report.ranges},
          {"ranges_resumed", report.ranges_resumed},
          {"records", report.records},
          {"raw_bytes", report.raw_bytes},
          {"stored_bytes", report.stored_bytes},
          {"seconds", report.seconds}};
}

void PrintReport(const Flags& flags, const BuildReport& report, Output& output) {
  if (report.already_built) {
    output.Write(fmt::format("{} is already built from this plan: nothing to do\n", flags.store));
    return;
  }
  std::string ranges = HumanCount(report.ranges);
  if (report.ranges_resumed > 0) {
    ranges += fmt::format(", {} of them found finished", HumanCount(report.ranges_resumed));
  }
  output.Write(FormatFacts({
      {"built", flags.store},
      {"addressable", HumanBytes(static_cast<double>(report.raw_bytes)) + " of entries"},
      {"on disk", HumanBytes(static_cast<double>(report.stored_bytes)) + ", weights included"},
      {"records", HumanCount(report.records)},
      {"ranges", ranges},
      {"content hash", report.content_hash.Hex()},
  }));
}

absl::Status Build(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(BuildOptions options, ToBuildOptions(flags.build));
  const std::string partial = db::PartialPath(flags.store);
  LUTDB_RETURN_IF_ERROR(WaitForWriter(flags.store, flags.wait_seconds));
  LUTDB_RETURN_IF_ERROR(WaitForWriter(partial, flags.wait_seconds));
  options.cancel = StopOnSignals();
  LUTDB_RETURN_IF_ERROR(
      Calibrate(flags.model, flags.store + ".calibration", flags.build, &options));
  absl::StatusOr<BuildReport> report;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    report = BuildStore(flags.model, flags.store, options);
  }
  if (absl::IsCancelled(report.status()) && PathExists(partial)) {
    return Error(absl::StatusCode::kCancelled,
                 "interrupted; what is finished is kept in {}: run the same command to resume",
                 partial);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (flags.json) {
    output.WriteJson(ToJson(*report));
  } else {
    PrintReport(flags, *report, output);
  }
  if (!report->already_built) {
    Notice("built in {}\n", HumanSeconds(report->seconds));
  }
  return absl::OkStatus();
}

}  // namespace

Action DeclareBuild(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "Model file or directory")->required()->type_name("");
  app.add_option("STORE", flags->store, "Directory to build")->required()->type_name("");
  AddBuildFlags(app, &flags->build);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Build(*flags, output); };
}

}  // namespace lutdb::cli
