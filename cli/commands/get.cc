// lutdb get STORE ADDRESS: entries by address, as a table for people, JSON, CSV or .npy.
//
// JSON and CSV are written piece by piece: a selection may hold more entries than a JSON tree of
// them would fit in memory.

#include <algorithm>
#include <memory>

#include "base/npy.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/store.h"

namespace lutdb::cli {
namespace {

constexpr size_t kRowsShown = 40;  // of a table for people
constexpr size_t kStepsShown = 4;

struct Flags {
  std::string store;
  std::string address;
  OpenStoreOptions open;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
  bool csv = false;
  std::string npy;
};

// Level values are integers or fixed-point numbers: the shortest text that gives the number back.
std::string Number(double value) { return fmt::format("{}", value); }

template <typename T>
void WriteArray(const std::vector<T>& values, Output& output) {
  output.Write("[");
  for (size_t i = 0; i < values.size() && output.open(); ++i) {
    output.Write(fmt::format("{}{}", i == 0 ? "" : ",", values[i]));
  }
  output.Write("]");
}

// neuron -> chunk -> code; text(n, c, k) is one element.
template <typename Text>
void WriteNested(const Lookup& lookup, Output& output, Text text) {
  output.Write("[");
  for (size_t n = 0; n < lookup.neurons.size() && output.open(); ++n) {
    output.Write(n == 0 ? "\n[" : ",\n[");
    for (size_t c = 0; c < lookup.chunks.size(); ++c) {
      output.Write(c == 0 ? "[" : ",[");
      for (size_t k = 0; k < lookup.codes.size(); ++k) {
        if (k > 0) output.Write(",");
        output.Write(text(n, c, k));
      }
      output.Write("]");
    }
    output.Write("]");
  }
  output.Write("]");
}

void WriteLevels(const std::vector<std::vector<double>>& levels, size_t begin, size_t end,
                 Output& output) {
  output.Write("[");
  for (size_t i = begin; i < end; ++i) {
    if (i > begin) output.Write(",");
    WriteArray(levels[i], output);
  }
  output.Write("]");
}

void WriteLookupJson(const Lookup& lookup, Output& output) {
  output.Write("{\"table\": " +
               Json(lookup.table).dump(-1, ' ', false, Json::error_handler_t::replace));
  output.Write(fmt::format(",\n\"entry\": \"{}\",\n\"neurons\": ", Name(lookup.entry)));
  WriteArray(lookup.neurons, output);
  output.Write(",\n\"chunks\": ");
  WriteArray(lookup.chunks, output);
  output.Write(",\n\"codes\": ");
  WriteArray(lookup.codes, output);
  output.Write(",\n\"step\": ");
  // As doubles, so that every reader gets the f32 exactly, whatever it parses numbers into.
  WriteArray(std::vector<double>(lookup.step.begin(), lookup.step.end()), output);
  output.Write(",\n\"levels\": ");
  WriteLevels(lookup.levels, 0, lookup.levels.size(), output);
  const size_t codes = lookup.codes.size();
  for (size_t i = 0; i < lookup.chunk_levels.size(); i += codes) {
    output.Write(i == 0 ? ",\n\"chunk_levels\": [" : ",\n");
    WriteLevels(lookup.chunk_levels, i, i + codes, output);
    if (i + codes == lookup.chunk_levels.size()) output.Write("]");
  }
  output.Write(",\n\"entries\": ");
  WriteNested(lookup, output, [&](size_t n, size_t c, size_t k) {
    return fmt::format_int(lookup.at(n, c, k)).str();
  });
  output.Write(",\n\"values\": ");
  WriteNested(lookup, output,
              [&](size_t n, size_t c, size_t k) { return Number(lookup.value(n, c, k)); });
  output.Write("}\n");
}

void WriteLookupCsv(const Lookup& lookup, Output& output) {
  output.Write("neuron,chunk,code,entry,value\n");
  for (size_t n = 0; n < lookup.neurons.size(); ++n) {
    for (size_t c = 0; c < lookup.chunks.size() && output.open(); ++c) {
      for (size_t k = 0; k < lookup.codes.size(); ++k) {
        output.Write(fmt::format("{},{},{},{},{}\n", lookup.neurons[n], lookup.chunks[c],
                                 lookup.codes[k], lookup.at(n, c, k), lookup.value(n, c, k)));
      }
    }
  }
}

std::string LevelsText(const Lookup& lookup, size_t c, size_t k) {
  std::string text;
  for (const double level : lookup.levels_of(c, k))
    text += (text.empty() ? "" : ", ") + Number(level);
  return text;
}

std::string StepsText(const Lookup& lookup) {
  std::string text;
  for (size_t n = 0; n < std::min(lookup.step.size(), kStepsShown); ++n) {
    text += fmt::format("{}{:.6g}", n == 0 ? "" : ", ", lookup.step[n]);
  }
  return text + (lookup.step.size() > kStepsShown ? ", ..." : "");
}

void PrintLookup(const Lookup& lookup, Output& output) {
  output.Write(FormatFacts({
      {"table", lookup.table},
      {"selected", fmt::format("{} neurons x {} chunks x {} codes, {} entries",
                               HumanCount(lookup.neurons.size()), HumanCount(lookup.chunks.size()),
                               HumanCount(lookup.codes.size()), Name(lookup.entry))},
      {"step", StepsText(lookup) + "  (value = entry x step, for input scale 1)"},
  }));
  output.Write("\n");
  TextTable table({{"neuron"}, {"chunk"}, {"code"}, {"levels"}, {"entry"}, {"value"}});
  const size_t count = lookup.entries.size();
  const size_t codes = std::max<size_t>(lookup.codes.size(), 1);
  const size_t chunks = std::max<size_t>(lookup.chunks.size(), 1);
  // A long selection shows its beginning and its end.
  const bool cut = count > kRowsShown;
  for (size_t i = 0; i < count; ++i) {
    if (cut && i == kRowsShown - 5) {
      table.Add({"...", "...", "...", "...", "...", "..."});
      i = count - 5;
    }
    const size_t k = i % codes, c = i / codes % chunks, n = i / codes / chunks;
    table.Add({std::to_string(lookup.neurons[n]), std::to_string(lookup.chunks[c]),
               std::to_string(lookup.codes[k]), LevelsText(lookup, c, k),
               std::to_string(lookup.at(n, c, k)), fmt::format("{:.6g}", lookup.value(n, c, k))});
  }
  output.Write(table.Format());
  if (cut) {
    output.Write(fmt::format("\n{} of {} entries shown; --json, --csv or --npy FILE gives all\n",
                             kRowsShown, HumanCount(count)));
  }
}

absl::Status Get(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto store, Store::Open(flags.store, flags.open));
  LUTDB_ASSIGN_OR_RETURN(const Lookup lookup, store->Get(flags.address));
  if (flags.json) {
    WriteLookupJson(lookup, output);
  } else if (flags.csv) {
    WriteLookupCsv(lookup, output);
  } else if (!flags.npy.empty()) {
    const uint64_t shape[] = {lookup.neurons.size(), lookup.chunks.size(), lookup.codes.size()};
    return WriteNpy(flags.npy, shape, lookup.entries, lookup.entry == EntryType::kI8);
  } else {
    PrintLookup(lookup, output);
  }
  return absl::OkStatus();
}

}  // namespace

Action DeclareGet(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  app.add_option("ADDRESS", flags->address,
                 "table[neurons, chunks, codes] with NumPy indexing, such as 'lm_head[5, 0:4, :]'")
      ->required()
      ->type_name("");
  CLI::Option_group* format = app.add_option_group("Format");
  AddJson(*format, &flags->json);
  format->add_flag("--csv", flags->csv, "Print neuron,chunk,code,entry,value lines")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  format->add_option("--npy", flags->npy, "Write a NumPy file of int16 or int8, three-dimensional")
      ->type_name("FILE");
  format->require_option(0, 1);
  AddOpenOptions(app, &flags->open);
  AddWait(app, &flags->wait_seconds);
  return [flags](Output& output) { return Get(*flags, output); };
}

}  // namespace lutdb::cli
