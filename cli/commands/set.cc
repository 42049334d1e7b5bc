// lutdb set STORE ADDRESS VALUE -m MSG: gives the entries of an address one value.

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/edit_commit.h"
#include "cli/entry_edits.h"

namespace lutdb::cli {
namespace {

struct Flags {
  EditFlags edit;
  std::string address;
  std::string value;
};

struct Value {
  PatchOp op = PatchOp::kValue;
  double operand = 0;
};

// A real number, or raw:17.
absl::StatusOr<Value> ParseValue(const std::string& text) {
  constexpr std::string_view kRaw = "raw:";
  if (text.rfind(kRaw, 0) == 0) {
    int32_t entry = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + kRaw.size(), end, entry);
    if (read.ec == std::errc() && read.ptr == end) return Value{PatchOp::kRaw, double(entry)};
    return InvalidArgument("'{}' is no entry: a whole number follows raw:", text);
  }
  char* end = nullptr;
  const double real = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(real)) {
    return InvalidArgument("'{}' is no value: give a finite real number, or raw: and an entry",
                           text);
  }
  return Value{PatchOp::kValue, real};
}

absl::StatusOr<std::vector<EntryEdit>> MakeEdits(const Store& store, const std::string& address,
                                                 const Value& value) {
  LUTDB_ASSIGN_OR_RETURN(const Lookup lookup, store.Get(address));
  if (lookup.entries.empty()) {
    return FailedPrecondition("{} selects no entry; nothing was changed", address);
  }
  LUTDB_ASSIGN_OR_RETURN(const uint32_t table, PatchTables(store.info()).Find(lookup.table));
  EntryEdits edits(store, "");
  PatchEntry entry = {.op = value.op, .operand = value.operand};
  for (const uint32_t neuron : lookup.neurons) {
    for (const uint32_t chunk : lookup.chunks) {
      for (const uint32_t code : lookup.codes) {
        entry.key = {table, neuron, chunk, code};
        LUTDB_RETURN_IF_ERROR(edits.Add(entry));
      }
    }
  }
  return edits.Finish();
}

}  // namespace

Action DeclareSet(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddEditFlags(app, &flags->edit, /*message_required=*/true);
  app.add_option("ADDRESS", flags->address,
                 "Entries to set, as `get` takes them, such as 'lm_head[5, 0, 200]'")
      ->required()
      ->type_name("");
  app.add_option("VALUE", flags->value, "Real (entry x step), or an entry: raw:17")
      ->required()
      ->type_name("");
  return [flags](Output& output) -> absl::Status {
    LUTDB_ASSIGN_OR_RETURN(const Value value, ParseValue(flags->value));
    const auto make = [&](const Store& store) { return MakeEdits(store, flags->address, value); };
    return CommitEdits(flags->edit, make, Json::object(), output);
  };
}

}  // namespace lutdb::cli
