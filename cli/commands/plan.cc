// lutdb plan MODEL: what a build would cost and give, next to the cost of keeping the weights.

#include <memory>

#include "base/status.h"
#include "cli/build_flags.h"
#include "cli/command.h"
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
  return {{"architecture", plan.architecture},
          {"weights", plan.weights},
          {"weights_bytes", plan.weights_bytes},
          {"raw_bytes", plan.raw_bytes},
          {"stored_bytes_estimate", plan.stored_bytes_estimate},
          {"read_bytes_per_token", plan.read_bytes_per_token},
          {"tables", std::move(tables)}};
}

std::string Bytes(uint64_t bytes) { return HumanBytes(static_cast<double>(bytes)); }

void PrintPlan(const PlanReport& plan, Output& output) {
  using Align = TextTable::Align;
  TextTable table({{"table", Align::kLeft},
                   {"inputs"},
                   {"neurons"},
                   {"chunk"},
                   {"codes"},
                   {"bits"},
                   {"entries (raw)"},
                   {"on disk (est.)"},
                   {"read per token"}});
  for (const PlanTable& row : plan.tables) {
    table.Add({row.name, HumanCount(row.inputs), HumanCount(row.neurons),
               row.chunk == 0 ? "lists" : HumanCount(row.chunk), HumanCount(row.codes),
               std::to_string(row.input_bits), Bytes(row.raw_bytes),
               Bytes(row.stored_bytes_estimate), Bytes(row.read_bytes_per_token)});
  }
  table.AddRule();
  table.Add({"all", "", "", "", "", "", Bytes(plan.raw_bytes), Bytes(plan.stored_bytes_estimate),
             Bytes(plan.read_bytes_per_token)});
  output.Write(table.Format());
  output.Write("\n");
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
    LUTDB_ASSIGN_OR_RETURN(const PlanReport plan,
                           PlanBuild(flags->model, ToBuildOptions(flags->build)));
    if (flags->json) {
      output.WriteJson(ToJson(plan));
    } else {
      PrintPlan(plan, output);
    }
    return absl::OkStatus();
  };
}

}  // namespace lutdb::cli
