// lutdb tune STORE: trains entries on data and commits them to a branch.

#include "lutdb/tune.h"

#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/data_flags.h"
#include "cli/interrupt.h"
#include "cli/notice.h"
#include "cli/propose_chunks.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/eval.h"
#include "lutdb/model.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  DataFlags data;
  std::string tokens;
  std::string objective = "task";
  std::string valid, valid_labels;
  double valid_fraction = 0.1;
  TuneOptions options;
  ReconstructOptions reconstruct;
  const CLI::Option* batch = nullptr;
  uint32_t propose = 0;  // this many pairs of inputs; 0: train
  bool dry_run = false;
  bool json = false;
};

// A data set of its own for the decision: the same options with other files.
DataOptions ValidOptions(const Flags& flags) {
  DataOptions options = flags.data.options;
  if (!options.csv.empty()) options.csv = flags.valid;
  if (!options.images.empty()) options.images = flags.valid, options.labels = flags.valid_labels;
  if (!options.npy_inputs.empty()) {
    options.npy_inputs = flags.valid, options.npy_targets = flags.valid_labels;
  }
  if (!options.wav.empty()) options.wav = flags.valid;
  return options;
}

// Appends the rows of `more`, which was read with the same options, and returns the split.
absl::StatusOr<RowSplit> Append(const Dataset& more, Dataset* data) {
  if (more.width != data->width || more.has_classes != data->has_classes ||
      more.target_width != data->target_width || more.class_names != data->class_names) {
    return InvalidArgument("{} and {} do not hold the same inputs and targets", data->source,
                           more.source);
  }
  RowSplit split;
  for (uint32_t row = 0; row < data->rows; ++row) split.train.push_back(row);
  for (uint32_t row = 0; row < more.rows; ++row) {
    split.valid.push_back(static_cast<uint32_t>(data->rows + row));
  }
  data->rows += more.rows;
  data->inputs.insert(data->inputs.end(), more.inputs.begin(), more.inputs.end());
  data->labels.insert(data->labels.end(), more.labels.begin(), more.labels.end());
  data->targets.insert(data->targets.end(), more.targets.begin(), more.targets.end());
  return split;
}

void ShowProgress(const TuneProgress& progress) {
  if (!progress.table.empty()) {
    Notice("fitted {} ({} of {})", progress.table, progress.done, progress.total);
    Notice(": unexplained {:.4f} from {:.4f}\n", progress.valid_loss, progress.train_loss);
    return;
  }
  if (progress.trials > 1) Notice("trial {}/{}, ", progress.trial, progress.trials);
  Notice("epoch {}/{}: train {:.6g}, validation {:.6g}", progress.done, progress.total,
         progress.train_loss, progress.valid_loss);
  if (progress.classes) Notice(", accuracy {:.4f}", progress.valid_accuracy);
  Notice("\n");
}

Json ToJson(const TuneMeasure& measure, bool classes) {
  Json json = {{"count", measure.count}, {"loss", measure.loss}};
  if (classes) json["accuracy"] = measure.accuracy;
  return json;
}

Json ToJson(const TuneReport& report) {
  return {{"objective", report.objective},
          {"improved", report.improved},
          {"train",
           {{"before", ToJson(report.train_before, report.classes)},
            {"after", ToJson(report.train_after, report.classes)}}},
          {"valid",
           {{"before", ToJson(report.valid_before, report.classes)},
            {"after", ToJson(report.valid_after, report.classes)}}},
          {"learning_rate", report.learning_rate},
          {"smooth", report.regularity.smooth},
          {"curve", report.regularity.curve},
          {"near", report.regularity.near},
          {"epochs", report.epochs},
          {"steps", report.steps},
          {"seed", report.seed},
          {"resumed", report.resumed},
          {"stopped", report.stopped},
          {"seconds", report.seconds},
          {"entries", report.entries},
          {"entries_changed", report.entries_changed},
          {"tables", report.tables},
          {"coarse_bits", report.coarse_bits},
          {"coarse_whole", report.coarse_whole},
          {"commit", report.commit.empty() ? Json(nullptr) : Json(report.commit)}};
}

std::string Change(const TuneMeasure& before, const TuneMeasure& after, bool classes) {
  std::string text = fmt::format("loss {:.6g} -> {:.6g}", before.loss, after.loss);
  if (classes) text += fmt::format(", accuracy {:.4f} -> {:.4f}", before.accuracy, after.accuracy);
  return text + fmt::format(" ({})", HumanCount(after.count));
}

