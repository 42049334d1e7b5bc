// lutdb edit STORE PATCH -m MSG: many entries in one commit (cli/patch_reader.h).

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/edit_commit.h"
#include "cli/entry_edits.h"
#include "cli/history_output.h"
#include "cli/patch_reader.h"

namespace lutdb::cli {
namespace {

struct Flags {
  EditFlags edit;
  std::string patch;
};

// The store that a patch names: by the hash of its build, or by that of the branch as it is.
absl::Status CheckStore(const Store& store, const Flags& flags, const std::string& hash) {
  const std::string& path = flags.edit.commit.store;
  LUTDB_ASSIGN_OR_RETURN(const std::string build, BuildHash(store, path));
  if (hash == build || hash == store.info().content_hash.Hex()) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const Hash128 head, store.ContentHash());
  if (hash == head.Hex()) return absl::OkStatus();
  return FailedPrecondition(
      "the patch was made for the store {}, but {} is {}; nothing was changed", hash, path, build);
}

absl::StatusOr<std::vector<EntryEdit>> MakeEdits(const Store& store, const Flags& flags) {
  const PatchTables tables(store.info());
  const bool arrays =
      flags.patch.size() > 4 && flags.patch.compare(flags.patch.size() - 4, 4, ".npz") == 0;
  EntryEdits edits(store, flags.edit.patch + (arrays ? " entry" : " line"));
  const PatchSinks sinks = {
      .store = [&](const std::string& hash) { return CheckStore(store, flags, hash); },
      .entry = [&](const PatchEntry& entry) { return edits.Add(entry); }};
  LUTDB_RETURN_IF_ERROR(ReadPatch(flags.patch, tables, sinks));
  return edits.Finish();
}

}  // namespace

Action DeclareEdit(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddEditFlags(app, &flags->edit, /*message_required=*/true);
  app.add_option("PATCH", flags->patch,
                 "JSON Lines of address and value, raw, add, add_raw or scale; - reads standard "
                 "input; or a .npz of the same as arrays")
      ->required()
      ->type_name("");
  return [flags](Output& output) {
    flags->edit.patch = flags->patch == "-" ? "standard input" : flags->patch;
    const auto make = [&](const Store& store) { return MakeEdits(store, *flags); };
    return CommitEdits(flags->edit, make, Json::object(), output);
  };
}

}  // namespace lutdb::cli
