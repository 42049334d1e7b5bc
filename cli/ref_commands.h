// `branch` and `tag`: the same command over different names.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "lutdb/history.h"

namespace lutdb::cli {

struct RefKind {
  const char* one;
  const char* many;
  absl::StatusOr<std::vector<History::Ref>> (History::*list)() const;
  absl::Status (History::*create)(const std::string& name, const std::string& at);
  absl::Status (History::*remove)(const std::string& name);
};

// STORE [NAME [FROM]] [--delete]. `kind` outlives the action.
Action DeclareRefCommand(CLI::App& app, const RefKind& kind);

}  // namespace lutdb::cli
