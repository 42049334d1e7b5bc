// lutdb eval STORE: how good the model is, from its tables or (--reference) from the kept weights.

#include "lutdb/eval.h"

#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
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
  std::string images;
  std::string labels;
  ModelOptions model;
  EvalOptions eval;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

absl::StatusOr<EvalReport> Evaluate(const Flags& flags, Model& model, const EvalOptions& options) {
  if (!flags.images.empty()) return EvalImages(model, flags.images, flags.labels, options);
  std::vector<int32_t> ids;
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokenFile(flags.tokens));
  } else {
    LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.text, kTextBytesMax));
    LUTDB_ASSIGN_OR_RETURN(ids, model.Encode(text));
  }
  return EvalTokens(model, ids, options);
}

void Print(const EvalReport& report, bool reference, Output& output) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"evaluated", reference ? "the kept f32 weights (--reference)" : "the tables"},
      {"predictions", HumanCount(report.count)}};
  if (report.has_nll) {
    facts.emplace_back("nll", fmt::format("{:.6f} per token (natural log)", report.nll));
    facts.emplace_back("perplexity", fmt::format("{:.4f}", report.perplexity));
  }
  if (report.has_accuracy) {
    facts.emplace_back("accuracy", fmt::format("{:.4f}", report.accuracy));
  }
  output.Write(FormatFacts(facts));
}

absl::Status Eval(const Flags& flags, Output& output) {
  LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, flags.model));
  EvalOptions options = flags.eval;
  options.cancel = StopOnSignals();
  absl::StatusOr<EvalReport> report;
  {
    ProgressBar bar;
    options.progress = bar.Callback();
    report = Evaluate(flags, *model, options);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (flags.json) {
    Json json = {{"count", report->count}};
    if (report->has_nll) {
      json["nll"] = report->nll;
      json["perplexity"] = report->perplexity;
    }
    if (report->has_accuracy) json["accuracy"] = report->accuracy;
    json["reference"] = flags.model.reference;
    json["seconds"] = report->seconds;
    output.WriteJson(json);
  } else {
    Print(*report, flags.model.reference, output);
  }
  fmt::print(stderr, "evaluated in {}\n", HumanSeconds(report->seconds));
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
  CLI::Option* images =
      data->add_option("--images", flags->images, "Images in idx format, plain or gzipped")
          ->type_name("FILE");
  data->require_option(1);
  CLI::Option* labels =
      app.add_option("--labels", flags->labels, "Labels in idx format, plain or gzipped")
          ->type_name("FILE");
  images->needs(labels);
  labels->needs(images);
  app.add_option("--window", flags->eval.window,
                 "Tokens per window; the context is emptied between (default: the model's context)")
      ->check(Unlisted(CLI::Range(1, 1 << 30)))
      ->excludes(images)
      ->type_name("W");
  (void)text, (void)tokens;
  app.add_flag("--reference", flags->model.reference, "Use the kept f32 weights, not the tables")
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  AddOpenOptions(app, &flags->model.store);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Eval(*flags, output); };
}

}  // namespace lutdb::cli
