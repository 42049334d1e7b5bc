// Judges a graph before the engine trusts it: after this no op can read a value that is not there,
// see a vector of another width than it expects, or name a table or tensor that does not exist.

#include <cmath>

#include "base/status.h"
#include "schemas/graph.h"

namespace lutdb {
namespace {

constexpr size_t kValuesMax = 1 << 20;
constexpr uint32_t kWidthMax = 1 << 26;

class GraphChecker {
 public:
  GraphChecker(const Graph& graph, const std::vector<TableSpec>& tables,
               const std::vector<TensorSpec>& tensors)
      : graph_(graph),
        tables_(tables),
        tensors_(tensors),
        written_(graph.values.size(), false),
        codes_of_(graph.values.size(), kNone) {}

  absl::Status Check() {
    LUTDB_RETURN_IF_ERROR(CheckValues());
    LUTDB_RETURN_IF_ERROR(CheckEnds());
    written_[graph_.input] = true;
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      if (absl::Status status = CheckOp(graph_.ops[i]); !status.ok()) {
        return Error(status.code(), "the model graph is not valid: op {} \"{}\": {}", i,
                     graph_.ops[i].name, Message(status));
      }
    }
    if (!written_[graph_.output]) {
      return DataLoss("the model graph is not valid: no op writes its output");
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CheckValues() const {
    if (graph_.values.size() > kValuesMax || graph_.ops.size() > kValuesMax) {
      return DataLoss("the model graph is not valid: {} values and {} ops", graph_.values.size(),
                      graph_.ops.size());
    }
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& value = graph_.values[i];
      if (value.type > ValueType::kIndex) {
        return Unimplemented(
            "the model graph needs a newer lutdb: value {} \"{}\" is of the unknown type {}", i,
            value.name, static_cast<int>(value.type));
      }
      const bool single = value.type == ValueType::kToken || value.type == ValueType::kIndex;
      if (value.type < ValueType::kF32 || value.width == 0 || value.width > kWidthMax ||
          (single && value.width != 1)) {
        return DataLoss("the model graph is not valid: value {} \"{}\" has type {} and width {}", i,
                        value.name, static_cast<int>(value.type), value.width);
      }
    }
    return absl::OkStatus();
  }

