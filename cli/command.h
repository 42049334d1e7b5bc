// The commands of lutdb: one table drives parsing, help and the list in `lutdb --help`.
//
// A command is declared on a parser of its own, so a store may be called "info" and options cannot
// leak between commands. Only commands that exist are in the table.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/output.h"
#include "lutdb/options.h"

namespace lutdb::cli {

// What a command does once its words are parsed. Results go to the output; main() prints the error.
using Action = std::function<absl::Status(Output&)>;

struct Command {
  const char* name;
  const char* summary;  // one line
  // Adds arguments and options to the parser. The action owns the values they are parsed into.
  Action (*declare)(CLI::App& app);
};

// In the order of the help.
const std::vector<Command>& Commands();

// Parses the words after the program's name and runs the command they name. CLI11's exceptions end
// here; InvalidArgument for wrong usage. Help and version texts go to the output.
absl::Status RunCommand(const std::vector<std::string>& words, Output& output);

// ---- Options that several commands share ----

// A check that the help does not spell out: the option's type name and text say it better.
CLI::Validator Unlisted(CLI::Validator check);
// 0 .. 2^64 - 1. To be asked for every uint64_t: CLI11 takes "-1" for the largest of them.
CLI::Validator WholeNumber();
// low .. high; unlike CLI::Range, which lets it pass, not NaN.
CLI::Validator Between(double low, double high);
void AddJson(CLI::App& app, bool* json);
void AddThreads(CLI::App& app, unsigned* threads);
void AddStore(CLI::App& app, std::string* store);
// An option whose value is a size (cli/sizes.h); `off` makes the word "off" mean 0.
void AddSize(CLI::App& app, const std::string& name, uint64_t* bytes, const std::string& help,
             bool off = false);
// --at, --arena and --threads: how a store is opened for reading.
void AddOpenOptions(CLI::App& app, OpenStoreOptions* options);
// --at of commands that look at the whole store; checked by CheckAt.
void AddAt(CLI::App& app, std::string* at);
// NotFound for a REF that does not exist, InvalidArgument for an ambiguous one. main always exists.
absl::Status CheckAt(const std::string& store, const std::string& at);
// --wait: seconds to wait for another writer before giving up.
void AddWait(CLI::App& app, double* wait_seconds);
// Waits until no other process writes the store; FailedPrecondition when that takes longer. Nothing
// is waited for when there is no lock file, for then there is no store either.
absl::Status WaitForWriter(const std::string& store, double wait_seconds);

// One per file in cli/commands/.
Action DeclarePlan(CLI::App& app);
Action DeclareBuild(CLI::App& app);
Action DeclareInfo(CLI::App& app);
Action DeclareGet(CLI::App& app);
Action DeclareRun(CLI::App& app);
Action DeclareEval(CLI::App& app);
Action DeclareTokenize(CLI::App& app);
Action DeclareVerify(CLI::App& app);
Action DeclareRepair(CLI::App& app);
Action DeclareBackup(CLI::App& app);
Action DeclareSet(CLI::App& app);
Action DeclareEdit(CLI::App& app);
Action DeclareAblate(CLI::App& app);
Action DeclareLog(CLI::App& app);
Action DeclareDiff(CLI::App& app);
Action DeclareBlame(CLI::App& app);
Action DeclareRevert(CLI::App& app);
Action DeclareBranch(CLI::App& app);
Action DeclareTag(CLI::App& app);
Action DeclareMerge(CLI::App& app);
Action DeclareBake(CLI::App& app);
Action DeclareGc(CLI::App& app);
Action DeclareExplain(CLI::App& app);
Action DeclareStudy(CLI::App& app);
Action DeclareTune(CLI::App& app);
Action DeclareVersion(CLI::App& app);

}  // namespace lutdb::cli
