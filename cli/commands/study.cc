// lutdb study STORE: what a model is worth when something about its tables is changed. So far
// `faults`: how many bad cells a ROM with these tables survives.

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/result_file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/data_flags.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/svg.h"
#include "cli/text_table.h"
#include "lutdb/dataset.h"
#include "lutdb/eval.h"
#include "lutdb/faults.h"

namespace lutdb::cli {
namespace {

constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;

struct Flags {
  std::string what;
  std::string store;
  std::string text;
  std::string tokens;
  uint64_t count = 0;  // 0: all tokens
  DataFlags data;
  std::string mode = "both";
  std::vector<double> shares = {0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5};
  FaultStudyOptions study;
  std::string csv, svg;
  ModelOptions model;
  EvalOptions eval;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

// The one figure that a curve shows, and how much of it may be lost before the model counts as
// failed.
struct Measure {
  const char* name;
  double EvalReport::*value;
  bool more_is_better;
  double slack;  // of accuracy and R2 an amount, of the others a factor

  bool Survives(double sound, double damaged) const {
    return more_is_better ? damaged >= sound - slack : damaged <= sound * slack;
  }
};

Measure MeasureOf(const EvalReport& report) {
  if (report.has_accuracy) return {"accuracy", &EvalReport::accuracy, true, 0.01};
  if (report.has_perplexity) return {"perplexity", &EvalReport::perplexity, false, 1.05};
  return {"mse", &EvalReport::mse, false, 1.05};
}

// The points of one share.
struct ShareSummary {
  double share = 0;
  uint32_t seeds = 0;
  double mean = 0, low = 0, high = 0;
};

std::vector<ShareSummary> Summarise(const std::vector<FaultPoint>& points, const Measure& measure) {
  std::map<double, ShareSummary> shares;
  for (const FaultPoint& point : points) {
    const double value = point.report.*measure.value;
    ShareSummary& share = shares[point.share];
    share.share = point.share;
    share.low = share.seeds == 0 ? value : std::min(share.low, value);
    share.high = share.seeds == 0 ? value : std::max(share.high, value);
    share.mean += value;
    ++share.seeds;
  }
  std::vector<ShareSummary> list;
  for (auto& [key, share] : shares) {
    share.mean /= share.seeds;
    list.push_back(share);
  }
  return list;
}

// The largest share up to which every measured one is survived on average; below 0: the sound model
// was not measured, so that there is nothing to compare with.
double SurvivedShare(const std::vector<ShareSummary>& shares, const Measure& measure) {
  if (shares.empty() || shares.front().share != 0) return -1;
  double survived = 0;
  for (const ShareSummary& share : shares) {
    if (!measure.Survives(shares.front().mean, share.mean)) break;
    survived = share.share;
  }
  return survived;
}

struct Curve {
  FaultKind kind = FaultKind::kDead;
  std::vector<FaultPoint> points;
};

// Data is read once, not for every point.
absl::StatusOr<EvaluateFn> Evaluation(const Flags& flags, const Model& model,
                                      const EvalOptions& options) {
  if (flags.data.given()) {
    if (model.is_language_model()) {
      return InvalidArgument("this is a language model: give it --text or --tokens");
    }
    LUTDB_ASSIGN_OR_RETURN(Dataset loaded, LoadDataset(flags.data.options, ShapeOf(model)));
    const auto data = std::make_shared<const Dataset>(std::move(loaded));
    return EvaluateFn(
        [data, options](Model& damaged) { return EvalDataset(damaged, *data, options); });
  }
  std::vector<int32_t> ids;
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokenFile(flags.tokens));
  } else {
    LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.text, kTextBytesMax));
    LUTDB_ASSIGN_OR_RETURN(ids, model.Encode(text));
  }
  if (flags.count > 0 && flags.count < ids.size()) ids.resize(flags.count);
  return EvaluateFn([ids, options](Model& damaged) { return EvalTokens(damaged, ids, options); });
}