void Print(const TuneReport& report, Output& output) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"objective", report.objective},
      {"training", Change(report.train_before, report.train_after, report.classes)},
      {"validation", Change(report.valid_before, report.valid_after, report.classes)},
      {"learning rate", fmt::format("{:g}", report.learning_rate)},
      {"penalties", fmt::format("smooth {:g}, curve {:g}, near {:g}", report.regularity.smooth,
                                report.regularity.curve, report.regularity.near)},
      {"steps", fmt::format("{} in {} epochs ({})", report.steps, report.epochs, report.stopped)},
      {"entries changed", fmt::format("{} of {}", report.entries_changed, report.entries)},
      {"commit", report.commit.empty() ? "none" : report.commit}};
  output.Write(FormatFacts(facts));
}

struct TaskRows {
  Dataset data;
  RowSplit split;
};

absl::StatusOr<TaskRows> LoadTaskRows(const Flags& flags) {
  DataShape shape;
  {
    ModelOptions open;
    open.store.arena_bytes = 0;
    open.store.at = flags.options.branch;
    LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, open));
    if (model->is_language_model()) {
      return InvalidArgument(
          "this is a language model: tune it with --objective reconstruct --tokens FILE");
    }
    shape = ShapeOf(*model);
  }
  TaskRows rows;
  LUTDB_ASSIGN_OR_RETURN(rows.data, LoadDataset(flags.data.options, shape));
  if (flags.valid.empty()) {
    LUTDB_ASSIGN_OR_RETURN(rows.split,
                           SplitRows(rows.data, flags.valid_fraction, flags.options.seed));
  } else {
    const DataOptions& data = flags.data.options;
    if (flags.valid_labels.empty() && (!data.images.empty() || !data.npy_inputs.empty())) {
      return InvalidArgument("{}: give its labels or targets with --valid-labels", flags.valid);
    }
    LUTDB_ASSIGN_OR_RETURN(const Dataset valid, LoadDataset(ValidOptions(flags), shape));
    LUTDB_ASSIGN_OR_RETURN(rows.split, Append(valid, &rows.data));
  }
  return rows;
}

absl::Status Tune(Flags& flags, Output& output) {
  flags.options.cancel = StopOnSignals();
  flags.options.progress = ShowProgress;
  flags.options.commit = !flags.dry_run;
  absl::StatusOr<TuneReport> report;
  if (flags.objective == "task") {
    if (!flags.data.given()) {
      return InvalidArgument("the objective 'task' needs rows: --csv, --images, --inputs or --wav");
    }
    LUTDB_ASSIGN_OR_RETURN(const TaskRows rows, LoadTaskRows(flags));
    if (flags.propose > 0) {
      return ProposeChunks(rows.data, rows.split, flags.propose, flags.json, output);
    }
    if (flags.batch->count() == 0 && !rows.split.train.empty()) {
      const auto train = std::min<size_t>(rows.split.train.size(), flags.options.batch);
      flags.options.batch = static_cast<uint32_t>(train);
    }
    report = TuneRowsOf(flags.store, rows.data, rows.split, flags.options);
  } else {
    if (flags.propose > 0) return InvalidArgument("--propose-chunks looks at rows, not at tokens");
    if (flags.tokens.empty()) {
      return InvalidArgument("the objective 'reconstruct' needs --tokens to calibrate on");
    }
    LUTDB_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadTokenFile(flags.tokens));
    flags.reconstruct.valid_fraction = flags.valid_fraction;
    report = ReconstructTokens(flags.store, ids, flags.reconstruct, flags.options);
  }
  LUTDB_RETURN_IF_ERROR(report.status());
  if (flags.json) {
    output.WriteJson(ToJson(*report));
  } else {
    Print(*report, output);
  }
  Notice("tuned in {}\n", HumanSeconds(report->seconds));
  if (report->improved && report->classes &&
      report->valid_after.accuracy < report->valid_before.accuracy) {
    Notice(
        "note: the loss decides, which got better; fewer of the held-out rows are right than "
        "before\n");
  }
  if (report->improved) return absl::OkStatus();
  return FailedPrecondition(
      "{}: the validation figure did not get better, nothing is committed; more data, penalties or "
      "--search may help",
      flags.store);
}

// Checked before any data is read; what they mean together is checked with the rows at hand.
CLI::Validator NotNegative() { return Between(0, 1e30); }

