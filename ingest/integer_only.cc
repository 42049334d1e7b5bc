#include "ingest/integer_only.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "coding/levels.h"
#include "ingest/integer_range.h"

namespace lutdb {
namespace {

constexpr char kCanFold[] =
    "linear layers with activation functions and scale-shifts between them, and one softmax at the "
    "end";

absl::Status CannotFold(const Graph& graph, size_t index) {
  return Unimplemented(
      "--integer-only cannot fold op {} ({}) of {}: it takes {}; build without it to run in f32",
      index, graph.ops[index].name.empty() ? "unnamed" : graph.ops[index].name, graph.architecture,
      kCanFold);
}

std::vector<float> ReadVector(const ModelSource& model, uint32_t tensor) {
  if (tensor == kNone) return {};
  const SourceTensor& source = model.tensors[tensor];
  std::vector<float> values(source.cols);
  source.ReadRow(0, 0, source.cols, values.data());
  return values;
}

bool IsMonotone(const FoldedOp& op) {
  if (op.kind == OpKind::kScaleShift) return true;
  switch (op.activation) {
    case Activation::kSilu:
    case Activation::kGelu:
    case Activation::kGeluTanh:
      return false;
    case Activation::kLeakyRelu:
      return op.alpha >= 0;
    default:
      return true;
  }
}

// The chain of the source graph, cut at its tables.
absl::StatusOr<std::vector<IntegerStage>> CutAtTables(const ModelSource& model) {
  const Graph& graph = model.graph;
  std::vector<IntegerStage> stages;
  uint32_t value = graph.input;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (op.inputs.size() != 1 || op.inputs[0] != value) return CannotFold(graph, i);
    value = op.output;
    if (op.kind == OpKind::kTable) {
      if (!stages.empty()) stages.back().next_table = op.table;
      IntegerStage stage;
      stage.table = op.table;
      stage.bias = ReadVector(model, model.tables[op.table].spec.bias_tensor);
      stages.push_back(std::move(stage));
    } else if (op.kind == OpKind::kActivation && !stages.empty()) {
      stages.back().folded.push_back({op.kind, op.activation, op.alpha, {}, {}});
    } else if (op.kind == OpKind::kScaleShift && !stages.empty()) {
      stages.back().folded.push_back({op.kind, Activation::kIdentity, 0,
                                      ReadVector(model, op.tensor),
                                      ReadVector(model, op.tensor_b)});
    } else if (op.kind != OpKind::kSoftmax || stages.empty() || i + 1 != graph.ops.size()) {
      return CannotFold(graph, i);
    }
    const auto& folded = stages.empty() ? std::vector<FoldedOp>() : stages.back().folded;
    if (std::count_if(folded.begin(), folded.end(),
                      [](const FoldedOp& f) { return !IsMonotone(f); }) > 1) {
      return CannotFold(graph, i);  // one turning point per stage is what MakeThresholds handles
    }
  }
  if (stages.empty()) return Unimplemented("--integer-only needs a linear layer; there is none");
  // What follows the last table must not change which sum is largest.
  for (const FoldedOp& op : stages.back().folded) {
    if (op.kind == OpKind::kScaleShift || !IsMonotone(op)) {
      return Unimplemented("--integer-only cannot fold what follows the last linear layer ({})",
                           model.tables[stages.back().table].spec.name);
    }
  }
  stages.back().folded.clear();
  return stages;
}

Graph LoweredGraph(const Graph& source, const std::vector<PlannedTable>& tables,
                   std::vector<IntegerStage>* stages) {
  Graph graph = source;
  graph.values.clear();
  graph.ops.clear();
  const auto add_value = [&](std::string name, ValueType type, uint32_t width) {
    graph.values.push_back({std::move(name), type, width});
    return static_cast<uint32_t>(graph.values.size() - 1);
  };
  const auto add_op = [&](OpKind kind, std::string name, uint32_t input, uint32_t output,
                          uint32_t table) {
    Op op;
    op.kind = kind;
    op.name = std::move(name);
    op.inputs = {input};
    op.output = output;
    op.table = table;
    graph.ops.push_back(std::move(op));
    return static_cast<uint32_t>(graph.ops.size() - 1);
  };
  const auto codes_value = [&](uint32_t table) {
    const PlannedTable& next = tables[table];
    return add_value(next.spec.name + ".codes", ValueType::kCodes, next.geometry.chunks());
  };
  const PlannedTable& first = tables[stages->front().table];
  graph.input = add_value("input", ValueType::kF32, first.spec.inputs);
  uint32_t codes = codes_value(first.spec.id);
  add_op(OpKind::kInputCodes, "input.codes", graph.input, codes, first.spec.id);
  for (IntegerStage& stage : *stages) {
    const TableSpec& spec = tables[stage.table].spec;
    const uint32_t sums = add_value(spec.name + ".sums", ValueType::kSums, spec.neurons);
    stage.op = add_op(OpKind::kTableSums, spec.name, codes, sums, spec.id);
    if (stage.next_table == kNone) {
      graph.output = add_value("answer", ValueType::kIndex, 1);
      add_op(OpKind::kArgmax, "answer", sums, graph.output, kNone);
    } else {
      codes = codes_value(stage.next_table);
      stage.op =
          add_op(OpKind::kThresholds, spec.name + ".thresholds", sums, codes, stage.next_table);
    }
  }
  return graph;
}

// What inputs lack because of their offsets: W x offsets.
void AddOffsets(const SourceTensor& weights, const std::vector<float>& offsets,
                std::vector<float>* bias) {
  bias->resize(weights.rows, 0.0f);
  std::vector<float> row(weights.cols);
  for (uint64_t n = 0; n < weights.rows; ++n) {
    weights.ReadRow(n, 0, weights.cols, row.data());
    double sum = (*bias)[n];
    for (size_t i = 0; i < row.size(); ++i) sum += double{row[i]} * offsets[i];
    (*bias)[n] = static_cast<float>(sum);
  }
}

// Tables that start without weights have their input scales from the graph file.
bool StartsEmpty(const PlannedTable& table) { return table.spec.weight_tensor == kNone; }

absl::Status FixFirstScales(const ModelSource& model, PlannedTable* first,
                            std::vector<ValueRange>* inputs) {
  if (StartsEmpty(*first)) return absl::OkStatus();
  const Graph& graph = model.graph;
  if (!(graph.input_low < graph.input_high)) {
    return FailedPrecondition(
        "--integer-only needs the range of the inputs: say it in the graph file, as "
        "\"input\": {{\"range\": [low, high], ...}}");
  }
  inputs->assign(first->spec.inputs, UniformRange(graph.input_low, graph.input_high));
  return FixInputScales(*inputs, first);
}

}  // namespace

