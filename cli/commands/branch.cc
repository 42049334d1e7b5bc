// lutdb branch STORE: lists, makes and deletes branches.

#include <memory>

#include "cli/command.h"
#include "cli/ref_commands.h"

namespace lutdb::cli {

Action DeclareBranch(CLI::App& app) {
  static const RefKind kBranch = {.one = "branch",
                                  .many = "branches",
                                  .list = &History::Branches,
                                  .create = &History::CreateBranch,
                                  .remove = &History::DeleteBranch};
  return DeclareRefCommand(app, kBranch);
}

}  // namespace lutdb::cli
