// lutdb info STORE: model, tables, sizes, codings, branches, hashes, arena.

#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/layer_groups.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/store.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  OpenStoreOptions open;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

Json TableJson(const TableInfo& table) {
  return {{"name", table.name},
          {"inputs", table.inputs},
          {"neurons", table.neurons},
          {"chunk", table.chunk},
          {"chunks", table.chunks},
          {"codes", table.codes},
          {"coding", table.coding},
          {"input_bits", table.input_bits},
          {"entry", Name(table.entry)},
          {"layout", Name(table.layout)},
          {"codec", Name(table.codec)},
          {"mirror", table.mirror},
          {"records", table.records},
          {"raw_bytes", table.raw_bytes},
          {"stored_bytes", table.stored_bytes}};
}

// The store as it is at the ref that was asked for.
struct AtRef {
  Hash128 content_hash;
  Store::Head head;
  double derived_fraction = 0;
};

absl::StatusOr<AtRef> ReadAtRef(const Store& store) {
  AtRef at;
  LUTDB_ASSIGN_OR_RETURN(at.content_hash, store.ContentHash());
  LUTDB_ASSIGN_OR_RETURN(at.head, store.head());
  double entries = 0;
  for (const TableInfo& table : store.info().tables) {
    entries += static_cast<double>(table.raw_bytes / EntryBytes(table.entry));
  }
  const double edited = entries == 0 ? 0 : static_cast<double>(at.head.edited_entries) / entries;
  at.derived_fraction = std::max(0.0, store.info().derived_fraction - edited);
  return at;
}

Json ToJson(const StoreInfo& info, const AtRef& at, const std::string& ref) {
  Json tables = Json::array();
  for (const TableInfo& table : info.tables) tables.push_back(TableJson(table));
  return {{"format_version", info.format_version},
          {"architecture", info.architecture},
          {"source_format", info.source_format},
          {"source_name", info.source_name},
          {"integer_only", info.integer_only},
          {"has_tokenizer", info.has_tokenizer},
          {"content_hash", at.content_hash.Hex()},
          {"graph_hash", info.graph_hash.Hex()},
          {"tables", std::move(tables)},
          {"raw_bytes", info.raw_bytes},
          {"stored_bytes", info.stored_bytes},
          {"weights_stored_bytes", info.weights_stored_bytes},
          {"derived_fraction", at.derived_fraction},
          {"branches", info.branches},
          {"at", ref},
          {"commit", at.head.commit.empty() ? Json(nullptr) : Json(at.head.commit)},
          {"edited_entries", at.head.edited_entries},
          {"generation", info.generation},
          {"ranges", info.ranges},
          {"ranges_resumed", info.ranges_resumed},
          {"arena_file_bytes", info.arena_file_bytes}};
}

std::string Bytes(uint64_t bytes) { return HumanBytes(static_cast<double>(bytes)); }

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// What tables of one line have in common; their records and sizes are added.
std::vector<std::string> SharedCells(const TableInfo& table) {
  return {HumanCount(table.inputs),
          HumanCount(table.neurons),
          table.chunk == 0 ? "lists" : HumanCount(table.chunk),
          HumanCount(table.codes),
          table.coding + (table.mirror ? ", mirrored" : ""),
          std::to_string(table.input_bits),
          Name(table.entry),
          Name(table.layout),
          Name(table.codec)};
}

void PrintTables(const StoreInfo& info, Output& output) {
  using Align = TextTable::Align;
  TextTable table({{"table", Align::kLeft},
                   {"tables"},
                   {"inputs"},
                   {"neurons"},
                   {"chunk"},
                   {"codes"},
                   {"coding", Align::kLeft},
                   {"bits"},
                   {"entry", Align::kLeft},
                   {"layout", Align::kLeft},
                   {"codec", Align::kLeft},
                   {"records"},
                   {"raw"},
                   {"stored"}});
  std::vector<std::string> names, keys;
  for (const TableInfo& row : info.tables) {
    names.push_back(row.name);
    keys.push_back(Join(SharedCells(row)));
  }
  for (const LayerGroup& group : GroupLayers(names, keys)) {
    TableInfo sum = info.tables[group.members[0]];
    for (size_t i = 1; i < group.members.size(); ++i) {
      const TableInfo& row = info.tables[group.members[i]];
      sum.records += row.records;
      sum.raw_bytes += row.raw_bytes;
      sum.stored_bytes += row.stored_bytes;
    }
    std::vector<std::string> cells = {group.name, std::to_string(group.members.size())};
    for (std::string& cell : SharedCells(sum)) cells.push_back(std::move(cell));
    cells.insert(cells.end(),
                 {HumanCount(sum.records), Bytes(sum.raw_bytes), Bytes(sum.stored_bytes)});
    table.Add(std::move(cells));
  }
  output.Write(table.Format());
  output.Write("\n");
}

void PrintInfo(const StoreInfo& info, const AtRef& at, Output& output) {
  PrintTables(info, output);
  std::string ranges = HumanCount(info.ranges);
  if (info.ranges_resumed > 0) {
    ranges +=
        fmt::format(" ({} found finished by a resumed build)", HumanCount(info.ranges_resumed));
  }
  const std::string derived = fmt::format(
      "{:.4g} % of the entries follow from the weights' slopes{}", at.derived_fraction * 100,
      at.derived_fraction >= 1 ? ": this store says what its weights say" : "");
  output.Write(FormatFacts({
      {"model",
       fmt::format("{}, from {} ({})", info.architecture, info.source_name, info.source_format)},
      {"tokenizer", info.has_tokenizer ? "yes" : "none"},
      {"integer only", info.integer_only ? "yes" : "no"},
      {"addressable", Bytes(info.raw_bytes) + " of entries, decoded (raw)"},
      {"on disk", fmt::format("{} (stored), of which {} are the source weights",
                              Bytes(info.stored_bytes), Bytes(info.weights_stored_bytes))},
      {"derived", derived},
      {"arena files", Bytes(info.arena_file_bytes)},
      {"branches", Join(info.branches)},
      {"commit", at.head.commit.empty() ? "none: as it was built" : at.head.commit},
      {"edited", fmt::format("{} entries differ from generation {}",
                             HumanCount(at.head.edited_entries), info.generation)},
      {"build ranges", ranges},
      {"content hash", at.content_hash.Hex()},
      {"graph hash", info.graph_hash.Hex()},
      {"format", std::to_string(info.format_version)},
  }));
}

}  // namespace

Action DeclareInfo(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  AddOpenOptions(app, &flags->open);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) -> absl::Status {
    LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags->store, flags->open));
    LUTDB_ASSIGN_OR_RETURN(const AtRef at, ReadAtRef(*store));
    if (flags->json) {
      output.WriteJson(ToJson(store->info(), at, flags->open.at));
    } else {
      PrintInfo(store->info(), at, output);
    }
    return absl::OkStatus();
  };
}

}  // namespace lutdb::cli
