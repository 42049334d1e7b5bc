#include "cli/build_flags.h"

#include <iterator>
#include <vector>

#include "base/check.h"
#include "cli/command.h"

namespace lutdb::cli {
namespace {

// The value that a word names: Name() is the one place where the words are written down.
template <typename Enum, size_t kCount>
Enum FromName(const std::string& name, const Enum (&values)[kCount]) {
  for (Enum value : values) {
    if (name == Name(value)) return value;
  }
  LUTDB_CHECK(!"a word the parser let through");
  return values[0];
}

constexpr Grid kGrids[] = {Grid::kSigned, Grid::kUnsigned};
constexpr EntryType kEntries[] = {EntryType::kI8, EntryType::kI16};
constexpr Layout kLayouts[] = {Layout::kTile, Layout::kRow};
constexpr Codec kCodecs[] = {Codec::kProduct, Codec::kDelta, Codec::kRaw, Codec::kSmallest};

template <typename Enum, size_t kCount>
void AddWord(CLI::App& app, const char* name, std::string* word, const Enum (&values)[kCount],
             const std::string& help) {
  std::vector<std::string> words;
  std::string list;
  for (Enum value : values) {
    words.emplace_back(Name(value));
    list += (list.empty() ? "" : "|") + words.back();
  }
  app.add_option(name, *word, help + " (default: " + *word + ")")
      ->check(Unlisted(CLI::IsMember(words)))
      ->type_name(list);
}

}  // namespace

void AddBuildFlags(CLI::App& app, BuildFlags* flags) {
  BuildOptions& options = flags->options;
  app.add_option("--input-bits", options.input_bits, "Bits of an input (default: 8)")
      ->check(Unlisted(CLI::Range(1, 16)))
      ->type_name("1..16");
  AddWord(app, "--grid", &flags->grid, kGrids, "Levels of an input");
  app.add_option("--chunk", options.chunk, "Inputs looked up together (default: 1)")
      ->check(Unlisted(CLI::Range(1, 65536)))
      ->type_name("G");
  AddWord(app, "--entry", &flags->entry, kEntries, "Type of an entry");
  AddWord(app, "--layout", &flags->layout, kLayouts, "How entries are cut into records");
  AddWord(app, "--codec", &flags->codec, kCodecs, "How records are written");
  const auto add_flag = [&app](const char* name, bool* flag, const char* help) {
    app.add_flag(name, *flag, help)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  };
  add_flag("--mirror", &options.mirror, "Keep one of each +- pair of codes");
  add_flag("--integer-only", &options.integer_only,
           "No float and no multiplication between input and answer (feed-forward)");
  app.add_option("--tokenizer", options.tokenizer_file, "Tokenizer, if not beside the model")
      ->type_name("FILE");
  app.add_option("--graph", options.graph_file, "Graph of a feed-forward network (JSON)")
      ->type_name("FILE");
  AddThreads(app, &options.threads);
  AddSize(app, "--memory", &options.memory_bytes,
          "Memory the build may use (default: a quarter of what there is)");
}

BuildOptions ToBuildOptions(const BuildFlags& flags) {
  BuildOptions options = flags.options;
  options.grid = FromName(flags.grid, kGrids);
  options.entry = FromName(flags.entry, kEntries);
  options.layout = FromName(flags.layout, kLayouts);
  options.codec = FromName(flags.codec, kCodecs);
  return options;
}

}  // namespace lutdb::cli
