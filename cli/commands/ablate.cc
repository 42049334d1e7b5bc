// lutdb ablate STORE: a commit that kills, scales or spoils neurons, chunks, tables or a random
// share of entries, to see what they are good for.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "base/status.h"
#include "cli/command.h"
#include "cli/edit_commit.h"
#include "cli/entry_edits.h"
#include "query/address.h"

namespace lutdb::cli {
namespace {

// Chunks of a table that are looked up together: those of one tile.
constexpr size_t kChunksAtATime = 8;

enum class Mode : uint8_t { kZero, kFlip, kScale };

struct Flags {
  EditFlags edit;
  std::vector<std::string> addresses;
  std::vector<std::string> neurons, chunks;
  double fraction = 1;
  uint64_t seed = 1;
  std::string mode = "zero";
};

struct Spoiler {
  Mode mode = Mode::kZero;
  double factor = 0;
  double fraction = 1;
  uint64_t seed = 1;
  uint64_t chosen = 0;  // entries so far, those that have the value already among them
};

absl::StatusOr<Spoiler> ParseSpoiler(const Flags& flags) {
  Spoiler spoiler = {.fraction = flags.fraction, .seed = flags.seed};
  // Written so that NaN is refused, too.
  if (!(flags.fraction > 0 && flags.fraction <= 1)) {
    return InvalidArgument("--fraction takes the share of entries, above 0 and at most 1");
  }
  if (flags.mode == "zero") return spoiler;
  if (flags.mode == "flip") {
    spoiler.mode = Mode::kFlip;
    return spoiler;
  }
  const std::string text = flags.mode.rfind("scale=", 0) == 0 ? flags.mode.substr(6) : "";
  char* end = nullptr;
  spoiler.factor = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(spoiler.factor)) {
    return InvalidArgument("--mode takes zero, flip or scale=X with a finite X, not '{}'",
                           flags.mode);
  }
  spoiler.mode = Mode::kScale;
  return spoiler;
}

// 64 bits that depend on all of a key and on the seed alone: whether an entry is hit does not
// depend on what else is selected. (The finaliser of SplitMix64, once per part.)
uint64_t HashOf(const EntryKey& key, uint64_t seed) {
  uint64_t hash = seed;
  for (const uint32_t part : {key.table, key.neuron, key.chunk, key.code}) {
    hash += 0x9e3779b97f4a7c15 + part;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    hash ^= hash >> 31;
  }
  return hash;
}

// An entry with one of its bits the wrong way, as two's complement keeps it. What would be beyond
// the range (only the least number of the type is) becomes the least entry.
int32_t Flipped(int16_t entry, EntryType type, uint64_t which) {
  const int bits = 8 * EntryBytes(type);
  const auto flipped = static_cast<uint16_t>(static_cast<uint16_t>(entry) ^ (1u << (which % bits)));
  const int32_t value =
      type == EntryType::kI8 ? static_cast<int8_t>(flipped & 0xff) : static_cast<int16_t>(flipped);
  return std::max(value, -EntryLimit(type));
}

void Spoil(const Spoiler& spoiler, EntryType type, int16_t before, PatchEntry* entry) {
  switch (spoiler.mode) {
    case Mode::kZero:
      entry->operand = 0;
      break;
    case Mode::kScale:
      entry->operand = std::round(before * spoiler.factor);
      break;
    case Mode::kFlip:
      entry->operand = Flipped(before, type, HashOf(entry->key, ~spoiler.seed));
      break;
  }
}

absl::Status SpoilLookup(Spoiler& spoiler, const Lookup& lookup, uint32_t table,
                         EntryEdits* edits) {
  PatchEntry entry = {.op = PatchOp::kRaw};
  for (size_t n = 0; n < lookup.neurons.size(); ++n) {
    for (size_t c = 0; c < lookup.chunks.size(); ++c) {
      for (size_t k = 0; k < lookup.codes.size(); ++k) {
        entry.key = {table, lookup.neurons[n], lookup.chunks[c], lookup.codes[k]};
        const double draw =
            std::ldexp(static_cast<double>(HashOf(entry.key, spoiler.seed) >> 11), -53);
        if (draw >= spoiler.fraction) continue;
        ++spoiler.chosen;
        const int16_t before = lookup.at(n, c, k);
        Spoil(spoiler, lookup.entry, before, &entry);
        if (entry.operand == before) continue;
        LUTDB_RETURN_IF_ERROR(edits->Add(entry));
      }
    }
  }
  return absl::OkStatus();
}

std::string AxisText(const AxisIndex& axis) {
  if (!axis.is_slice) return std::to_string(axis.begin);
  return fmt::format("{}:{}:{}", axis.has_begin ? std::to_string(axis.begin) : "",
                     axis.has_end ? std::to_string(axis.end) : "", axis.step);
}

// One address, a few chunks at a time: a table may be larger than memory.
absl::Status SpoilAddress(Spoiler& spoiler, const Store& store, const std::string& text,
                          EntryEdits* edits) {
  LUTDB_ASSIGN_OR_RETURN(Address address, ParseAddress(text));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t table, PatchTables(store.info()).Find(address.table));
  const TableInfo& info = store.info().tables[table];
  address.axes.resize(kAddressAxes);
  LUTDB_ASSIGN_OR_RETURN(const std::vector<uint32_t> chunks,
                         Resolve(address.axes[1], info.chunks, kAxisNames[1], info.name));
  for (size_t begin = 0; begin < chunks.size();) {
    size_t end = begin + 1;
    // Chunks given as lists may differ in their codes, which one lookup cannot hold.
    while (info.coding != "lists" && end < chunks.size() && end - begin < kChunksAtATime &&
           chunks[end] == chunks[end - 1] + 1) {
      ++end;
    }
    LUTDB_ASSIGN_OR_RETURN(
        const Lookup lookup,
        store.Get(fmt::format("{}[{}, {}:{}, {}]", info.name, AxisText(address.axes[0]),
                              chunks[begin], chunks[end - 1] + 1, AxisText(address.axes[2]))));
    LUTDB_RETURN_IF_ERROR(SpoilLookup(spoiler, lookup, table, edits));
    begin = end;
  }
  return absl::OkStatus();
}

