// lutdb backup STORE DEST: a consistent copy; and the way back, with a backup as STORE.

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
  std::string to;
  BackupOptions options;
  bool json = false;
};

absl::Status Backup(const Flags& flags, Output& output) {
  BackupOptions options = flags.options;
  options.cancel = StopOnSignals();
  absl::StatusOr<BackupReport> made;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    made = BackupStore(flags.store, flags.to, options);
  }
  LUTDB_RETURN_IF_ERROR(made.status());
  const BackupReport& report = *made;
  if (flags.json) {
    output.WriteJson({{"store", flags.to},
                      {"files", report.files},
                      {"bytes", report.bytes},
                      {"linked_bytes", report.linked_bytes},
                      {"content_hash", report.content_hash.Hex()}});
    return absl::OkStatus();
  }
  output.Write(
      FormatFacts({{"copied to", flags.to},
                   {"files", HumanCount(report.files)},
                   {"bytes", HumanBytes(static_cast<double>(report.bytes))},
                   {"shared by links", HumanBytes(static_cast<double>(report.linked_bytes))}}));
  return absl::OkStatus();
}

}  // namespace

Action DeclareBackup(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_option("DEST", flags->to, "The copy, which must not exist yet")
      ->required()
      ->type_name("");
  app.add_flag("--copy", flags->options.copy,
               "Write every byte anew and check it, instead of linking table files")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddWait(app, &flags->options.wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Backup(*flags, output); };
}

}  // namespace lutdb::cli