absl::StatusOr<IntegerPlan> PlanIntegerOnly(const ModelSource& model,
                                            std::vector<PlannedTable>* tables) {
  const Graph& graph = model.graph;
  if (graph.is_language_model()) {
    return Unimplemented("--integer-only is for feed-forward networks; {} is a language model",
                         model.name);
  }
  IntegerPlan plan;
  LUTDB_ASSIGN_OR_RETURN(plan.stages, CutAtTables(model));
  std::vector<ValueRange> inputs;
  LUTDB_RETURN_IF_ERROR(FixFirstScales(model, &(*tables)[plan.stages.front().table], &inputs));
  for (IntegerStage& stage : plan.stages) {
    PlannedTable& table = (*tables)[stage.table];
    if (stage.next_table == kNone) {
      table.spec.shared_step = !StartsEmpty(table);  // those have one step anyway
    } else if (StartsEmpty((*tables)[stage.next_table])) {
      stage.offsets.assign(table.spec.neurons, 0.0f);
    } else if (StartsEmpty(table)) {
      return Unimplemented(
          "--integer-only cannot tell the range of what table {} gives, which starts without "
          "weights: let a table without weights read it",
          table.spec.name);
    } else {
      inputs = OutputRanges(model.tensors[table.spec.weight_tensor], stage, inputs);
      stage.offsets = FixHiddenScales(inputs, &(*tables)[stage.next_table]);
    }
  }
  for (size_t i = 1; i < plan.stages.size(); ++i) {
    const uint32_t weights = (*tables)[plan.stages[i].table].spec.weight_tensor;
    if (weights == kNone) continue;  // its offsets are zero
    AddOffsets(model.tensors[weights], plan.stages[i - 1].offsets, &plan.stages[i].bias);
  }
  plan.graph = LoweredGraph(graph, *tables, &plan.stages);
  return plan;
}

}  // namespace lutdb
