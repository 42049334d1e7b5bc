// lutdb plan MODEL: what a build would cost and give, next to the cost of keeping the weights.

#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/layer_groups.h"
#include "cli/progress_bar.h"
#include "cli/sizes.h"
#include "cli/text_table.h"
#include "lutdb/build.h"

namespace lutdb::cli {
namespace {

struct PlanFlags {
  std::string model;
  bool json = false;
  BuildFlags build;
};

Json ToJson(const PlanReport& plan) {
  Json tables = Json::array();
  for (const PlanTable& table : plan.tables) {
    tables.push_back({{"name", table.name},
                      {"inputs", table.inputs},
                      {"neurons", table.neurons},
                      {"chunk", table.chunk},
                      {"codes", table.codes},
                      {"input_bits", table.input_bits},
                      {"raw_bytes", table.raw_bytes},
                      {"stored_bytes_estimate", table.stored_bytes_estimate},
                      {"read_bytes_per_token", table.read_bytes_per_token}});
  }
  Json choices = Json::array();
  for (const PlanChoice& choice : plan.choices) {
    choices.push_back({{"input_bits", choice.input_bits},
                       {"raw_bytes", choice.raw_bytes},
                       {"error", choice.error}});
  }
  return {{"architecture", plan.architecture},
          {"weights", plan.weights},
          {"weights_bytes", plan.weights_bytes},
          {"raw_bytes", plan.raw_bytes},
          {"stored_bytes_estimate", plan.stored_bytes_estimate},
          {"read_bytes_per_token", plan.read_bytes_per_token},
          {"tables", std::move(tables)},
          {"choices", std::move(choices)}};
}

std::string Bytes(uint64_t bytes) { return HumanBytes(static_cast<double>(bytes)); }

// With calibration data: what each number of bits would cost and lose.
void PrintChoices(const PlanReport& plan, Output& output) {
  if (plan.choices.empty()) return;
  TextTable table({{"bits"}, {"entries (raw)"}, {"error of outputs"}});
  for (const PlanChoice& choice : plan.choices) {
    table.Add({std::to_string(choice.input_bits), Bytes(choice.raw_bytes),
               fmt::format("{:.3g} %", 100 * choice.error)});
  }
  output.Write("\n" + table.Format());
}

// What tables of one line have in common; their sizes are added.
std::vector<std::string> SharedCells(const PlanTable& table) {
  return {HumanCount(table.inputs), HumanCount(table.neurons),
          table.chunk == 0 ? "lists" : HumanCount(table.chunk), HumanCount(table.codes),
          std::to_string(table.input_bits)};
}

void PrintTables(const PlanReport& plan, Output& output) {
  TextTable table({{"table", TextTable::Align::kLeft},
                   {"tables"},
                   {"inputs"},
                   {"neurons"},
                   {"chunk"},
                   {"codes"},
                   {"bits"},
                   {"entries (raw)"},
                   {"on disk (est.)"},
                   {"read per token"}});
  std::vector<std::string> names, keys;
  for (const PlanTable& row : plan.tables) {
    names.push_back(row.name);
    keys.push_back(fmt::format("{}", fmt::join(SharedCells(row), " ")));
  }
  for (const LayerGroup& group : GroupLayers(names, keys)) {
    PlanTable sum = plan.tables[group.members[0]];
    for (size_t i = 1; i < group.members.size(); ++i) {
      const PlanTable& row = plan.tables[group.members[i]];
      sum.raw_bytes += row.raw_bytes;
      sum.stored_bytes_estimate += row.stored_bytes_estimate;
      sum.read_bytes_per_token += row.read_bytes_per_token;
    }
    std::vector<std::string> cells = {group.name, std::to_string(group.members.size())};
    for (std::string& cell : SharedCells(sum)) cells.push_back(std::move(cell));
    cells.insert(cells.end(), {Bytes(sum.raw_bytes), Bytes(sum.stored_bytes_estimate),
                               Bytes(sum.read_bytes_per_token)});
    table.Add(std::move(cells));
  }
  table.AddRule();
  table.Add({"all", std::to_string(plan.tables.size()), "", "", "", "", "", Bytes(plan.raw_bytes),
             Bytes(plan.stored_bytes_estimate), Bytes(plan.read_bytes_per_token)});
  output.Write(table.Format());
  output.Write("\n");
}

void PrintPlan(const PlanReport& plan, Output& output) {
  PrintTables(plan, output);
  output.Write(FormatFacts({
      {"architecture", plan.architecture},
      {"weights in tables", HumanCount(plan.weights)},
      {"model as it is", Bytes(plan.weights_bytes) + " of tensors in the model file"},
      {"addressable", Bytes(plan.raw_bytes) + " of entries, decoded"},
      {"on disk", Bytes(plan.stored_bytes_estimate) + " estimated, the source weights included"},
      {"read per token", Bytes(plan.read_bytes_per_token) + " of entries"},
  }));
}

}  // namespace

Action DeclarePlan(CLI::App& app) {
  const auto flags = std::make_shared<PlanFlags>();
  app.add_option("MODEL", flags->model, "Model file or directory")->required()->type_name("");
  AddBuildFlags(app, &flags->build);
  AddJson(app, &flags->json);
  return [flags](Output& output) -> absl::Status {
    LUTDB_ASSIGN_OR_RETURN(BuildOptions options, ToBuildOptions(flags->build));
    options.cancel = StopOnSignals();
    const std::string scratch = fmt::format(
        "{}/lutdb-calibration-{}", std::filesystem::temp_directory_path().string(), getpid());
    LUTDB_RETURN_IF_ERROR(Calibrate(flags->model, scratch, flags->build, &options));
    absl::StatusOr<PlanReport> planned;
    {
      ProgressBar bar;
      options.progress = bar.Callback();
      planned = PlanBuild(flags->model, options);
    }
    LUTDB_ASSIGN_OR_RETURN(const PlanReport plan, std::move(planned));
    if (flags->json) {
      output.WriteJson(ToJson(plan));
    } else {
      PrintPlan(plan, output);
      PrintChoices(plan, output);
    }
    return absl::OkStatus();
  };
}

}  // namespace lutdb::cli
