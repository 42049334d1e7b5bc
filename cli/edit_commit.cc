#include "cli/edit_commit.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/status.h"
#include "cli/command.h"
#include "cli/history_output.h"
#include "cli/patch_reader.h"
#include "cli/requirements.h"
#include "cli/sizes.h"

namespace lutdb::cli {
namespace {

std::string DefaultAuthor() {
  const char* author = std::getenv("LUTDB_AUTHOR");
  if (author != nullptr && *author != '\0') return author;
  char host[256] = "localhost";
  if (gethostname(host, sizeof(host)) != 0) std::snprintf(host, sizeof(host), "localhost");
  host[sizeof(host) - 1] = '\0';
  passwd entry = {};
  passwd* found = nullptr;
  char buffer[4096];
  const bool known =
      getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr;
  return fmt::format("{}@{}", known ? found->pw_name : std::to_string(geteuid()), host);
}

absl::Status CheckBranch(const History& history, const CommitFlags& flags) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<History::Ref> branches, history.Branches());
  const bool found = std::any_of(branches.begin(), branches.end(), [&](const History::Ref& branch) {
    return branch.name == flags.branch;
  });
  if (found) return absl::OkStatus();
  return NotFound("{}: there is no branch \"{}\"; `lutdb branch {} {}` makes it", flags.store,
                  flags.branch, flags.store, flags.branch);
}

// Wrong edits of a patch are wrong data, not wrong usage.
absl::Status InSource(const EditFlags& flags, const absl::Status& status) {
  return flags.patch.empty() || !absl::IsInvalidArgument(status) ? status
                                                                 : InPatch(flags.patch, status);
}

// What is demanded of the edits and measured around them. All of it happens before the commit.
struct Trial {
  bool previewed = false;
  std::vector<EntryChange> changes;
  Json notes;
  std::string figures;  // for people
};

absl::Status Measured(const EditFlags& flags, const History& history, Trial* trial) {
  const CommitFlags& commit = flags.commit;
  // Both at the commit that was previewed: a dry run keeps nobody from committing. The build has no
  // id.
  LUTDB_ASSIGN_OR_RETURN(const std::string head, history.Resolve(commit.branch));
  const std::string& at = head.empty() ? commit.branch : head;
  LUTDB_ASSIGN_OR_RETURN(const EvalReport before,
                         Measure(flags.measure, commit.store, at, nullptr));
  LUTDB_ASSIGN_OR_RETURN(const EvalReport after,
                         Measure(flags.measure, commit.store, at, &trial->changes));
  const Json from = FiguresJson(before), to = FiguresJson(after);
  trial->figures = FormatFigures(from, to);
  trial->notes["eval"] = {{"data", flags.measure.Source()}, {"before", from}, {"after", to}};
  return absl::OkStatus();
}

absl::Status Try(const EditFlags& flags, const Store& store, const History& history,
                 const std::vector<EntryEdit>& edits, Trial* trial) {
  Requirements requirements;
  if (!flags.require.empty()) {
    LUTDB_ASSIGN_OR_RETURN(requirements, ParseRequirements(flags.require));
    trial->notes["require"] = requirements.Words();
  }
  // A plain commit finds out itself what changes.
  if (!requirements.any() && !flags.measure.given() && !flags.dry_run) return absl::OkStatus();
  trial->previewed = true;
  auto changes = history.Preview(flags.commit.branch, edits);
  if (!changes.ok()) return InSource(flags, changes.status());
  trial->changes = *std::move(changes);
  if (trial->changes.empty()) {
    return FailedPrecondition("nothing changes: every entry named already has that value");
  }
  LUTDB_RETURN_IF_ERROR(CheckRequirements(requirements, store, trial->changes));
  return flags.measure.given() ? Measured(flags, history, trial) : absl::OkStatus();
}

