// lutdb explain STORE: which records an answer was made of.

#include "lutdb/explain.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/npy.h"
#include "base/result_file.h"
#include "base/status.h"
#include "cli/command.h"
#include "cli/sizes.h"
#include "cli/svg.h"
#include "cli/text_table.h"
#include "engine/idx_file.h"
#include "lutdb/dataset.h"
#include "lutdb/eval.h"

namespace lutdb::cli {
namespace {

struct Flags {
  std::string store;
  std::string prompt;
  bool prompt_given = false;
  std::string tokens;
  std::string input;
  std::string images;
  DataOptions csv;
  uint64_t row = 0;
  ExplainOptions explain;
  bool all = false;
  std::string svg;
  ModelOptions model;
  double wait_seconds = 30;  // accepted everywhere; reading never waits
  bool json = false;
};

absl::Status CheckRow(const std::string& path, uint64_t row, uint64_t rows) {
  if (row < rows) return absl::OkStatus();
  return OutOfRange("{}: there is no row {}; it has {}, the first is 0", path, row, rows);
}

absl::StatusOr<Explanation> ExplainArray(const Flags& flags, Model& model, Explainer& explainer) {
  LUTDB_ASSIGN_OR_RETURN(const NpyArray input, ReadNpy(flags.input));
  LUTDB_RETURN_IF_ERROR(CheckRow(flags.input, flags.row, input.rows()));
  const auto row =
      absl::MakeConstSpan(input.values).subspan(flags.row * input.row_width(), input.row_width());
  if (!model.is_language_model()) {
    if (row.size() != model.input_width()) {
      return DataLoss("{}: rows have {} numbers, the network takes {}", flags.input, row.size(),
                      model.input_width());
    }
    return explainer.Row(row, flags.explain);
  }
  if (!input.integers) return DataLoss("{}: a language model takes token ids", flags.input);
  std::vector<int32_t> ids;
  for (const float id : row) {
    // f32 holds every id exactly up to 2^24; a larger one is out of any vocabulary.
    if (!(id >= 0 && id < static_cast<float>(model.output_width()))) {
      return OutOfRange("{}: id {} is not in the vocabulary of {}", flags.input, id,
                        model.output_width());
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return explainer.Tokens(ids, flags.explain);
}

absl::StatusOr<Explanation> ExplainImage(const Flags& flags, Model& model, Explainer& explainer) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: give it --prompt or --tokens");
  }
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> images, IdxFile::Open(flags.images));
  if (images->item_bytes() != model.input_width()) {
    return InvalidArgument("the images of {} have {} pixels, but the network takes {} inputs",
                           flags.images, images->item_bytes(), model.input_width());
  }
  LUTDB_RETURN_IF_ERROR(CheckRow(flags.images, flags.row, images->count()));
  std::vector<uint8_t> pixels(model.input_width());
  for (uint64_t i = 0; i <= flags.row; ++i) {
    LUTDB_RETURN_IF_ERROR(images->Read(absl::MakeSpan(pixels)));
  }
  return explainer.Pixels(pixels, flags.explain);
}

absl::StatusOr<Explanation> ExplainCsv(const Flags& flags, Model& model, Explainer& explainer) {
  if (model.is_language_model()) {
    return InvalidArgument("this is a language model: give it --prompt or --tokens");
  }
  LUTDB_ASSIGN_OR_RETURN(const Dataset data, LoadDataset(flags.csv, ShapeOf(model)));
  LUTDB_RETURN_IF_ERROR(CheckRow(flags.csv.csv, flags.row, data.rows));
  return explainer.Row(data.row(flags.row), flags.explain);
}

absl::StatusOr<Explanation> Explain(const Flags& flags, Model& model) {
  Explainer explainer(model);
  if (!flags.input.empty()) return ExplainArray(flags, model, explainer);
  if (!flags.images.empty()) return ExplainImage(flags, model, explainer);
  if (!flags.csv.csv.empty()) return ExplainCsv(flags, model, explainer);
  if (!model.is_language_model()) {
    return InvalidArgument("{} is no language model: give --input, --images or --csv", flags.store);
  }
  std::vector<int32_t> ids;
  if (!flags.tokens.empty()) {
    LUTDB_ASSIGN_OR_RETURN(ids, ReadTokenFile(flags.tokens));
  } else {
    LUTDB_ASSIGN_OR_RETURN(ids, model.Encode(flags.prompt));
  }
  return explainer.Tokens(ids, flags.explain);
}

std::string SetBy(const std::string& commit) { return commit.empty() ? "weights" : commit; }

// ---- JSON ----

Json ToJson(const Contribution& part) {
  return {{"chunk", part.chunk},   {"inputs", part.inputs},   {"code", part.code},
          {"levels", part.levels}, {"address", part.address}, {"entry", part.entry},
          {"value", part.value},   {"share", part.share},     {"set_by", SetBy(part.commit)}};
}

Json ToJson(const NeuronExplanation& neuron, bool integer_only) {
  Json json = {{"neuron", neuron.neuron}, {"largest", neuron.largest}};
  if (!neuron.text.empty()) json["text"] = neuron.text;
  json["y"] = neuron.y;
  json["acc"] = neuron.acc;
  json["step"] = neuron.step;
  if (integer_only) {
    json["bias"] = neuron.integer_bias;
  } else if (neuron.has_bias) {
    json["bias"] = neuron.bias;
  } else {
    json["bias"] = nullptr;  // nothing is added
  }
  json["chunks"] = neuron.chunks;
  json["rest"] = neuron.rest;
  json["contributions"] = Json::array();
  for (const Contribution& part : neuron.contributions) {
    json["contributions"].push_back(ToJson(part));
  }
  return json;
}

Json ToJson(const Explanation& explanation, bool language_model) {
  Json json = {{"table", explanation.table},
               {"commit", explanation.commit},
               {"integer_only", explanation.integer_only},
               {"scale", explanation.scale}};
  if (language_model) json["position"] = explanation.position;
  json["neurons"] = Json::array();
  for (const NeuronExplanation& neuron : explanation.neurons) {
    json["neurons"].push_back(ToJson(neuron, explanation.integer_only));
  }
  return json;
}

// ---- Text ----

// Control characters would move the cursor; a token's text is shown as it would be typed.
std::string Quoted(const std::string& text) {
  std::string quoted(1, '\'');
  for (const char c : text) {
    if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  quoted += '\'';
  return quoted;
}

std::string Title(const NeuronExplanation& neuron) {
  std::string title = fmt::format("neuron {}", neuron.neuron);
  if (!neuron.text.empty()) title += fmt::format(" {}", Quoted(neuron.text));
  if (neuron.largest) title += ", the largest";
  return title;
}

std::string Equation(const Explanation& explanation, const NeuronExplanation& neuron) {
  if (explanation.integer_only) {
    return fmt::format("{} = acc + bias = {} + {}", static_cast<int64_t>(neuron.y), neuron.acc,
                       neuron.integer_bias);
  }
  const std::string product =
      fmt::format("{} x {} x {}", explanation.scale, neuron.step, neuron.acc);
  const auto y = static_cast<float>(neuron.y);
  if (!neuron.has_bias) return fmt::format("{} = scale x step x acc = {}", y, product);
  return fmt::format("{} = scale x step x acc + bias = {} + {}", y, product, neuron.bias);
}

template <typename Numbers>
std::string Joined(const Numbers& numbers) {
  std::string text;
  for (const auto number : numbers) text += fmt::format("{}{}", text.empty() ? "" : " ", number);
  return text;
}

std::string TableOf(const NeuronExplanation& neuron) {
  using Align = TextTable::Align;
  TextTable table({{"address", Align::kLeft},
                   {"inputs"},
                   {"levels"},
                   {"entry"},
                   {"value"},
                   {"share"},
                   {"set by", Align::kLeft}});
  for (const Contribution& part : neuron.contributions) {
    table.Add({part.address, Joined(part.inputs), Joined(part.levels),
               fmt::format("{}", part.entry), fmt::format("{:.6g}", part.value),
               fmt::format("{:.1f} %", part.share * 100),
               part.commit.empty() ? "weights" : fmt::format("commit {:.12}", part.commit)});
  }
  const size_t others = neuron.chunks - neuron.contributions.size();
  table.AddRule();
  if (others > 0) {
    table.Add({fmt::format("{} other chunks", HumanCount(others)), "", "",
               fmt::format("{}", neuron.rest)});
  }
  table.Add({"acc", "", "", fmt::format("{}", neuron.acc)});
  return table.Format();
}

void Print(const Explanation& explanation, bool language_model, Output& output) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"table", explanation.table},
      {"commit", explanation.commit.empty() ? "none: as built" : explanation.commit},
      {"input scale", fmt::format("{}", explanation.scale)}};
  if (language_model) {
    facts.emplace_back("position", fmt::format("{}, the last token's", explanation.position));
  }
  output.Write(FormatFacts(facts));
  for (const NeuronExplanation& neuron : explanation.neurons) {
    output.Write(fmt::format("\n{}\n{}\n\n", Title(neuron), Equation(explanation, neuron)));
    output.Write(TableOf(neuron));
  }
}

