#include "cli/history_output.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>

#include "base/status.h"
#include "cli/entry_edits.h"
#include "cli/measure.h"
#include "cli/patch_reader.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "query/edited_hash.h"
#include "query/edits.h"
#include "query/history_reader.h"
#include "query/store_reader.h"

namespace lutdb::cli {
namespace {

constexpr size_t kChangesShown = 40;

// Steps of the tables that changes are in.
class Steps {
 public:
  explicit Steps(const Store& store) : store_(store) {}
  absl::StatusOr<double> Of(uint32_t table, uint32_t neuron) {
    std::vector<float>& steps = steps_[table];
    if (steps.empty()) {
      LUTDB_ASSIGN_OR_RETURN(steps, StepsOf(store_, table));
    }
    return double{steps[neuron]};
  }

 private:
  const Store& store_;
  std::map<uint32_t, std::vector<float>> steps_;
};

Json NotesJson(const CommitInfo& commit) {
  if (commit.notes.empty()) return nullptr;
  Json notes = Json::parse(commit.notes, nullptr, /*allow_exceptions=*/false);
  return notes.is_discarded() ? Json(nullptr) : notes;
}

std::string Indented(const std::string& text) {
  std::string lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines += "    " + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return lines;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string printable;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const auto next = static_cast<uint8_t>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool two_bytes = byte == 0xc2 && next >= 0x80 && next < 0xa0;  // U+0080 to U+009F
    const bool one = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
    if (two_bytes || one) {
      printable += fmt::format("\\x{:02x}", two_bytes ? next : byte);
      i += two_bytes ? 1 : 0;
    } else {
      printable += text[i];
    }
  }
  return printable;
}

std::string ShortId(const std::string& id) {
  return id.empty() ? "the build" : id.substr(0, kIdDigits);
}

std::string FormatTime(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts = {};
  if (gmtime_r(&time, &parts) == nullptr) return std::to_string(seconds);
  char text[64];
  const size_t length = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return std::string(text, length);
}

Json CommitJson(const CommitInfo& commit) {
  return {{"id", commit.id},           {"parents", commit.parents}, {"author", commit.author},
          {"time", commit.time},       {"message", commit.message}, {"entries", commit.entries},
          {"notes", NotesJson(commit)}};
}

std::string FormatCommit(const CommitInfo& commit) {
  std::string text = fmt::format("commit {}\n", commit.id);
  if (commit.parents.size() > 1) {
    text += "merge  ";
    for (const std::string& parent : commit.parents) text += ShortId(parent) + " ";
    text.back() = '\n';
  }
  text += fmt::format("author {}\ndate   {}\n       {} entr{} changed\n\n{}",
                      Printable(commit.author), FormatTime(commit.time), HumanCount(commit.entries),
                      commit.entries == 1 ? "y" : "ies", Indented(Printable(commit.message)));
  const Json notes = NotesJson(commit);
  if (notes.is_object() && notes.contains("eval") && notes["eval"].is_object()) {
    const Json& eval = notes["eval"];
    const Json empty = Json::object();
    text += "\n" + Indented(FormatFigures(eval.value("before", empty), eval.value("after", empty)));
  }
  return text;
}

absl::Status WriteChangesJson(const Store& store, const std::vector<EntryChange>& changes,
                              const ChangeNames& names, Output& output) {
  Steps steps(store);
  output.Write("[");
  for (size_t i = 0; i < changes.size() && output.open(); ++i) {
    const EntryChange& change = changes[i];
    LUTDB_ASSIGN_OR_RETURN(const double step, steps.Of(change.table, change.neuron));
    const Json json = {{"table", store.info().tables[change.table].name},
                       {"neuron", change.neuron},
                       {"chunk", change.chunk},
                       {"code", change.code},
                       {names.before, change.before},
                       {names.after, change.after},
                       {"value_" + names.before, change.before * step},
                       {"value_" + names.after, change.after * step}};
    output.Write(i == 0 ? "\n" : ",\n");
    output.Write(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  output.Write("]");
  return absl::OkStatus();
}

absl::Status PrintChanges(const Store& store, const std::vector<EntryChange>& changes,
                          const ChangeNames& names, Output& output) {
  using Align = TextTable::Align;
  TextTable table({{"entry", Align::kLeft},
                   {names.before},
                   {names.after},
                   {"value " + names.before},
                   {"value " + names.after}});
  Steps steps(store);
  const size_t shown = changes.size() > kChangesShown ? kChangesShown : changes.size();
  for (size_t i = 0; i < shown; ++i) {
    const EntryChange& change = changes[i];
    LUTDB_ASSIGN_OR_RETURN(const double step, steps.Of(change.table, change.neuron));
    table.Add({EntryAddress(store.info(), {change.table, change.neuron, change.chunk, change.code}),
               std::to_string(change.before), std::to_string(change.after),
               fmt::format("{:.6g}", change.before * step),
               fmt::format("{:.6g}", change.after * step)});
  }
  if (shown > 0) output.Write(table.Format());
  if (shown < changes.size()) {
    output.Write(fmt::format("{} of {} entries shown; --json gives all\n", shown,
                             HumanCount(changes.size())));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BuildHash(const Store& store, const std::string& path) {
  if (store.info().generation == 1) return store.info().content_hash.Hex();
  // What the base generation holds, less what was baked into it.
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<StoreReader> reader,
                         StoreReader::Open(path, OpenStoreOptions().cache_bytes));
  const HistoryReader history(*reader);
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history.FromBase(""));
  const auto edits = Edits().With(changes, "", reader->geometries());
  LUTDB_ASSIGN_OR_RETURN(const Hash128 hash, EditedContentHash(*reader, *edits));
  return hash.Hex();
}

}  // namespace lutdb::cli
