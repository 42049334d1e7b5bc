#include "cli/command.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <new>

#include "base/file.h"
#include "base/status.h"
#include "cli/sizes.h"
#include "db/store_files.h"
#include "lutdb/history.h"

namespace lutdb::cli {
namespace {

std::string Overview() {
  std::string text =
      "lutdb: a database of precomputed neural-network products, and the engine that runs on it\n\n"
      "Usage: lutdb COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n";
  for (const Command& command : Commands()) {
    text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  }
  return text +
         "\n'lutdb COMMAND --help' has the options of a command.\n"
         "Results go to standard output, progress and timings to standard error; --json makes the\n"
         "result one JSON object. Exit status: 0 success, 1 a negative answer or a failed\n"
         "operation, 2 wrong usage.\n";
}

// CLI11 explains some mistakes in several lines; ours is one.
std::string OneLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// CLI11 2.1 takes the next word as the value of `--name=` when nothing follows the equals sign; as
// two words an empty value is understood.
std::vector<std::string> SplitEmptyValues(const std::vector<std::string>& words) {
  std::vector<std::string> split;
  for (const std::string& word : words) {
    if (word.size() > 3 && word.rfind("--", 0) == 0 && word.find('=') == word.size() - 1) {
      split.push_back(word.substr(0, word.size() - 1));
      split.emplace_back();
    } else {
      split.push_back(word);
    }
  }
  return split;
}

const Command* FindCommand(const std::string& name) {
  for (const Command& command : Commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

// Texts may be empty, and an empty message has words of its own.
bool MayBeEmpty(const std::string& name) {
  return name == "--prompt" || name == "--text" || name == "--message";
}

// An empty value was meant to be one: a variable that nobody set in somebody's script.
absl::Status RefuseEmptyValues(const CLI::App& app, const char* command) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();  // "--long" where there is one
    if (!option->nonpositional() || MayBeEmpty(name)) continue;
    for (const std::string& value : option->results()) {
      if (!value.empty()) continue;
      return InvalidArgument("{} is given an empty value; see 'lutdb {} --help'", name, command);
    }
  }
  for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
    LUTDB_RETURN_IF_ERROR(RefuseEmptyValues(*group, command));
  }
  return absl::OkStatus();
}

absl::Status ParseAndRun(const Command& command, const std::vector<std::string>& words,
                         Output& output) {
  CLI::App app(command.summary, std::string("lutdb ") + command.name);
  app.get_formatter()->column_width(34);
  const Action action = command.declare(app);
  try {
    std::vector<std::string> reversed = SplitEmptyValues(words);
    std::reverse(reversed.begin(), reversed.end());
    app.allow_extras();  // CLI11 would list them back to front
    app.parse(reversed);
    if (const auto extras = app.remaining(); !extras.empty()) {
      return InvalidArgument("'{}' is not an option or argument here; see 'lutdb {} --help'",
                             extras.front(), command.name);
    }
    LUTDB_RETURN_IF_ERROR(RefuseEmptyValues(app, command.name));
  } catch (const CLI::CallForHelp&) {
    output.Write(app.help());
    return absl::OkStatus();
  } catch (const CLI::Error& error) {
    return InvalidArgument("{}; see 'lutdb {} --help'", OneLine(error.what()), command.name);
  }
  return action(output);
}

}  // namespace

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      {"plan", "What a build would cost and give; builds nothing", DeclarePlan},
      {"build", "Build a store from a model, or resume an interrupted build", DeclareBuild},
      {"info", "Model, tables, sizes and hashes of a store", DeclareInfo},
      {"get", "Entries by address: table[neurons, chunks, codes]", DeclareGet},
      {"run", "Inference: continue a prompt, or turn an array into another", DeclareRun},
      {"eval", "Perplexity over text or tokens, accuracy over labelled images", DeclareEval},
      {"tokenize", "Text to token ids and back, by a store or a tokenizer file", DeclareTokenize},
      {"explain", "Which records an answer was made of", DeclareExplain},
      {"study", "What a model is worth with bad cells: study faults STORE", DeclareStudy},
      {"tune", "Train entries on data, commit what is better on held-out rows", DeclareTune},
      {"verify", "Check a store, up to every byte and every product", DeclareVerify},
      {"repair", "Rebuild what is damaged from the kept weights", DeclareRepair},
      {"backup", "Copy a store consistently, or copy a backup back", DeclareBackup},
      {"set", "Give the entries of an address a value", DeclareSet},
      {"edit", "Change many entries by a patch, in one commit", DeclareEdit},
      {"ablate", "Kill, scale or spoil neurons, chunks, tables or entries", DeclareAblate},
      {"log", "The commits of a branch, newest first", DeclareLog},
      {"diff", "Entries that differ between two branches, tags or commits", DeclareDiff},
      {"blame", "Who changed an entry, when and why", DeclareBlame},
      {"revert", "Take back what a commit changed", DeclareRevert},
      {"branch", "List, make or delete branches", DeclareBranch},
      {"tag", "List, make or delete tags", DeclareTag},
      {"merge", "Bring the changes of another branch into one", DeclareMerge},
      {"bake", "Fold the edits of a branch into a new generation of records", DeclareBake},
      {"gc", "Free the disk space of what nothing refers to", DeclareGc},
      {"version", "Version, format version and instruction set in use", DeclareVersion},
  };
  return commands;
}

