// lutdb revert STORE COMMIT: a commit that takes back what another one changed.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/edit_commit.h"
#include "cli/history_output.h"

namespace lutdb::cli {
namespace {

struct Flags {
  CommitFlags commit;
  std::string ref;
};

absl::Status Revert(Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, OpenForCommit(flags.commit));
  LUTDB_ASSIGN_OR_RETURN(const std::string id, history->Resolve(flags.ref));
  if (id.empty()) {
    return FailedPrecondition("{} is the build, which nothing can take back", flags.ref);
  }
  if (flags.commit.message.empty()) {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<CommitInfo> commits, history->Log(id, 1));
    flags.commit.message = fmt::format("revert {}: {}", ShortId(id), commits.front().message);
  }
  LUTDB_ASSIGN_OR_RETURN(const CommitOptions options, MakeCommitOptions(flags.commit));
  LUTDB_ASSIGN_OR_RETURN(const CommitInfo made, history->Revert(flags.commit.branch, id, options));
  WriteCommit(made, flags.commit, output);
  return absl::OkStatus();
}

}  // namespace

Action DeclareRevert(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddCommitFlags(app, &flags->commit, /*message_required=*/false);
  app.add_option("COMMIT", flags->ref, "The commit to take back")->required()->type_name("");
  return [flags](Output& output) { return Revert(*flags, output); };
}

}  // namespace lutdb::cli
