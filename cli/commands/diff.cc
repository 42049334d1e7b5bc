// lutdb diff STORE A [B]: the entries that differ between two refs.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/history_output.h"
#include "cli/sizes.h"
#include "lutdb/store.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string from;
  std::string to = "main";
  bool patch = false;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

// What `edit` makes A into B with: entries, so that nothing is rounded.
absl::Status WritePatch(const Flags& flags, const Store& store,
                        const std::vector<EntryChange>& changes, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const std::string hash, BuildHash(store, flags.store));
  output.Write(Json{{"store", hash}}.dump() + "\n");
  std::vector<std::string> names;
  for (const TableInfo& table : store.info().tables) {
    names.push_back(Json(table.name).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  for (const EntryChange& change : changes) {
    if (!output.open()) break;
    output.Write(
        fmt::format("{{\"table\": {}, \"neuron\": {}, \"chunk\": {}, \"code\": {}, \"raw\": {}}}\n",
                    names[change.table], change.neuron, change.chunk, change.code, change.after));
  }
  return absl::OkStatus();
}

absl::Status WriteJson(const Flags& flags, const Store& store,
                       const std::vector<EntryChange>& changes, Output& output) {
  output.Write(fmt::format("{{\"from\": {},\n\"to\": {},\n\"entries\": {},\n\"changes\": ",
                           Json(flags.from).dump(), Json(flags.to).dump(), changes.size()));
  LUTDB_RETURN_IF_ERROR(WriteChangesJson(store, changes, {}, output));
  output.Write("}\n");
  return absl::OkStatus();
}

absl::Status Diff(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(flags.store, {}));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<EntryChange> changes,
                         history->Diff(flags.from, flags.to));
  LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags.store, {}));
  if (flags.patch) return WritePatch(flags, *store, changes, output);
  if (flags.json) return WriteJson(flags, *store, changes, output);
  LUTDB_RETURN_IF_ERROR(PrintChanges(*store, changes, {}, output));
  output.Write(fmt::format("{} entr{} differ{} between {} and {}\n", HumanCount(changes.size()),
                           changes.size() == 1 ? "y" : "ies", changes.size() == 1 ? "s" : "",
                           flags.from, flags.to));
  return absl::OkStatus();
}

}  // namespace

Action DeclareDiff(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_option("A", flags->from, "Branch, tag or commit")->required()->type_name("");
  app.add_option("B", flags->to, "Branch, tag or commit (default: main)")->type_name("");
  CLI::Option_group* format = app.add_option_group("Format");
  format->add_flag("--patch", flags->patch, "Write JSON Lines; `edit` makes A into B with them")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddJson(*format, &flags->json);
  format->require_option(0, 1);
  AddWait(app, &flags->wait_seconds);
  return [flags](Output& output) { return Diff(*flags, output); };
}

}  // namespace lutdb::cli
