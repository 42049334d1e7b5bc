#include "engine/plan.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "db/keys.h"
#include "engine/kernels/kernels.h"
#include "query/row_places.h"

namespace lutdb {
namespace {

// Reads a kept vector (or matrix) whole.
absl::StatusOr<std::vector<float>> LoadTensor(const StoreReader& store, uint32_t tensor) {
  const TensorSpec& spec = store.manifest().tensors[tensor];
  std::vector<float> numbers(spec.rows * spec.cols);
  LUTDB_RETURN_IF_ERROR(store.ReadTensorRows(tensor, 0, spec.rows, numbers.data()));
  return numbers;
}

ValueBuffer MakeBuffer(const Value& value) {
  ValueBuffer buffer;
  buffer.type = value.type;
  buffer.width = value.width;
  switch (value.type) {
    case ValueType::kF32:
      buffer.numbers = MakeAligned<float>(value.width);
      std::fill_n(buffer.numbers.get(), value.width, 0.0f);
      break;
    case ValueType::kSums:
      buffer.sums = MakeAligned<int32_t>(value.width);
      std::fill_n(buffer.sums.get(), value.width, 0);
      break;
    case ValueType::kCodes:
      buffer.codes = MakeAligned<uint16_t>(value.width);
      std::fill_n(buffer.codes.get(), value.width, uint16_t{0});
      break;
    case ValueType::kToken:
    case ValueType::kIndex:
      break;
  }
  return buffer;
}

class Planner {
 public:
  Planner(const StoreReader& store, ThreadTeam* team, Plan* plan)
      : store_(store), team_(team), plan_(*plan) {}

  absl::Status Run();

 private:
  absl::Status PlanTables();
  absl::Status HoldWeights();
  absl::Status PlanStep(uint32_t op_index);
  absl::Status PlanTableStep(const Op& op, Step* step);
  absl::Status PlanIntegerStep(uint32_t op_index, Step* step);
  absl::Status LoadParameters(const Op& op, Step* step);
  absl::StatusOr<CodeSet*> FindCodes(const TableSpec& spec, uint32_t value, bool* added);
  absl::Status PlanRope(const Op& op, Step* step);
  void PlaceSums(CodeSet* set);
  absl::Status CheckCodesWidth(const Op& op, const ValueBuffer& codes, uint32_t table) const;

