// lutdb log STORE: the commits of a branch, newest first.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/history_output.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string at = "main";
  uint64_t count_max = UINT64_MAX;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

absl::Status Log(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(flags.store, {}));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<CommitInfo> commits,
                         history->Log(flags.at, flags.count_max));
  if (flags.json) {
    Json list = Json::array();
    for (const CommitInfo& commit : commits) list.push_back(CommitJson(commit));
    output.WriteJson({{"at", flags.at}, {"commits", std::move(list)}});
    return absl::OkStatus();
  }
  for (size_t i = 0; i < commits.size() && output.open(); ++i) {
    output.Write((i == 0 ? "" : "\n") + FormatCommit(commits[i]));
  }
  if (commits.empty() && flags.count_max > 0)
    output.Write(fmt::format("no commits: {} is as it was built\n", flags.at));
  return absl::OkStatus();
}

}  // namespace

Action DeclareLog(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  AddAt(app, &flags->at);
  app.add_option("-n,--max", flags->count_max, "Show the newest N commits (default: all)")
      ->check(WholeNumber())
      ->type_name("N");
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Log(*flags, output); };
}

}  // namespace lutdb::cli