absl::Status WriteDryRun(const EditFlags& flags, const Store& store, const Trial& trial,
                         Output& output) {
  if (!flags.commit.json) {
    LUTDB_RETURN_IF_ERROR(PrintChanges(store, trial.changes, {}, output));
    output.Write(fmt::format("dry run: {} entries would change on {}\n",
                             HumanCount(trial.changes.size()), flags.commit.branch));
    return absl::OkStatus();
  }
  output.Write(
      fmt::format("{{\"dry_run\": true,\n\"branch\": {},\n\"entries\": {},\n\"notes\": {},\n",
                  Json(flags.commit.branch).dump(), trial.changes.size(),
                  trial.notes.dump(-1, ' ', false, Json::error_handler_t::replace)));
  output.Write("\"changes\": ");
  LUTDB_RETURN_IF_ERROR(WriteChangesJson(store, trial.changes, {}, output));
  output.Write("}\n");
  return absl::OkStatus();
}

}  // namespace

void AddCommitFlags(CLI::App& app, CommitFlags* flags, bool message_required) {
  AddStore(app, &flags->store);
  app.add_option("-m,--message", flags->message, "What the commit is for")
      ->required(message_required)
      ->type_name("TEXT");
  app.add_option("--branch", flags->branch, "Branch to commit to (default: main)")
      ->type_name("NAME");
  app.add_option("--author", flags->author, "Who commits (default: $LUTDB_AUTHOR, or user@host)")
      ->type_name("NAME");
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
}

absl::StatusOr<CommitOptions> MakeCommitOptions(const CommitFlags& flags) {
  if (flags.message.find_first_not_of(" \t\r\n") == std::string::npos) {
    return InvalidArgument("the message is empty; say with -m what the commit is for");
  }
  CommitOptions options;
  options.author = flags.author.empty() ? DefaultAuthor() : flags.author;
  options.message = flags.message;
  return options;
}

absl::StatusOr<std::unique_ptr<History>> OpenForCommit(const CommitFlags& flags) {
  return History::Open(flags.store, {.write = true, .wait_seconds = flags.wait_seconds});
}

void WriteCommit(const CommitInfo& commit, const CommitFlags& flags, Output& output) {
  if (flags.json) {
    Json json = CommitJson(commit);
    json["branch"] = flags.branch;
    output.WriteJson(json);
    return;
  }
  const size_t end = std::min(commit.message.find('\n'), commit.message.size());
  output.Write(fmt::format("[{} {}] {}\n{} entr{} changed\n", flags.branch, ShortId(commit.id),
                           Printable(commit.message.substr(0, end)), HumanCount(commit.entries),
                           commit.entries == 1 ? "y" : "ies"));
}

void AddEditFlags(CLI::App& app, EditFlags* flags, bool message_required) {
  AddCommitFlags(app, &flags->commit, message_required);
  app.add_option("--require", flags->require,
                 "Refuse unless the neurons touched stay so: monotone, bounds=A:B or both")
      ->type_name("WORDS");
  app.add_flag("--dry-run", flags->dry_run, "Show what would change; commit nothing")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddMeasureFlags(app, &flags->measure);
}

absl::Status CommitEdits(const EditFlags& flags, const EditMaker& make, Json notes,
                         Output& output) {
  const CommitFlags& commit = flags.commit;
  LUTDB_ASSIGN_OR_RETURN(CommitOptions options, MakeCommitOptions(commit));
  if (!flags.require.empty()) {
    LUTDB_RETURN_IF_ERROR(ParseRequirements(flags.require).status());
  }
  LUTDB_ASSIGN_OR_RETURN(
      const std::unique_ptr<History> history,
      History::Open(commit.store, {.write = !flags.dry_run, .wait_seconds = commit.wait_seconds}));
  LUTDB_RETURN_IF_ERROR(CheckBranch(*history, commit));
  OpenStoreOptions open;
  open.at = commit.branch;
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(commit.store, open));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<EntryEdit> edits, make(*store));

  Trial trial;
  trial.notes = std::move(notes);
  LUTDB_RETURN_IF_ERROR(Try(flags, *store, *history, edits, &trial));
  if (!commit.json) output.Write(trial.figures);
  if (flags.dry_run) return WriteDryRun(flags, *store, trial, output);
  LUTDB_RETURN_IF_ERROR(output.Flush());  // the change is printed before the commit
  if (!trial.notes.empty()) {
    options.notes = trial.notes.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  const auto made = history->Commit(commit.branch, edits, options);
  if (!made.ok()) return InSource(flags, made.status());
  WriteCommit(*made, commit, output);
  return absl::OkStatus();
}

}  // namespace lutdb::cli