// ---- SVG ----

std::string Chart(const Explanation& explanation) {
  std::vector<BarGroup> groups;
  for (const NeuronExplanation& neuron : explanation.neurons) {
    BarGroup& group = groups.emplace_back();
    group.title = fmt::format("{}: {}", Title(neuron), Equation(explanation, neuron));
    for (const Contribution& part : neuron.contributions) {
      const std::string set_by =
          part.commit.empty() ? "" : fmt::format(", commit {:.12}", part.commit);
      group.bars.push_back({part.address, part.value, fmt::format("{:.4g}{}", part.value, set_by)});
    }
    const size_t others = neuron.chunks - neuron.contributions.size();
    if (others == 0) continue;
    const double value = static_cast<double>(neuron.rest) * neuron.step * explanation.scale;
    group.bars.push_back(
        {fmt::format("{} other chunks", HumanCount(others)), value, fmt::format("{:.4g}", value)});
  }
  return BarChart(fmt::format("What {} was made of", explanation.table), groups);
}

absl::Status Run(Flags flags, Output& output) {
  if (flags.all) flags.explain.top = 0;
  LUTDB_ASSIGN_OR_RETURN(const auto model, Model::Open(flags.store, flags.model));
  LUTDB_ASSIGN_OR_RETURN(const Explanation explanation, Explain(flags, *model));
  if (!flags.svg.empty()) {
    LUTDB_RETURN_IF_ERROR(WriteResultFile(flags.svg, Chart(explanation)));
  }
  if (flags.json) {
    output.WriteJson(ToJson(explanation, model->is_language_model()));
  } else {
    Print(explanation, model->is_language_model(), output);
  }
  return absl::OkStatus();
}