absl::StatusOr<std::vector<Curve>> Measured(const Flags& flags, Model& model) {
  FaultStudyOptions study = flags.study;
  study.shares = flags.shares;
  EvalOptions options = flags.eval;
  options.cancel = StopOnSignals();
  ProgressBar bar;
  std::vector<Curve> curves;
  for (const FaultKind kind : {FaultKind::kDead, FaultKind::kFlipped}) {
    if (flags.mode != "both" && flags.mode != Name(kind)) continue;
    study.kind = kind;
    // One bar for all points of a curve; the number of rows is known when the first one reports.
    uint64_t point = 0, last = 0;
    const auto zeros =
        static_cast<uint64_t>(std::count(study.shares.begin(), study.shares.end(), 0.0));
    const uint64_t total = zeros + (study.shares.size() - zeros) * study.seeds;
    options.progress = [&](const Progress& progress) {
      if (progress.done < last) ++point;
      last = progress.done;
      Progress whole = progress;
      whole.stage = Name(kind);
      whole.done += point * progress.total;
      whole.total *= total;
      bar.Report(whole);
    };
    LUTDB_ASSIGN_OR_RETURN(const EvaluateFn evaluate, Evaluation(flags, model, options));
    LUTDB_ASSIGN_OR_RETURN(std::vector<FaultPoint> points, StudyFaults(model, evaluate, study));
    curves.push_back({.kind = kind, .points = std::move(points)});
  }
  return curves;
}

Json ToJson(const std::vector<Curve>& curves, const Measure& measure) {
  Json json = {{"measure", measure.name}, {"curves", Json::array()}};
  for (const Curve& curve : curves) {
    const std::vector<ShareSummary> shares = Summarise(curve.points, measure);
    Json one = {{"mode", Name(curve.kind)}, {"points", Json::array()}};
    for (const FaultPoint& point : curve.points) {
      one["points"].push_back({{"share", point.share},
                               {"seed", point.seed},
                               {"count", point.report.count},
                               {measure.name, point.report.*measure.value}});
    }
    const double survived = SurvivedShare(shares, measure);
    one["survived_share"] = survived < 0 ? Json(nullptr) : Json(survived);
    json["curves"].push_back(std::move(one));
  }
  return json;
}

std::string Csv(const std::vector<Curve>& curves, const Measure& measure) {
  std::string text = fmt::format("mode,share,seed,count,{}\n", measure.name);
  for (const Curve& curve : curves) {
    for (const FaultPoint& point : curve.points) {
      text += fmt::format("{},{},{},{},{}\n", Name(curve.kind), point.share, point.seed,
                          point.report.count, point.report.*measure.value);
    }
  }
  return text;
}

std::string Chart(const Flags& flags, const std::vector<Curve>& curves, const Measure& measure) {
  std::vector<ChartSeries> series;
  for (const Curve& curve : curves) {
    ChartSeries& one = series.emplace_back();
    one.name = Name(curve.kind);
    for (const FaultPoint& point : curve.points) {
      one.points.push_back({point.share, point.report.*measure.value});
    }
  }
  return LineChart({.title = fmt::format("{} with bad cells", BaseName(flags.store)),
                    .x = "share of bad cells",
                    .y = measure.name,
                    .log_y = !measure.more_is_better},
                   series);
}

// Perplexities of a broken model have more digits than anyone reads.
std::string Figure(double value) {
  return value < 1e5 ? fmt::format("{:.4f}", value) : fmt::format("{:.4g}", value);
}