  const StoreReader& store_;
  ThreadTeam* team_;
  Plan& plan_;
};

absl::Status Planner::Run() {
  LUTDB_ASSIGN_OR_RETURN(plan_.graph, store_.LoadGraph());
  plan_.cache_budget.limit_bytes = UsableMemoryBytes() / 2;
  uint64_t bytes = 0;
  for (const Value& value : plan_.graph.values) bytes += uint64_t{value.width} * sizeof(float);
  if (bytes > UsableMemoryBytes() / 2) {
    return ResourceExhausted("the values of one position of this model need {} MiB of memory",
                             bytes >> 20);
  }
  for (const Value& value : plan_.graph.values) plan_.values.push_back(MakeBuffer(value));
  LUTDB_RETURN_IF_ERROR(PlanTables());
  plan_.steps.reserve(plan_.graph.ops.size());
  for (uint32_t op = 0; op < plan_.graph.ops.size(); ++op) {
    LUTDB_RETURN_IF_ERROR(PlanStep(op));
    if (plan_.graph.ops[op].kind == OpKind::kAttention) plan_.context_steps = op + 1;
  }
  for (const auto& set : plan_.code_sets) PlaceSums(set.get());
  return plan_.reference ? HoldWeights() : absl::OkStatus();
}

// Gives the tables that read the same codes a place each for their sums.
void Planner::PlaceSums(CodeSet* set) {
  size_t sums = 0;
  for (Step& step : plan_.steps) {
    if (step.codes != set || step.op->kind != OpKind::kTable) continue;
    const TableGeometry& geometry = *step.table->geometry;
    step.sums_at = sums;
    sums += RowStrideBytes(geometry) / EntryBytes(geometry.entry());
    set->tables.push_back(step.op->table);
  }
  if (set->tables.size() > 1) set->sums = MakeAligned<int32_t>(sums);
}

absl::Status Planner::PlanTables() {
  uint32_t neurons_max = 0;
  for (const TableSpec& spec : store_.manifest().tables) {
    auto state = std::make_unique<TableState>();
    state->spec = &spec;
    state->geometry = &store_.geometry(spec.id);
    neurons_max = std::max(neurons_max, spec.neurons);
    plan_.tables.push_back(std::move(state));
  }
  plan_.acc = MakeAligned<int32_t>(neurons_max);
  return absl::OkStatus();
}

// All matrices are held, or none: a model that half fits would only push itself out of memory
// later.
absl::Status Planner::HoldWeights() {
  uint64_t bytes = 0;
  for (const auto& table : plan_.tables) {
    if (table->weights != nullptr) bytes += table->weights->bytes();
  }
  if (bytes > UsableMemoryBytes() / 4) return absl::OkStatus();
  for (const auto& table : plan_.tables) {
    if (table->weights != nullptr) LUTDB_RETURN_IF_ERROR(table->weights->Hold());
  }
  return absl::OkStatus();
}

absl::Status Planner::PlanStep(uint32_t op_index) {
  const Op& op = plan_.graph.ops[op_index];
  Step step;
  step.op = &op;
  step.arithmetic = ArithmeticOf(op.kind);
  for (const uint32_t input : op.inputs) step.inputs.push_back(&plan_.values[input]);
  step.output = &plan_.values[op.output];
  switch (op.kind) {
    case OpKind::kEmbedding:
      step.embedding = std::make_unique<EmbeddingRows>(store_, op.tensor);
      break;
    case OpKind::kTable:
      LUTDB_RETURN_IF_ERROR(PlanTableStep(op, &step));
      break;
    case OpKind::kRope:
      LUTDB_RETURN_IF_ERROR(PlanRope(op, &step));
      break;
    case OpKind::kAttention:
      step.attention =
          std::make_unique<Attention>(op, plan_.graph.context, &plan_.cache_budget, team_);
      break;
    case OpKind::kInputCodes:
    case OpKind::kTableSums:
    case OpKind::kThresholds:
    case OpKind::kArgmax:
      LUTDB_RETURN_IF_ERROR(PlanIntegerStep(op_index, &step));
      break;
    case OpKind::kRmsNorm:
    case OpKind::kLayerNorm:
    case OpKind::kScaleShift:
      LUTDB_RETURN_IF_ERROR(LoadParameters(op, &step));
      break;
    case OpKind::kAdd:
    case OpKind::kMultiply:
    case OpKind::kActivation:
    case OpKind::kSoftmax:
    case OpKind::kSlice:
      break;
  }
  plan_.steps.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status Planner::LoadParameters(const Op& op, Step* step) {
  if (op.tensor != kNone) {
    LUTDB_ASSIGN_OR_RETURN(step->weight, LoadTensor(store_, op.tensor));
  }
  if (op.tensor_b != kNone) {
    LUTDB_ASSIGN_OR_RETURN(step->shift, LoadTensor(store_, op.tensor_b));
  }
  return absl::OkStatus();
}

absl::Status Planner::PlanTableStep(const Op& op, Step* step) {
  TableState* table = plan_.tables[op.table].get();
  step->table = table;
  const TableSpec& spec = *table->spec;
  if (spec.bias_tensor != kNone && table->bias.empty()) {
    LUTDB_ASSIGN_OR_RETURN(table->bias, LoadTensor(store_, spec.bias_tensor));
  }
  if (plan_.reference) {
    if (spec.weight_tensor == kNone) {
      return FailedPrecondition("table '{}' has no kept source weights to use as a reference",
                                spec.name);
    }
    if (table->weights == nullptr) {
      table->weights = std::make_unique<SourceMatrix>(store_, spec.weight_tensor, *team_);
    }
    return absl::OkStatus();
  }
  if (table->step.empty()) {
    LUTDB_ASSIGN_OR_RETURN(table->step, store_.Steps(op.table));
  }
  LUTDB_ASSIGN_OR_RETURN(step->codes, FindCodes(spec, op.inputs[0], &step->makes_codes));
  return absl::OkStatus();
}

absl::StatusOr<CodeSet*> Planner::FindCodes(const TableSpec& spec, uint32_t value, bool* added) {
  LUTDB_ASSIGN_OR_RETURN(std::vector<float> scales, store_.InputScales(spec.id));
  for (const auto& set : plan_.code_sets) {
    if (set->value == value && set->coder->Serves(spec, scales)) {
      *added = false;
      return set.get();
    }
  }
  auto set = std::make_unique<CodeSet>();
  set->value = value;
  set->coder = std::make_unique<InputCoder>(spec, store_.geometry(spec.id), std::move(scales));
  set->codes = MakeAligned<uint16_t>(set->coder->chunks());
  *added = true;
  plan_.code_sets.push_back(std::move(set));
  return plan_.code_sets.back().get();
}

absl::Status Planner::PlanIntegerStep(uint32_t op_index, Step* step) {
  const Op& op = plan_.graph.ops[op_index];
  if (plan_.reference) {
    return FailedPrecondition(
        "an integer-only store holds no f32 network to compare with: build one without "
        "--integer-only for --reference");
  }
  const std::string key = db::ThresholdsKey(op_index);
  if (op.kind == OpKind::kInputCodes) {
    const TableSpec& spec = store_.spec(op.table);
    if (!(spec.fixed_scale > 0)) {
      return DataLoss("table '{}' of an integer-only store has no input scale: build it anew",
                      spec.name);
    }
    LUTDB_RETURN_IF_ERROR(CheckCodesWidth(op, *step->output, op.table));
    LUTDB_ASSIGN_OR_RETURN(step->codes, FindCodes(spec, op.inputs[0], &step->makes_codes));
  } else if (op.kind == OpKind::kTableSums) {
    step->table = plan_.tables[op.table].get();
    LUTDB_RETURN_IF_ERROR(CheckCodesWidth(op, *step->inputs[0], op.table));
    // Read past the reader, to which every absent blob is damage.
    const absl::StatusOr<std::string> blob = store_.rocks().Get(db::Family::kDefault, key);
    if (absl::IsNotFound(blob.status())) return absl::OkStatus();  // no bias
    LUTDB_RETURN_IF_ERROR(blob.status());
    LUTDB_ASSIGN_OR_RETURN(step->thresholds, ParseThresholds(*blob, step->output->width, {}));
  } else if (op.kind == OpKind::kThresholds) {
    const TableGeometry& next = store_.geometry(op.table);
    LUTDB_RETURN_IF_ERROR(CheckCodesWidth(op, *step->output, op.table));
    std::vector<uint32_t> codes(next.chunks());
    for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) codes[chunk] = next.codes(chunk);
    LUTDB_ASSIGN_OR_RETURN(const std::string blob, store_.Blob(key));
    LUTDB_ASSIGN_OR_RETURN(step->thresholds, ParseThresholds(blob, step->inputs[0]->width, codes));
  }
  return absl::OkStatus();
}

absl::Status Planner::CheckCodesWidth(const Op& op, const ValueBuffer& codes,
                                      uint32_t table) const {
  if (codes.width == store_.geometry(table).chunks()) return absl::OkStatus();
  return DataLoss(
      "op '{}' passes {} codes to table '{}', which has {} chunks: build the store anew", op.name,
      codes.width, store_.spec(table).name, store_.geometry(table).chunks());
}

absl::Status Planner::PlanRope(const Op& op, Step* step) {
  for (size_t i = 0; i < plan_.rope.size(); ++i) {
    const RopeAngles& known = plan_.rope[i];
    if (known.theta == op.theta && known.head_dim == op.head_dim && known.divisors == op.tensor) {
      step->rope = i;
      return absl::OkStatus();
    }
  }
  RopeAngles angles;
  angles.theta = op.theta;
  angles.head_dim = op.head_dim;
  angles.divisors = op.tensor;
  const size_t pairs = op.head_dim / 2;
  angles.frequencies.resize(pairs);
  angles.cosine.resize(pairs);
  angles.sine.resize(pairs);
  kernels::RopeFrequencies(op.theta, op.head_dim, angles.frequencies.data());
  if (op.tensor != kNone) {
    LUTDB_ASSIGN_OR_RETURN(const std::vector<float> divisors, LoadTensor(store_, op.tensor));
    for (size_t i = 0; i < pairs; ++i) {
      // Not above 0 or not a number: the angles would be no numbers either.
      if (!(divisors[i] > 0)) {
        return DataLoss("op '{}': RoPE factor {} of pair {} must be positive", op.name, divisors[i],
                        i);
      }
      angles.frequencies[i] /= divisors[i];
    }
  }
  step->rope = plan_.rope.size();
  plan_.rope.push_back(std::move(angles));
  return absl::OkStatus();
}

}  // namespace

Arithmetic ArithmeticOf(OpKind kind) {
  switch (kind) {
    case OpKind::kTableSums:
    case OpKind::kThresholds:
    case OpKind::kArgmax:
      return {.uses_float = false, .multiplies = false};
    case OpKind::kEmbedding:
      return {.uses_float = true, .multiplies = false};
    default:
      return {.uses_float = true, .multiplies = true};
  }
}

absl::StatusOr<std::unique_ptr<Plan>> Plan::Create(const StoreReader& store, bool reference,
                                                   ThreadTeam* team) {
  auto plan = std::make_unique<Plan>();
  plan->reference = reference;
  LUTDB_RETURN_IF_ERROR(Planner(store, team, plan.get()).Run());
  return plan;
}

}  // namespace lutdb
