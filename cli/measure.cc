#include "cli/measure.h"

#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "lutdb/model.h"

namespace lutdb::cli {
namespace {

constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;

absl::StatusOr<EvalReport> Evaluate(const MeasureFlags& flags, Model& model,
                                    const EvalOptions& options) {
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadTokenFile(flags.tokens));
    return EvalTokens(model, ids, options);
  }
  if (!flags.text.empty()) {
    LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.text, kTextBytesMax));
    return EvalText(model, text, options);
  }
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: give it --eval-text or --eval-tokens");
  }
  if (model.is_integer_only() && !flags.rows.images.empty()) {
    return EvalImages(model, flags.rows.images, flags.rows.labels, options);
  }
  LUTDB_ASSIGN_OR_RETURN(const Dataset data, LoadDataset(flags.rows, ShapeOf(model)));
  return EvalDataset(model, data, options);
}

}  // namespace

bool MeasureFlags::given() const { return !Source().empty(); }

std::string MeasureFlags::Source() const {
  for (const std::string* path : {&rows.csv, &rows.images, &rows.npy_inputs, &tokens, &text}) {
    if (!path->empty()) return *path;
  }
  return "";
}

void AddMeasureFlags(CLI::App& app, MeasureFlags* flags) {
  CLI::Option_group* data =
      app.add_option_group("Measure", "Run eval before and after, and keep both in the commit");
  data->add_option("--eval-csv", flags->rows.csv, "Rows of a CSV file; needs --target")
      ->type_name("FILE");
  data->add_option("--eval-images", flags->rows.images, "Images in idx format; needs --eval-labels")
      ->type_name("FILE");
  data->add_option("--eval-inputs", flags->rows.npy_inputs, "A .npy; needs --eval-targets")
      ->type_name("FILE");
  data->add_option("--eval-tokens", flags->tokens, "Ids, raw little-endian int32")
      ->type_name("FILE");
  data->add_option("--eval-text", flags->text, "UTF-8 text")->type_name("FILE");
  data->require_option(0, 1);
  const auto with = [&](const char* source, const char* name, std::string* to, const char* help,
                        const char* type) {
    CLI::Option* option = app.add_option(name, *to, help)->type_name(type);
    option->needs(app.get_option(source));
    app.get_option(source)->needs(option);
  };
  with("--eval-csv", "--target", &flags->rows.target, "The column to predict", "COL");
  with("--eval-images", "--eval-labels", &flags->rows.labels, "Labels in idx format", "FILE");
  with("--eval-inputs", "--eval-targets", &flags->rows.npy_targets, "A .npy of targets", "FILE");
  app.add_option("--eval-window", flags->window, "Tokens per window (default: the context)")
      ->check(Unlisted(CLI::Range(1, 1 << 30)))
      ->type_name("W");
}

absl::StatusOr<EvalReport> Measure(const MeasureFlags& flags, const std::string& store,
                                   const std::string& at, const std::vector<EntryChange>* pending) {
  ModelOptions options;
  options.store.at = at;
  options.pending = pending;
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Open(store, options));
  EvalOptions eval;
  eval.window = flags.window;
  eval.cancel = StopOnSignals();
  ProgressBar bar;
  eval.progress = bar.Callback();
  return Evaluate(flags, *model, eval);
}

Json FiguresJson(const EvalReport& report) {
  Json json = {{"count", report.count}};
  if (report.has_nll) json["nll"] = report.nll;
  if (report.has_perplexity) json["perplexity"] = report.perplexity;
  if (report.has_accuracy) json["accuracy"] = report.accuracy;
  if (report.has_mse) json["mse"] = report.mse;
  if (report.has_r2) json["r2"] = report.r2;
  return json;
}

std::string FormatFigures(const Json& before, const Json& after) {
  std::string text;
  for (const auto& [name, value] : before.items()) {
    if (name == "count" || !value.is_number() || !after.contains(name)) continue;
    if (!after[name].is_number()) continue;
    const double from = value.get<double>(), to = after[name].get<double>();
    text += fmt::format("{} {:.6g} -> {:.6g} ({:+.3g})\n", name, from, to, to - from);
  }
  return text;
}

}  // namespace lutdb::cli
