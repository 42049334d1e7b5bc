// lutdb merge STORE OTHER: brings the changes of another branch into one.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/edit_commit.h"
#include "cli/history_output.h"
#include "cli/sizes.h"

namespace lutdb::cli {
namespace {

struct Flags {
  CommitFlags commit;
  std::string other;
  bool ours = false;
  bool theirs = false;
};

const ChangeNames kSides = {.before = "ours", .after = "theirs"};

// The entries that both sides changed, before the error that says so.
absl::Status WriteConflicts(const Flags& flags, const std::vector<EntryChange>& conflicts,
                            Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags.commit.store, {}));
  if (!flags.commit.json) return PrintChanges(*store, conflicts, kSides, output);
  output.Write("{\"merged\": false,\n\"conflicts\": ");
  LUTDB_RETURN_IF_ERROR(WriteChangesJson(*store, conflicts, kSides, output));
  output.Write("}\n");
  return absl::OkStatus();
}

absl::Status Merge(Flags& flags, Output& output) {
  if (flags.commit.message.empty()) flags.commit.message = "merge " + flags.other;
  LUTDB_ASSIGN_OR_RETURN(const CommitOptions options, MakeCommitOptions(flags.commit));
  LUTDB_ASSIGN_OR_RETURN(const auto history, OpenForCommit(flags.commit));
  const MergeChoice choice = flags.ours     ? MergeChoice::kOurs
                             : flags.theirs ? MergeChoice::kTheirs
                                            : MergeChoice::kRefuse;
  std::vector<EntryChange> conflicts;
  const absl::StatusOr<CommitInfo> merged =
      history->Merge(flags.commit.branch, flags.other, choice, options, &conflicts);
  if (!merged.ok()) {
    if (!conflicts.empty()) LUTDB_RETURN_IF_ERROR(WriteConflicts(flags, conflicts, output));
    return merged.status();
  }
  if (!flags.commit.json && !conflicts.empty()) {
    output.Write(fmt::format("{} entries were changed on both sides; {} hold\n",
                             HumanCount(conflicts.size()), flags.ours ? "ours" : "theirs"));
  }
  WriteCommit(*merged, flags.commit, output);
  return absl::OkStatus();
}

}  // namespace

Action DeclareMerge(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddCommitFlags(app, &flags->commit, /*message_required=*/false);
  app.add_option("OTHER", flags->other, "Branch, tag or commit to merge in")
      ->required()
      ->type_name("");
  CLI::Option* ours = app.add_flag("--ours", flags->ours, "Where both changed an entry, keep ours")
                          ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  app.add_flag("--theirs", flags->theirs, "Where both changed an entry, take theirs")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw)
      ->excludes(ours);
  return [flags](Output& output) { return Merge(*flags, output); };
}

}  // namespace lutdb::cli