void Print(const std::vector<Curve>& curves, const Measure& measure, Output& output) {
  using Align = TextTable::Align;
  for (const Curve& curve : curves) {
    const std::vector<ShareSummary> shares = Summarise(curve.points, measure);
    TextTable table({{fmt::format("{} cells", Name(curve.kind)), Align::kRight},
                     {fmt::format("mean {}", measure.name)},
                     {"lowest"},
                     {"highest"},
                     {"seeds"}});
    for (const ShareSummary& share : shares) {
      table.Add({fmt::format("{:.4g} %", share.share * 100), Figure(share.mean), Figure(share.low),
                 Figure(share.high), fmt::format("{}", share.seeds)});
    }
    output.Write(table.Format());
    const double survived = SurvivedShare(shares, measure);
    if (survived >= 0) {
      const std::string slack =
          measure.more_is_better
              ? fmt::format("loses at most {}", measure.slack)
              : fmt::format("grows by at most {:.3g} %", (measure.slack - 1) * 100);
      output.Write(fmt::format("survives {:.4g} % of {} cells ({} {})\n", survived * 100,
                               Name(curve.kind), measure.name, slack));
    }
    if (&curve != &curves.back()) output.Write("\n");
  }
}

absl::Status Run(const Flags& flags, Output& output) {
  if (flags.what != "faults") {
    return InvalidArgument("there is no study of '{}'; there is: lutdb study faults STORE",
                           flags.what);
  }
  for (const double share : flags.shares) {
    if (share >= 0 && share <= 1) continue;
    return InvalidArgument("--shares are fractions between 0 and 1, not {}", share);
  }
  LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, flags.model));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<Curve> curves, Measured(flags, *model));
  const Measure measure = MeasureOf(curves.front().points.front().report);
  if (!flags.csv.empty()) {
    LUTDB_RETURN_IF_ERROR(WriteResultFile(flags.csv, Csv(curves, measure)));
  }
  if (!flags.svg.empty()) {
    LUTDB_RETURN_IF_ERROR(WriteResultFile(flags.svg, Chart(flags, curves, measure)));
  }
  if (flags.json) {
    output.WriteJson(ToJson(curves, measure));
  } else {
    Print(curves, measure, output);
  }
  return absl::OkStatus();
}

void AddStudied(CLI::App& app, Flags* flags) {
  CLI::Option_group* data = app.add_option_group("Data", "What to evaluate on; exactly one");
  data->add_option("--text", flags->text, "UTF-8 text, encoded by the store's tokenizer")
      ->type_name("FILE");
  data->add_option("--tokens", flags->tokens, "Ids, raw little-endian int32; no BOS is added")
      ->type_name("FILE");
  AddDataFlags(app, data, &flags->data);
  data->require_option(1);
  app.add_option("--window", flags->eval.window,
                 "Tokens per window; the context is emptied between (default: the model's context)")
      ->check(Unlisted(CLI::Range(1, 1 << 30)))
      ->type_name("W");
  app.add_option("--count", flags->count, "Only the first tokens (default: all)")
      ->check(Unlisted(CLI::Range(2, 1 << 30)))
      ->type_name("N");
}

}  // namespace

Action DeclareStudy(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  app.add_option("STUDY", flags->what, "faults: accuracy or perplexity with bad cells")
      ->required()
      ->type_name("");
  AddStore(app, &flags->store);
  AddStudied(app, flags.get());
  app.add_option("--mode", flags->mode,
                 "dead (entries read as 0), flipped (one bit is wrong), both")
      ->check(Unlisted(CLI::IsMember({"dead", "flipped", "both"})))
      ->type_name("MODE");
  app.add_option("--shares", flags->shares,
                 "Shares of bad cells (default: 0,0.001,0.003,0.01,0.03,0.1,0.2,0.3,0.5)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("A,B,...");
  app.add_option("--seeds", flags->study.seeds, "Measurements per share (default: 3)")
      ->check(Unlisted(CLI::Range(1, 1000)))
      ->type_name("N");
  app.add_option("--tables", flags->study.tables, "Only these tables are damaged (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAME,...");
  app.add_option("--points", flags->csv, "Write every measurement, as CSV")->type_name("FILE");
  app.add_option("--svg", flags->svg, "Write the curves")->type_name("FILE");
  AddOpenOptions(app, &flags->model.store);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Run(*flags, output); };
}

}  // namespace lutdb::cli