  // The graph's input and output, and what a language model says of its tokens.
  absl::Status CheckEnds() const {
    if (graph_.input >= graph_.values.size() || graph_.output >= graph_.values.size()) {
      return DataLoss("the model graph is not valid: its input or output is not a value");
    }
    const Value& input = graph_.values[graph_.input];
    const Value& output = graph_.values[graph_.output];
    if (!std::isfinite(graph_.input_low) || !std::isfinite(graph_.input_high) ||
        graph_.input_low > graph_.input_high) {
      return DataLoss("the model graph is not valid: inputs from {} to {}", graph_.input_low,
                      graph_.input_high);
    }
    if (!graph_.is_language_model()) {
      if (input.type != ValueType::kF32 && input.type != ValueType::kCodes) {
        return DataLoss("the model graph is not valid: tokens go in, but it has no vocabulary");
      }
      return absl::OkStatus();
    }
    if (input.type != ValueType::kToken || output.type != ValueType::kF32 ||
        output.width != graph_.vocabulary || graph_.context == 0) {
      return DataLoss(
          "the model graph is not valid: a language model of {} tokens and {} positions gives {} "
          "numbers",
          graph_.vocabulary, graph_.context, output.width);
    }
    std::vector<uint32_t> special = graph_.eos;
    if (graph_.bos != kNone) special.push_back(graph_.bos);
    for (const uint32_t token : special) {
      if (token >= graph_.vocabulary) {
        return DataLoss("the model graph is not valid: token {} of a vocabulary of {}", token,
                        graph_.vocabulary);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckOp(const Op& op) {
    const size_t arity = Arity(op.kind);
    if (op.kind > OpKind::kSlice) {
      return Unimplemented("unknown kind {}: a newer lutdb may know it", static_cast<int>(op.kind));
    }
    if (arity == 0 || op.inputs.size() != arity) {
      return DataLoss("{} inputs for an op of kind {}", op.inputs.size(),
                      static_cast<int>(op.kind));
    }
    for (const uint32_t input : op.inputs) {
      if (input >= graph_.values.size()) return DataLoss("input {} is not a value", input);
      if (!written_[input]) {
        return DataLoss("\"{}\" is read before it is written", graph_.values[input].name);
      }
    }
    if (op.output >= graph_.values.size()) return DataLoss("output {} is not a value", op.output);
    if (written_[op.output]) {
      return DataLoss("\"{}\" is written twice", graph_.values[op.output].name);
    }
    LUTDB_RETURN_IF_ERROR(CheckKind(op));
    written_[op.output] = true;
    return absl::OkStatus();
  }

  static size_t Arity(OpKind kind) {
    switch (kind) {
      case OpKind::kAttention:
        return 3;
      case OpKind::kAdd:
      case OpKind::kMultiply:
        return 2;
      default:
        return kind >= OpKind::kEmbedding && kind <= OpKind::kSlice ? 1 : 0;
    }
  }

  // What each kind asks of its values, tables, tensors and numbers.
  absl::Status CheckKind(const Op& op) {
    const uint32_t width = graph_.values[op.inputs[0]].width;
    switch (op.kind) {
      case OpKind::kEmbedding:
        return CheckEmbedding(op);
      case OpKind::kTable:
      case OpKind::kInputCodes:
      case OpKind::kTableSums:
      case OpKind::kThresholds:
        return CheckTableOp(op);
      case OpKind::kArgmax:
        LUTDB_RETURN_IF_ERROR(Needs(op.inputs[0], ValueType::kSums, width));
        return Needs(op.output, ValueType::kIndex, 1);
      case OpKind::kAttention:
        return CheckAttention(op);
      case OpKind::kSlice:
        return CheckSlice(op);
      default:
        return CheckElementwise(op);
    }
  }

  absl::Status CheckElementwise(const Op& op) const {
    const uint32_t width = graph_.values[op.inputs[0]].width;
    for (const uint32_t input : op.inputs) {
      LUTDB_RETURN_IF_ERROR(Needs(input, ValueType::kF32, width));
    }
    LUTDB_RETURN_IF_ERROR(Needs(op.output, ValueType::kF32, width));
    if (op.kind == OpKind::kRmsNorm && op.heads != 0) {
      LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.heads, op.inputs[0]));
      LUTDB_RETURN_IF_ERROR(NeedsVector(op.tensor, op.head_dim));
    } else if (op.kind == OpKind::kRmsNorm || op.kind == OpKind::kLayerNorm ||
               op.kind == OpKind::kScaleShift) {
      LUTDB_RETURN_IF_ERROR(NeedsVector(op.tensor, width));
    }
    if (op.kind == OpKind::kLayerNorm || op.kind == OpKind::kScaleShift) {
      LUTDB_RETURN_IF_ERROR(NeedsVector(op.tensor_b, width));
    }
    if (!std::isfinite(op.epsilon) || op.epsilon < 0 || !std::isfinite(op.alpha)) {
      return DataLoss("epsilon {}, alpha {}", op.epsilon, op.alpha);
    }
    if (op.kind == OpKind::kActivation) {
      if (op.activation > Activation::kTanh) {
        return Unimplemented("unknown activation function {}: a newer lutdb may know it",
                             static_cast<int>(op.activation));
      }
      if (op.activation < Activation::kIdentity) return DataLoss("no activation function");
    }
    if (op.kind == OpKind::kRope) return CheckRope(op);
    return absl::OkStatus();
  }

  absl::Status CheckRope(const Op& op) const {
    LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.heads, op.inputs[0]));
    if (op.head_dim % 2 != 0 || !std::isfinite(op.theta) || op.theta <= 0) {
      return DataLoss("heads of {} with rope theta {}", op.head_dim, op.theta);
    }
    if (op.tensor != kNone) LUTDB_RETURN_IF_ERROR(NeedsVector(op.tensor, op.head_dim / 2));
    return NeedsPositions();
  }

  absl::Status CheckSlice(const Op& op) const {
    const Value& from = graph_.values[op.inputs[0]];
    const Value& to = graph_.values[op.output];
    LUTDB_RETURN_IF_ERROR(Needs(op.inputs[0], ValueType::kF32, from.width));
    LUTDB_RETURN_IF_ERROR(Needs(op.output, ValueType::kF32, to.width));
    if (op.offset <= from.width && to.width <= from.width - op.offset) return absl::OkStatus();
    return DataLoss("elements {} to {} of \"{}\", which has {}", op.offset,
                    uint64_t{op.offset} + to.width, from.name, from.width);
  }

  absl::Status CheckEmbedding(const Op& op) const {
    LUTDB_RETURN_IF_ERROR(Needs(op.inputs[0], ValueType::kToken, 1));
    if (op.tensor >= tensors_.size()) return DataLoss("tensor {} does not exist", op.tensor);
    const TensorSpec& tensor = tensors_[op.tensor];
    if (tensor.rows < graph_.vocabulary || tensor.cols > kWidthMax) {
      return DataLoss("tensor {} is {} x {}, for a vocabulary of {}", tensor.name, tensor.rows,
                      tensor.cols, graph_.vocabulary);
    }
    return Needs(op.output, ValueType::kF32, static_cast<uint32_t>(tensor.cols));
  }

