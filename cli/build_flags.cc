#include "cli/build_flags.h"

#include <iterator>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/progress_bar.h"
#include "db/store_files.h"
#include "lutdb/build.h"
#include "lutdb/calibration.h"

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
  app.add_option("--levels", flags->levels,
                 "Levels of an input: evenly spaced, or fitted to --calibrate (default: grid)")
      ->check(Unlisted(CLI::IsMember({"grid", "quantile", "learned"})))
      ->type_name("grid|quantile|learned");
  app.add_option("--coding", flags->coding,
                 "A level for each input, or a codeword for each chunk (default: levels)")
      ->check(Unlisted(CLI::IsMember({"levels", "codebook"})))
      ->type_name("levels|codebook");
  app.add_option("--codes", options.codes, "Codewords of a codebook (default: 256)")
      ->check(Unlisted(CLI::Range(2, 65536)))
      ->type_name("C");
  add_flag("--rotate", &options.rotate,
           "Rotate inputs by block-Hadamard transforms (better with few bits)");
  app.add_option("--calibrate", flags->calibrate,
                 "Representative inputs: text or .i32 tokens, .npy or .csv rows, idx images")
      ->type_name("FILE");
  AddSize(app, "--budget", &options.budget_bytes,
          "Bytes of entries; bits of each table by what its coding loses on --calibrate");
  AddThreads(app, &options.threads);
  AddSize(app, "--memory", &options.memory_bytes,
          "Memory the build may use (default: a quarter of what there is)");
}

absl::StatusOr<BuildOptions> ToBuildOptions(const BuildFlags& flags) {
  BuildOptions options = flags.options;
  options.levels = flags.levels == "quantile"  ? LevelsFrom::kQuantile
                   : flags.levels == "learned" ? LevelsFrom::kLearned
                                               : LevelsFrom::kGrid;
  if (flags.coding == "codebook") {
    if (options.levels != LevelsFrom::kGrid) {
      return InvalidArgument("--coding codebook has codewords instead of --levels; give one");
    }
    if (options.codes == 0) options.codes = 256;
  } else if (options.codes != 0) {
    return InvalidArgument("--codes is the size of a codebook: add --coding codebook");
  }
  const bool needs_data =
      options.levels != LevelsFrom::kGrid || options.codes != 0 || options.budget_bytes != 0;
  if (needs_data && flags.calibrate.empty()) {
    return InvalidArgument("{} is fitted to data: add --calibrate FILE",
                           options.codes != 0          ? "--coding codebook"
                           : options.budget_bytes != 0 ? "--budget"
                                                       : "--levels " + flags.levels);
  }
  options.grid = FromName(flags.grid, kGrids);
  options.entry = FromName(flags.entry, kEntries);
  options.layout = FromName(flags.layout, kLayouts);
  options.codec = FromName(flags.codec, kCodecs);
  return options;
}

absl::Status Calibrate(const std::string& model, const std::string& scratch,
                       const BuildFlags& flags, BuildOptions* options) {
  if (flags.calibrate.empty()) return absl::OkStatus();
  // Only the kept weights are used: the smallest tables will do.
  BuildOptions plain;
  plain.input_bits = 1;
  plain.codec = Codec::kProduct;
  plain.graph_file = options->graph_file;
  plain.tokenizer_file = options->tokenizer_file;
  plain.threads = options->threads;
  plain.memory_bytes = options->memory_bytes;
  plain.cancel = options->cancel;
  ProgressBar bar;
  plain.progress = bar.Callback();
  if (PathExists(scratch) && !PathExists(db::RocksPath(scratch))) {
    return FailedPrecondition("{} is in the way: calibrating builds a store of that name", scratch);
  }
  LUTDB_RETURN_IF_ERROR(RemovePath(scratch));  // of a run that was killed
  const auto built = BuildStore(model, scratch, plain);
  auto samples = built.ok() ? ObserveTables(scratch, flags.calibrate,
                                            {.threads = options->threads,
                                             .sensitivity = options->budget_bytes != 0,
                                             .progress = bar.Callback(),
                                             .cancel = options->cancel})
                            : absl::StatusOr<std::vector<TableSample>>(built.status());
  LUTDB_RETURN_IF_ERROR(RemovePath(scratch));
  LUTDB_RETURN_IF_ERROR(RemovePath(db::PartialPath(scratch)));
  LUTDB_RETURN_IF_ERROR(samples.status());
  options->calibration = std::make_shared<const std::vector<TableSample>>(*std::move(samples));
  return absl::OkStatus();
}

}  // namespace lutdb::cli
