#include "schemas/graph.h"

#include "schemas/flat_buffer.h"
#include "schemas/graph_generated.h"

namespace lutdb {
namespace {

constexpr char kWhat[] = "model graph";

flatbuffers::Offset<fbs::Value> Pack(flatbuffers::FlatBufferBuilder& builder, const Value& value) {
  const auto name = builder.CreateString(value.name);
  return fbs::CreateValue(builder, name, static_cast<uint8_t>(value.type), value.width);
}

flatbuffers::Offset<fbs::Op> Pack(flatbuffers::FlatBufferBuilder& builder, const Op& op) {
  const auto name = builder.CreateString(op.name);
  const auto inputs = builder.CreateVector(op.inputs);
  fbs::OpBuilder packed(builder);
  packed.add_kind(static_cast<uint16_t>(op.kind));
  packed.add_name(name);
  packed.add_inputs(inputs);
  packed.add_output(op.output);
  packed.add_table(op.table);
  packed.add_tensor(op.tensor);
  packed.add_tensor_b(op.tensor_b);
  packed.add_activation(static_cast<uint8_t>(op.activation));
  packed.add_epsilon(op.epsilon);
  packed.add_alpha(op.alpha);
  packed.add_theta(op.theta);
  packed.add_heads(op.heads);
  packed.add_kv_heads(op.kv_heads);
  packed.add_head_dim(op.head_dim);
  packed.add_window(op.window);
  packed.add_offset(op.offset);
  return packed.Finish();
}

// Numbers are copied as they are: ValidateGraph is what judges them.
absl::Status Unpack(const fbs::Op& from, FlatBuffer<fbs::Graph>* buffer, Op* op) {
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.name(), &op->name));
  LUTDB_RETURN_IF_ERROR(buffer->Copy(from.inputs(), &op->inputs));
  op->kind = static_cast<OpKind>(from.kind());
  op->output = from.output();
  op->table = from.table();
  op->tensor = from.tensor();
  op->tensor_b = from.tensor_b();
  op->activation = static_cast<Activation>(from.activation());
  op->epsilon = from.epsilon();
  op->alpha = from.alpha();
  op->theta = from.theta();
  op->heads = from.heads();
  op->kv_heads = from.kv_heads();
  op->head_dim = from.head_dim();
  op->window = from.window();
  op->offset = from.offset();
  return absl::OkStatus();
}

absl::StatusOr<Graph> Unpack(FlatBuffer<fbs::Graph>* buffer) {
  Graph graph;
  const FlatBuffer<fbs::Graph>& root = *buffer;
  LUTDB_RETURN_IF_ERROR(buffer->Copy(root->architecture(), &graph.architecture));
  LUTDB_ASSIGN_OR_RETURN(const size_t values, buffer->Count(root->values()));
  graph.values.resize(values);
  for (size_t i = 0; i < values; ++i) {
    const fbs::Value* value = root->values()->Get(i);
    LUTDB_RETURN_IF_ERROR(buffer->Copy(value->name(), &graph.values[i].name));
    graph.values[i].type = static_cast<ValueType>(value->type());
    graph.values[i].width = value->width();
  }
  LUTDB_ASSIGN_OR_RETURN(const size_t ops, buffer->Count(root->ops()));
  graph.ops.resize(ops);
  for (size_t i = 0; i < ops; ++i) {
    LUTDB_RETURN_IF_ERROR(Unpack(*root->ops()->Get(i), buffer, &graph.ops[i]));
  }
  graph.input = root->input();
  graph.output = root->output();
  graph.vocabulary = root->vocabulary();
  graph.context = root->context();
  graph.bos = root->bos();
  LUTDB_RETURN_IF_ERROR(buffer->Copy(root->eos(), &graph.eos));
  graph.input_low = root->input_low();
  graph.input_high = root->input_high();
  return graph;
}

}  // namespace

std::string SerializeGraph(const Graph& graph) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fbs::Value>> values;
  for (const Value& value : graph.values) values.push_back(Pack(builder, value));
  std::vector<flatbuffers::Offset<fbs::Op>> ops;
  for (const Op& op : graph.ops) ops.push_back(Pack(builder, op));
  const auto architecture = builder.CreateString(graph.architecture);
  const auto value_list = builder.CreateVector(values);
  const auto op_list = builder.CreateVector(ops);
  const auto eos = builder.CreateVector(graph.eos);
  builder.Finish(fbs::CreateGraph(builder, architecture, value_list, op_list, graph.input,
                                  graph.output, graph.vocabulary, graph.context, graph.bos, eos,
                                  graph.input_low, graph.input_high),
                 fbs::GraphIdentifier());
  return FinishedBytes(builder);
}

absl::StatusOr<Graph> ParseGraph(std::string_view bytes, const std::vector<TableSpec>& tables,
                                 const std::vector<TensorSpec>& tensors) {
  LUTDB_ASSIGN_OR_RETURN(auto buffer,
                         FlatBuffer<fbs::Graph>::Open(bytes, fbs::GraphIdentifier(), kWhat));
  LUTDB_ASSIGN_OR_RETURN(Graph graph, Unpack(&buffer));
  LUTDB_RETURN_IF_ERROR(ValidateGraph(graph, tables, tensors));
  return graph;
}

}  // namespace lutdb