  absl::Status CheckTableOp(const Op& op) {
    if (op.table >= tables_.size()) return DataLoss("table {} does not exist", op.table);
    const TableSpec& table = tables_[op.table];
    const uint32_t chunks = ChunkCount(table);
    const uint32_t input = op.inputs[0];
    switch (op.kind) {
      case OpKind::kTable:
        LUTDB_RETURN_IF_ERROR(Needs(input, ValueType::kF32, table.inputs));
        return Needs(op.output, ValueType::kF32, table.neurons);
      case OpKind::kTableSums:
        LUTDB_RETURN_IF_ERROR(Needs(input, ValueType::kCodes, chunks));
        // Codes mean nothing to any table but the one they were made for.
        if (codes_of_[input] != op.table && input != graph_.input) {
          return DataLoss("it reads codes made for another table than {}", table.name);
        }
        return Needs(op.output, ValueType::kSums, table.neurons);
      case OpKind::kInputCodes:
        if (!(table.fixed_scale > 0)) return DataLoss("table {} has no fixed scale", table.name);
        if (table.rotation != 0 || table.codebook.inputs != 0) {
          return DataLoss("table {} cannot be coded without floats", table.name);
        }
        LUTDB_RETURN_IF_ERROR(Needs(input, ValueType::kF32, table.inputs));
        break;
      default:
        LUTDB_RETURN_IF_ERROR(Needs(input, ValueType::kSums, table.inputs));
    }
    codes_of_[op.output] = op.table;
    return Needs(op.output, ValueType::kCodes, chunks);
  }

  absl::Status CheckAttention(const Op& op) const {
    LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.heads, op.inputs[0]));
    LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.kv_heads, op.inputs[1]));
    LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.kv_heads, op.inputs[2]));
    LUTDB_RETURN_IF_ERROR(NeedsHeads(op, op.heads, op.output));
    if (op.heads % op.kv_heads != 0) {
      return DataLoss("{} heads cannot share {} key-value heads evenly", op.heads, op.kv_heads);
    }
    return NeedsPositions();
  }

  // Ops that know of positions need a graph that has some.
  absl::Status NeedsPositions() const {
    if (graph_.context == 0) return DataLoss("it needs positions, but the graph has no context");
    return absl::OkStatus();
  }

  absl::Status Needs(uint32_t index, ValueType type, uint32_t width) const {
    const Value& value = graph_.values[index];
    if (value.type == type && value.width == width) return absl::OkStatus();
    return DataLoss("\"{}\" has type {} and width {}, type {} and width {} are needed", value.name,
                    static_cast<int>(value.type), value.width, static_cast<int>(type), width);
  }

  absl::Status NeedsHeads(const Op& op, uint32_t heads, uint32_t index) const {
    if (heads == 0 || op.head_dim == 0 || uint64_t{heads} * op.head_dim > kWidthMax) {
      return DataLoss("{} heads of {}", heads, op.head_dim);
    }
    return Needs(index, ValueType::kF32, heads * op.head_dim);
  }

  absl::Status NeedsVector(uint32_t id, uint32_t width) const {
    if (id >= tensors_.size()) return DataLoss("tensor {} does not exist", id);
    const TensorSpec& tensor = tensors_[id];
    if (tensor.rows == 1 && tensor.cols == width) return absl::OkStatus();
    return DataLoss("tensor {} is {} x {}, a vector of {} is needed", tensor.name, tensor.rows,
                    tensor.cols, width);
  }

  static uint32_t ChunkCount(const TableSpec& table) {
    if (!table.chunks.empty()) return static_cast<uint32_t>(table.chunks.size());
    const uint64_t chunk = table.chunk == 0 ? 1 : table.chunk;
    return static_cast<uint32_t>((table.inputs + chunk - 1) / chunk);
  }

  const Graph& graph_;
  const std::vector<TableSpec>& tables_;
  const std::vector<TensorSpec>& tensors_;
  std::vector<bool> written_;       // per value
  std::vector<uint32_t> codes_of_;  // per value: the table its codes were made for
};

}  // namespace

absl::Status ValidateGraph(const Graph& graph, const std::vector<TableSpec>& tables,
                           const std::vector<TensorSpec>& tensors) {
  return GraphChecker(graph, tables, tensors).Check();
}

}  // namespace lutdb