void AddTraining(CLI::App& app, Flags* flags) {
  TuneOptions* const options = &flags->options;
  app.add_option("--lr", options->learning_rate, "Learning rate, in units of a table's output")
      ->check(NotNegative())
      ->capture_default_str();
  flags->batch = app.add_option("--batch", options->batch,
                                "Rows per step (default: 128, or all where there are fewer)")
                     ->check(WholeNumber());
  app.add_option("--epochs", options->epochs, "Passes over the rows at most")
      ->check(WholeNumber())
      ->capture_default_str();
  app.add_option("--patience", options->patience, "Stop after so many epochs without a better one")
      ->check(WholeNumber())
      ->capture_default_str();
  app.add_option("--smooth", options->regularity.smooth,
                 "Penalty on differences between neighbouring codes, in rows")
      ->check(NotNegative())
      ->capture_default_str();
  app.add_option("--curve", options->regularity.curve,
                 "Penalty on differences of such differences, in rows")
      ->check(NotNegative())
      ->capture_default_str();
  app.add_option("--near", options->regularity.near, "Penalty on corrections, in rows")
      ->check(NotNegative())
      ->capture_default_str();
  app.add_option("--search", options->search, "Try N settings, keep the best on validation rows")
      ->check(WholeNumber())
      ->type_name("N");
  app.add_option("--checkpoint-seconds", options->checkpoint_seconds,
                 "Keep what a killed run goes on from, at most this often")
      ->check(NotNegative())
      ->capture_default_str();
  app.add_option("--steps", options->steps_max, "Budget: steps")
      ->check(WholeNumber())
      ->type_name("N");
  app.add_option("--time", options->seconds_max, "Budget: seconds")
      ->check(NotNegative())
      ->type_name("S");
  app.add_option("--coarse", options->coarse,
                 "Round what was learned to as few bits as cost this share of the validation loss")
      ->check(NotNegative())
      ->type_name("SHARE");
  app.add_option("--entries", options->entries_max, "Budget: entries changed")
      ->check(WholeNumber())
      ->type_name("N");
}

}  // namespace

Action DeclareTune(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  TuneOptions* options = &flags->options;
  AddStore(app, &flags->store);
  CLI::Option_group* data = app.add_option_group("Data", "What to learn from; exactly one");
  data->add_option("--tokens", flags->tokens, "Ids, raw little-endian int32 (reconstruct)")
      ->type_name("FILE");
  AddDataFlags(app, data, &flags->data);
  data->require_option(1);
  app.add_option("--objective", flags->objective,
                 "task: the data's own targets; reconstruct: the f32 network's layers")
      ->check(Unlisted(CLI::IsMember({"task", "reconstruct"})))
      ->type_name("task|reconstruct")
      ->capture_default_str();
  CLI::Option* valid =
      app.add_option("--valid", flags->valid, "Decide on these rows (default: some are held out)")
          ->type_name("FILE");
  app.add_option("--valid-labels", flags->valid_labels, "Labels or targets of --valid")
      ->needs(valid)
      ->type_name("FILE");
  app.add_option("--valid-fraction", flags->valid_fraction, "Share of the rows to hold out")
      ->excludes(valid)
      ->capture_default_str();
  AddTraining(app, flags.get());
  app.add_option("--only", options->only, "Train these tables alone")
      ->delimiter(',')
      ->type_name("TABLES");
  app.add_option("--freeze", options->freeze, "Do not train these tables")
      ->delimiter(',')
      ->type_name("TABLES");
  app.add_option("--window", flags->reconstruct.window, "reconstruct: tokens per window");
  app.add_flag("--weights", flags->reconstruct.weights_only,
               "reconstruct: fit weights instead, for comparison");
  app.add_option("--seed", options->seed, "Chooses rows held out, orders and beginnings")
      ->check(WholeNumber())
      ->capture_default_str();
  app.add_option("--branch", options->branch, "Commit to this branch")->capture_default_str();
  app.add_option("-m,--message", options->message, "Of the commit")->type_name("TEXT");
  app.add_option("--author", options->author, "Of the commit")->type_name("NAME");
  app.add_option("--propose-chunks", flags->propose,
                 "Train nothing: list N pairs of inputs worth a joint table, best first")
      ->check(Unlisted(CLI::Range(1, 10000)))
      ->type_name("N");
  app.add_flag("--dry-run", flags->dry_run, "Train and report, commit nothing");
  AddThreads(app, &options->threads);
  AddWait(app, &options->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Tune(*flags, output); };
}

}  // namespace lutdb::cli
