// What `set`, `edit` and `ablate` share: from a list of edits to a commit, with what is demanded of
// it and measured around it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/measure.h"
#include "cli/output.h"
#include "lutdb/history.h"
#include "lutdb/store.h"

namespace lutdb::cli {

// Options of every command that commits.
struct CommitFlags {
  std::string store;
  std::string branch = "main";
  std::string message;
  std::string author;  // empty: $LUTDB_AUTHOR, or user@host
  double wait_seconds = 30;
  bool json = false;
};
// STORE, --branch, -m, --author, --wait and --json. The other arguments follow.
void AddCommitFlags(CLI::App& app, CommitFlags* flags, bool message_required);
// InvalidArgument for a message that says nothing.
absl::StatusOr<CommitOptions> MakeCommitOptions(const CommitFlags& flags);
absl::StatusOr<std::unique_ptr<History>> OpenForCommit(const CommitFlags& flags);
// Prints the commit that was made on a branch.
void WriteCommit(const CommitInfo& commit, const CommitFlags& flags, Output& output);

struct EditFlags {
  CommitFlags commit;
  std::string require;
  MeasureFlags measure;
  bool dry_run = false;
  std::string patch;  // the file that the edits come from, for messages; empty: the words given
};
// AddCommitFlags, --require, --dry-run and the options of measuring.
void AddEditFlags(CLI::App& app, EditFlags* flags, bool message_required);

// Makes the edits from the store as it is at the head of the branch.
using EditMaker = std::function<absl::StatusOr<std::vector<EntryEdit>>(const Store&)>;

// Holds the store's writer lock from before the edits are made to after they are committed, so that
// what is relative, demanded or measured is about what the commit changes. A dry run takes no lock
// and ends before the commit. notes: kept in the commit, with what was measured.
absl::Status CommitEdits(const EditFlags& flags, const EditMaker& make, Json notes, Output& output);

}  // namespace lutdb::cli
