#include "cli/ref_commands.h"

#include <memory>

#include "base/status.h"
#include "cli/history_output.h"
#include "cli/text_table.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string name;
  std::string from = "main";
  bool remove = false;
  double wait_seconds = 30;
  bool json = false;
};

Json CommitOrNull(const std::string& id) { return id.empty() ? Json(nullptr) : Json(id); }

absl::Status List(const Flags& flags, const RefKind& kind, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(flags.store, {}));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<History::Ref> refs, ((*history).*kind.list)());
  Json list = Json::array();
  TextTable table({{kind.one, TextTable::Align::kLeft}, {"commit", TextTable::Align::kLeft}});
  for (const History::Ref& ref : refs) {
    list.push_back({{"name", ref.name}, {"commit", CommitOrNull(ref.commit)}});
    table.Add({ref.name, ShortId(ref.commit)});
  }
  if (flags.json) {
    output.WriteJson({{kind.many, std::move(list)}});
  } else if (refs.empty()) {
    output.Write(fmt::format("no {}\n", kind.many));
  } else {
    output.Write(table.Format());
  }
  return absl::OkStatus();
}

absl::Status Change(const Flags& flags, const RefKind& kind, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(
      const auto history,
      History::Open(flags.store, {.write = true, .wait_seconds = flags.wait_seconds}));
  Json json = {{"name", flags.name}};
  std::string text;
  if (flags.remove) {
    LUTDB_RETURN_IF_ERROR(((*history).*kind.remove)(flags.name));
    json["deleted"] = true;
    text = fmt::format("{} {} deleted\n", kind.one, flags.name);
  } else {
    LUTDB_RETURN_IF_ERROR(((*history).*kind.create)(flags.name, flags.from));
    LUTDB_ASSIGN_OR_RETURN(const std::string commit, history->Resolve(flags.name));
    json["commit"] = CommitOrNull(commit);
    text = fmt::format("{} {} is at {}\n", kind.one, flags.name, ShortId(commit));
  }
  if (flags.json) {
    output.WriteJson(json);
  } else {
    output.Write(text);
  }
  return absl::OkStatus();
}

}  // namespace

Action DeclareRefCommand(CLI::App& app, const RefKind& kind) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  CLI::Option* name = app.add_option("NAME", flags->name,
                                     fmt::format("The {} to make; without it, list them", kind.one))
                          ->type_name("");
  app.add_option("FROM", flags->from, "Branch, tag or commit it begins at (default: main)")
      ->type_name("");
  app.add_flag("--delete", flags->remove,
               fmt::format("Delete the {}; its commits stay until gc", kind.one))
      ->needs(name)
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags, &kind, name](Output& output) {
    return name->count() == 0 ? List(*flags, kind, output) : Change(*flags, kind, output);
  };
}

}  // namespace lutdb::cli
