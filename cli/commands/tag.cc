// lutdb tag STORE: lists, makes and deletes tags.

#include <memory>

#include "cli/command.h"
#include "cli/ref_commands.h"

namespace lutdb::cli {

Action DeclareTag(CLI::App& app) {
  static const RefKind kTag = {.one = "tag",
                               .many = "tags",
                               .list = &History::Tags,
                               .create = &History::CreateTag,
                               .remove = &History::DeleteTag};
  return DeclareRefCommand(app, kTag);
}

}  // namespace lutdb::cli
