// lutdb eval STORE: how good the model is, from its tables or (--reference) from the kept weights.

#include "lutdb/eval.h"

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/data_flags.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/text_table.h"

namespace lutdb::cli {
namespace {

constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;

struct Flags {
  std::string store;
  std::string text;
  std::string tokens;
  DataFlags data;
  double valid_fraction = 0;  // 0: all rows
  uint64_t seed = 1;          // that of tune
  ModelOptions model;
  EvalOptions eval;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

absl::StatusOr<EvalReport> EvaluateRows(const Flags& flags, Model& model,
                                        const EvalOptions& options, uint64_t* dropped_rows) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: give it --text or --tokens");
  }
  const DataOptions& source = flags.data.options;
  // Pixels as such: no float is computed at all.
  if (model.is_integer_only() && !source.images.empty() && flags.valid_fraction == 0 &&
      source.classes.empty()) {
    return EvalImages(model, source.images, source.labels, options);
  }
  LUTDB_ASSIGN_OR_RETURN(const Dataset data, LoadDataset(source, ShapeOf(model)));
  *dropped_rows = source.drop_incomplete ? data.dropped_rows : 0;
  if (flags.valid_fraction == 0) return EvalDataset(model, data, options);
  LUTDB_ASSIGN_OR_RETURN(const RowSplit split, SplitRows(data, flags.valid_fraction, flags.seed));
  return EvalRows(model, data, split.valid, options);
}

absl::StatusOr<EvalReport> Evaluate(const Flags& flags, Model& model, const EvalOptions& options,
                                    uint64_t* dropped_rows) {
  if (flags.data.given()) return EvaluateRows(flags, model, options, dropped_rows);
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadTokenFile(flags.tokens));
    return EvalTokens(model, ids, options);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.text, kTextBytesMax));
  return EvalText(model, text, options);
}

// How perplexity was measured: figures of different protocols cannot be compared.
std::string Protocol(const EvalReport& report) {
  if (report.stride >= report.window) {
    return fmt::format("separate windows of {} tokens", report.window);
  }
  return fmt::format("sliding windows of {} tokens, {} further each; each token counted once",
                     report.window, report.stride);
}

void Print(const EvalReport& report, bool reference, uint64_t dropped_rows, Output& output) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"evaluated", reference ? "the kept f32 weights (--reference)" : "the tables"},
      {"predictions", HumanCount(report.count)}};
  if (report.has_nll) {
    facts.emplace_back("nll", fmt::format("{:.6f} per {} (natural log)", report.nll,
                                          report.has_perplexity ? "token" : "row"));
  }
  if (report.has_perplexity) {
    facts.emplace_back("perplexity", fmt::format("{:.4f}", report.perplexity));
    facts.emplace_back("protocol", Protocol(report));
  }
  if (report.has_accuracy) {
    facts.emplace_back("accuracy", fmt::format("{:.4f}", report.accuracy));
  }
  if (report.has_mse) facts.emplace_back("mean squared error", fmt::format("{:.6g}", report.mse));
  if (report.has_r2) facts.emplace_back("R2", fmt::format("{:.4f}", report.r2));
  if (dropped_rows > 0) facts.emplace_back("incomplete rows left out", HumanCount(dropped_rows));
  output.Write(FormatFacts(facts));
}

Json ToJson(const EvalReport& report) {
  Json json = {{"count", report.count}};
  if (report.has_nll) json["nll"] = report.nll;
  if (report.has_perplexity) {
    json["perplexity"] = report.perplexity;
    json["window"] = report.window;
    json["stride"] = report.stride;
    json["protocol"] = report.stride < report.window ? "sliding windows" : "separate windows";
  }
  if (report.has_accuracy) json["accuracy"] = report.accuracy;
  if (report.has_mse) json["mse"] = report.mse;
  if (report.has_r2) json["r2"] = report.r2;
  json["seconds"] = report.seconds;
  return json;
}

absl::Status Eval(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, flags.model));
  EvalOptions options = flags.eval;
  options.cancel = StopOnSignals();
  absl::StatusOr<EvalReport> report;
  uint64_t dropped_rows = 0;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    report = Evaluate(flags, *model, options, &dropped_rows);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (flags.json) {
    Json json = ToJson(*report);
    if (flags.data.options.drop_incomplete) json["dropped_rows"] = dropped_rows;
    json["reference"] = flags.model.reference;
    output.WriteJson(json);
  } else {
    Print(*report, flags.model.reference, dropped_rows, output);
  }
  Notice("evaluated in {}\n", HumanSeconds(report->seconds));
  return absl::OkStatus();
}

}  // namespace

Action DeclareEval(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  CLI::Option_group* data = app.add_option_group("Data", "What to evaluate on; exactly one");
  CLI::Option* text =
      data->add_option("--text", flags->text,
                       "UTF-8 text, encoded by the store's tokenizer as a prompt is: BOS once, at "
                       "its beginning")
          ->type_name("FILE");
  CLI::Option* tokens =
      data->add_option("--tokens", flags->tokens, "Ids, raw little-endian int32; no BOS is added")
          ->type_name("FILE");
  AddDataFlags(app, data, &flags->data);
  data->require_option(1);
  AddHeldOut(app, &flags->valid_fraction, &flags->seed,
             "Only the rows that `tune` holds out with the same share and seed");
  CLI::Option* window =
      app.add_option(
             "--window", flags->eval.window,
             "Tokens per window; the context is emptied between (default: the model's context)")
          ->check(Unlisted(CLI::Range(1, 1 << 30)))
          ->type_name("W");
  CLI::Option* stride =
      app.add_option("--stride", flags->eval.stride,
                     "Tokens from one window to the next; each is counted once, in the first that "
                     "has it (default: half a window of text, a whole one of tokens)")
          ->check(Unlisted(CLI::Range(1, 1 << 30)))
          ->type_name("S");
  for (const char* rows : {"--csv", "--images", "--inputs", "--wav"}) {
    window->excludes(app.get_option(rows));
    stride->excludes(app.get_option(rows));
  }
  for (CLI::Option* option : {text, tokens}) option->excludes(app.get_option("--valid-fraction"));
  app.add_flag("--reference", flags->model.reference, "Use the kept f32 weights, not the tables")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddOpenOptions(app, &flags->model.store);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Eval(*flags, output); };
}

}  // namespace lutdb::cli