void AddInputs(CLI::App& app, Flags* flags) {
  CLI::Option_group* what = app.add_option_group("Input", "What to explain the answer to; one");
  what->add_option("--input", flags->input, "An array; a language model takes token ids")
      ->type_name("X.npy");
  what->add_option("--images", flags->images, "Images in idx format, plain or gzipped")
      ->type_name("FILE");
  CLI::Option* csv =
      what->add_option("--csv", flags->csv.csv, "Comma-separated values; needs --target")
          ->type_name("FILE");
  what->add_option("--prompt", flags->prompt, "Text; its next token is explained")
      ->type_name("TEXT");
  what->add_option("--tokens", flags->tokens, "Ids, raw little-endian int32; no BOS is added")
      ->type_name("FILE");
  what->require_option(1);
  app.add_option("--row,--index", flags->row, "Row or image of the file, from 0 (default: 0)")
      ->check(WholeNumber())
      ->type_name("N");
  CLI::Option* target =
      app.add_option("--target", flags->csv.target, "CSV: the column that is no input")
          ->needs(csv)
          ->type_name("COL");
  csv->needs(target);
  app.add_option("--columns", flags->csv.columns, "CSV: the inputs, in order")
      ->delimiter(',')
      ->needs(csv)
      ->type_name("A,B,...");
  app.add_option("--derive", flags->csv.derive, "CSV: a further column, as for eval")
      ->allow_extra_args(false)
      ->needs(csv)
      ->type_name("NAME=A/B");
  app.add_flag_callback(
         "--no-header", [flags] { flags->csv.header = false; }, "CSV: the first line is data")
      ->needs(csv);
}

}  // namespace

Action DeclareExplain(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  AddStore(app, &flags->store);
  AddInputs(app, flags.get());
  app.add_option("--table", flags->explain.table,
                 "Table to explain (default: the last one, where the answer comes from)")
      ->type_name("NAME");
  app.add_option("--neuron", flags->explain.neurons,
                 "Neurons to explain besides the one with the largest value")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("N,...");
  CLI::Option* top =
      app.add_option("--top", flags->explain.top, "Contributions to list per neuron (default: 10)")
          ->check(Unlisted(CLI::Range(1, 1 << 30)))
          ->type_name("K");
  app.add_flag("--all", flags->all, "List every chunk's contribution")->excludes(top);
  app.add_option("--svg", flags->svg, "Write a bar chart")->type_name("FILE");
  AddOpenOptions(app, &flags->model.store);
  AddWait(app, &flags->wait_seconds);
  AddJson(app, &flags->json);
  return [flags](Output& output) { return Run(*flags, output); };
}

}  // namespace lutdb::cli