absl::Status RunCommand(const std::vector<std::string>& words, Output& output) {
  if (words.empty()) return InvalidArgument("no command given; see 'lutdb --help'");
  std::string name = words[0];
  if (name == "--help" || name == "-h" || name == "help") {
    output.Write(Overview());
    return absl::OkStatus();
  }
  if (name == "--version") name = "version";
  const Command* command = FindCommand(name);
  if (command == nullptr) {
    return InvalidArgument("'{}' is not a command; see 'lutdb --help'", name);
  }
  try {
    return ParseAndRun(*command, {words.begin() + 1, words.end()}, output);
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("out of memory; select less, or set smaller --arena or --memory");
  } catch (const std::exception& error) {
    return Error(absl::StatusCode::kInternal, "internal error: {}; please report this",
                 OneLine(error.what()));
  }
}

CLI::Validator Unlisted(CLI::Validator check) { return check.description(""); }

CLI::Validator WholeNumber() {
  const auto problem = [](const std::string& text) {
    uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) return std::string();
    return fmt::format("'{}' is no whole number from 0 to 2^64 - 1", text);
  };
  return CLI::Validator(problem, "");
}

CLI::Validator Between(double low, double high) {
  const auto problem = [low, high](const std::string& text) {
    double value = 0;
    const bool number = CLI::detail::lexical_cast(text, value);
    if (number && value >= low && value <= high) return std::string();
    return fmt::format("'{}' is not between {} and {}", text, low, high);
  };
  return CLI::Validator(problem, "");
}

void AddJson(CLI::App& app, bool* json) {
  app.add_flag("--json", *json, "Print one JSON object")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

void AddThreads(CLI::App& app, unsigned* threads) {
  app.add_option("--threads", *threads, "Threads to use (default: all cores)")
      ->check(Unlisted(CLI::Range(1, 1024)))
      ->type_name("N");
}

void AddStore(CLI::App& app, std::string* store) {
  app.add_option("STORE", *store, "Directory of the store")->required()->type_name("");
}

void AddSize(CLI::App& app, const std::string& name, uint64_t* bytes, const std::string& help,
             bool off) {
  app.add_option_function<std::string>(
         name,
         [name, bytes, off](const std::string& text) {
           if (off && text == "off") {
             *bytes = 0;
             return;
           }
           const absl::StatusOr<uint64_t> size = ParseSize(text);
           if (!size.ok()) throw CLI::ValidationError(name, Message(size.status()));
           *bytes = *size;
         },
         help)
      ->type_name(off ? "BYTES|off" : "BYTES");
}

void AddOpenOptions(CLI::App& app, OpenStoreOptions* options) {
  AddAt(app, &options->at);
  AddSize(app, "--arena", &options->arena_bytes,
          "Memory for decoded entries, or off (default: a quarter of memory)", true);
  AddThreads(app, &options->threads);
}

void AddAt(CLI::App& app, std::string* at) {
  app.add_option("--at", *at, "Branch, tag or commit to look at (default: main)")->type_name("REF");
}

absl::Status CheckAt(const std::string& store, const std::string& at) {
  if (at == "main") return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(store, {}));
  return history->Resolve(at).status();
}

void AddWait(CLI::App& app, double* wait_seconds) {
  app.add_option("--wait", *wait_seconds,
                 "Seconds to wait for another writer (default: 30); reading never waits")
      ->check(Between(0, 1e6))
      ->type_name("SECONDS");
}

absl::Status WaitForWriter(const std::string& store, double wait_seconds) {
  const std::string lock_path = db::LockPath(store);
  if (!PathExists(lock_path)) return absl::OkStatus();
  return FileLock::Acquire(lock_path, wait_seconds).status();
}

}  // namespace lutdb::cli
