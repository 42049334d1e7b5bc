// lutdb bake STORE: folds the edits of a branch into a new generation of records.

#include <chrono>
#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/history_output.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "lutdb/history.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string branch = "main";
  double wait_seconds = 30;
  bool json = false;
};

absl::Status Bake(const Flags& flags, Output& output) {
  const auto begin = std::chrono::steady_clock::now();
  {
    LUTDB_ASSIGN_OR_RETURN(
        const auto history,
        History::Open(flags.store, {.write = true, .wait_seconds = flags.wait_seconds}));
    ProgressBar bar;
    LUTDB_RETURN_IF_ERROR(history->Bake(flags.branch, bar.Callback(), StopOnSignals()));
  }
  OpenStoreOptions open;
  open.at = flags.branch;
  LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags.store, open));
  LUTDB_ASSIGN_OR_RETURN(const Store::Head head, store->head());
  if (flags.json) {
    output.WriteJson({{"generation", store->info().generation},
                      {"commit", head.commit},
                      {"stored_bytes", store->info().stored_bytes},
                      {"derived_fraction", store->info().derived_fraction}});
  } else {
    output.Write(fmt::format("generation {} holds {} at {}; `lutdb gc` frees the one before\n",
                             store->info().generation, flags.branch, ShortId(head.commit)));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Notice("baked in {}\n", HumanSeconds(seconds));
  return absl::OkStatus();
}

}  // namespace

Action DeclareBake(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_option("--branch,--at", flags->branch, "What to fold in (default: main)")
      ->type_name("REF");
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Bake(*flags, output); };
}

}  // namespace lutdb::cli
