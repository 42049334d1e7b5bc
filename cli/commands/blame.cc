// lutdb blame STORE ADDRESS: who changed an entry, when and why.

#include <algorithm>
#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/history_output.h"
#include "cli/patch_reader.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/history.h"
#include "lutdb/store.h"

namespace lutdb::cli {
namespace {

constexpr size_t kEntriesMax = 1 << 20;
constexpr size_t kEntriesShown = 20;

struct Flags {
  std::string store;
  std::string address;
  OpenStoreOptions open;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

struct Blamed {
  EntryKey key;
  int16_t entry = 0;
  double value = 0;
  std::vector<EntryOrigin> origins;  // newest first; empty: as it was built
};

absl::StatusOr<std::vector<Blamed>> Blame(const Flags& flags, const History& history,
                                          const Store& store) {
  LUTDB_ASSIGN_OR_RETURN(const Lookup lookup, store.Get(flags.address));
  if (lookup.entries.size() > kEntriesMax) {
    return ResourceExhausted("{} selects {} entries; blame tells of at most {} at a time",
                             flags.address, HumanCount(lookup.entries.size()),
                             HumanCount(kEntriesMax));
  }
  LUTDB_ASSIGN_OR_RETURN(const uint32_t table, PatchTables(store.info()).Find(lookup.table));
  std::vector<EntryKey> keys;
  std::vector<Blamed> blamed;
  for (size_t n = 0; n < lookup.neurons.size(); ++n) {
    for (size_t c = 0; c < lookup.chunks.size(); ++c) {
      for (size_t k = 0; k < lookup.codes.size(); ++k) {
        keys.push_back({table, lookup.neurons[n], lookup.chunks[c], lookup.codes[k]});
        blamed.push_back({keys.back(), lookup.at(n, c, k), lookup.value(n, c, k), {}});
      }
    }
  }
  LUTDB_ASSIGN_OR_RETURN(auto origins, history.Blame(flags.open.at, keys));
  for (size_t i = 0; i < keys.size(); ++i) blamed[i].origins = std::move(origins[i]);
  return blamed;
}

Json ToJson(const Blamed& blamed, const Store& store) {
  Json origins = Json::array();
  for (const EntryOrigin& origin : blamed.origins) {
    Json json = {{"before", origin.before}, {"after", origin.after}};
    json["commit"] = CommitJson(origin.commit);
    origins.push_back(std::move(json));
  }
  return {{"address", EntryAddress(store.info(), blamed.key)},
          {"entry", blamed.entry},
          {"value", blamed.value},
          {"commits", std::move(origins)}};
}

void Print(const std::vector<Blamed>& all, const Store& store, Output& output) {
  using Align = TextTable::Align;
  TextTable table({{"entry", Align::kLeft},
                   {"now"},
                   {"value"},
                   {"was"},
                   {"became"},
                   {"commit", Align::kLeft},
                   {"date", Align::kLeft},
                   {"author", Align::kLeft},
                   {"message", Align::kLeft}});
  size_t edited = 0;
  for (const Blamed& blamed : all) {
    if (blamed.origins.empty() || ++edited > kEntriesShown) continue;
    std::vector<std::string> head = {EntryAddress(store.info(), blamed.key),
                                     std::to_string(blamed.entry),
                                     fmt::format("{:.6g}", blamed.value)};
    for (const EntryOrigin& origin : blamed.origins) {
      std::vector<std::string> cells = head;
      head = {"", "", ""};
      const std::string& message = origin.commit.message;
      cells.insert(cells.end(), {std::to_string(origin.before), std::to_string(origin.after),
                                 ShortId(origin.commit.id), FormatTime(origin.commit.time),
                                 Printable(origin.commit.author),
                                 Printable(message.substr(0, message.find('\n')))});
      table.Add(std::move(cells));
    }
  }
  if (edited > 0) output.Write(table.Format());
  if (edited > kEntriesShown) {
    output.Write(fmt::format("{} of {} edited entries shown; --json gives all\n", kEntriesShown,
                             HumanCount(edited)));
  }
  const size_t built = all.size() - edited;
  if (built > 0) {
    output.Write(fmt::format("{} entr{} as built: nobody changed {}\n", HumanCount(built),
                             built == 1 ? "y is" : "ies are", built == 1 ? "it" : "them"));
  }
}

absl::Status RunBlame(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto history, History::Open(flags.store, {}));
  LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags.store, flags.open));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<Blamed> all, Blame(flags, *history, *store));
  if (!flags.json) {
    Print(all, *store, output);
    return absl::OkStatus();
  }
  Json list = Json::array();
  for (const Blamed& blamed : all) list.push_back(ToJson(blamed, *store));
  output.WriteJson({{"at", flags.open.at}, {"entries", std::move(list)}});
  return absl::OkStatus();
}

}  // namespace

Action DeclareBlame(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_option("ADDRESS", flags->address, "Entries, as `get` takes them")
      ->required()
      ->type_name("");
  AddAt(app, &flags->open.at);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return RunBlame(*flags, output); };
}

}  // namespace lutdb::cli