// The addresses that --neurons and --chunks make of table names.
absl::StatusOr<std::vector<std::string>> Narrowed(const Flags& flags, const Store& store) {
  std::vector<std::string> addresses = flags.addresses;
  if (addresses.empty()) {
    for (const TableInfo& table : store.info().tables) addresses.push_back(table.name);
  }
  if (flags.neurons.empty() && flags.chunks.empty()) return addresses;
  const std::vector<std::string> all = {":"};
  std::vector<std::string> narrowed;
  for (const std::string& address : addresses) {
    LUTDB_ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
    if (!parsed.axes.empty()) {
      return InvalidArgument("{} has indices already; --neurons and --chunks go with table names",
                             address);
    }
    for (const std::string& neuron : flags.neurons.empty() ? all : flags.neurons) {
      for (const std::string& chunk : flags.chunks.empty() ? all : flags.chunks) {
        narrowed.push_back(fmt::format("{}[{}, {}]", parsed.table, neuron, chunk));
      }
    }
  }
  return narrowed;
}

absl::StatusOr<std::vector<EntryEdit>> MakeEdits(const Store& store, const Flags& flags,
                                                 Spoiler spoiler) {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> addresses, Narrowed(flags, store));
  EntryEdits edits(store, "");
  for (const std::string& address : addresses) {
    LUTDB_RETURN_IF_ERROR(SpoilAddress(spoiler, store, address, &edits));
  }
  LUTDB_ASSIGN_OR_RETURN(std::vector<EntryEdit> made, edits.Finish());
  if (spoiler.chosen == 0) {
    return FailedPrecondition("no entry is selected: the ranges, or --fraction, leave none");
  }
  if (made.empty()) {
    return FailedPrecondition("nothing changes: the entries selected have that value already");
  }
  return made;
}

std::string DefaultMessage(const Flags& flags) {
  std::string text = "ablate: " + flags.mode;
  if (flags.fraction < 1) {
    text += fmt::format(" {:g} % of the entries (seed {})", flags.fraction * 100, flags.seed);
  }
  for (const std::string& address : flags.addresses) text += " " + address;
  if (flags.addresses.empty()) text += " all tables";
  for (const std::string& neuron : flags.neurons) text += " neuron " + neuron;
  for (const std::string& chunk : flags.chunks) text += " chunk " + chunk;
  return text;
}

absl::Status Ablate(Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const Spoiler spoiler, ParseSpoiler(flags));
  if (flags.edit.commit.message.empty()) flags.edit.commit.message = DefaultMessage(flags);
  Json what = {{"addresses", flags.addresses}, {"neurons", flags.neurons},
               {"chunks", flags.chunks},       {"mode", flags.mode},
               {"fraction", flags.fraction},   {"seed", flags.seed}};
  const Json notes = {{"ablate", std::move(what)}};
  const auto make = [&](const Store& store) { return MakeEdits(store, flags, spoiler); };
  return CommitEdits(flags.edit, make, notes, output);
}

}  // namespace

Action DeclareAblate(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddEditFlags(app, &flags->edit, /*message_required=*/false);
  app.add_option("ADDRESS", flags->addresses, "Tables or entries (default: all tables)")
      ->type_name("");
  const auto list = [&](const char* name, std::vector<std::string>* to, const char* help) {
    app.add_option(name, *to, help)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("A,B:C,...");
  };
  list("--neurons", &flags->neurons, "Of the tables, only these neurons");
  list("--chunks", &flags->chunks, "Of the tables, only these chunks");
  app.add_option("--fraction", flags->fraction,
                 "Share of the entries, chosen by --seed (default: all)")
      ->type_name("F");
  app.add_option("--seed", flags->seed, "Which entries, and which bits (default: 1)")
      ->type_name("S");
  app.add_option("--mode", flags->mode,
                 "zero: entries become 0 (default); flip: one bit of each is inverted; scale=X: "
                 "they are multiplied")
      ->type_name("MODE");
  return [flags](Output& output) { return Ablate(*flags, output); };
}

}  // namespace lutdb::cli
