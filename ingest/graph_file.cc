#include "ingest/graph_file.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/status.h"
#include "coding/tensor_record.h"
#include "ingest/architectures.h"
#include "ingest/graph_file_coding.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "lutdb-graph-1";
constexpr size_t kOpsMax = 65536;
constexpr double kEpsilonDefault = 1e-5;
constexpr double kLeakyReluAlphaDefault = 0.01;
constexpr double kRangeMin = 1e-15, kRangeMax = 1e15;  // of the outputs of a table without weights

class GraphReader {
 public:
  GraphReader(std::string path, Lowering* lowering)
      : path_(std::move(path)), lowering_(*lowering) {}

  absl::Status Read(const Json& file);

 private:
  absl::Status ReadInput(const Json& object);
  absl::Status ReadOp(const Json& object, size_t index);
  // Each fills kind, inputs' worth of tensors and parameters of op_; width of the result in width_.
  absl::Status ReadLinear(JsonFields* fields);
  absl::Status ReadLearned(JsonFields* fields);
  absl::Status ReadNorm(JsonFields* fields);
  absl::Status ReadBatchNorm(JsonFields* fields);
  absl::Status ReadScaleShift(JsonFields* fields);
  absl::Status ReadActivation(JsonFields* fields);
  absl::Status ReadPlain(JsonFields* fields);

  absl::StatusOr<uint32_t> Named(const std::string& where, const std::string& name) const;
  absl::Status ReadInputs(JsonFields* fields, size_t arity);
  absl::Status ReadName(JsonFields* fields, size_t index);
  absl::Status ReadEpsilon(JsonFields* fields);
  // The id of the vector a field names, as wide as the op's input. Left alone when optional and
  // absent.
  absl::Status ReadVector(JsonFields* fields, const char* key, JsonFields::Need need, uint32_t* id);
  absl::Status ReadNumbers(JsonFields* fields, const char* key, uint32_t* id);
  // A vector of one value, for a scale or shift that the file leaves out.
  absl::StatusOr<uint32_t> Constant(const char* suffix, float value);
  absl::StatusOr<std::vector<float>> Values(JsonFields* fields, const char* key, float missing,
                                            JsonFields::Need need);

  struct Kind {
    const char* name;
    OpKind kind;
    size_t arity;
    absl::Status (GraphReader::*read)(JsonFields*);
  };
  static const Kind kKinds[];

  std::string path_;
  Lowering& lowering_;
  std::map<std::string, uint32_t> named_;
  uint32_t previous_ = kNone;
  // The op being read.
  Op op_;
  std::string kind_;
  uint32_t width_ = 0;
};

const GraphReader::Kind GraphReader::kKinds[] = {
    {"linear", OpKind::kTable, 1, &GraphReader::ReadLinear},
    {"learned", OpKind::kTable, 1, &GraphReader::ReadLearned},
    {"rms_norm", OpKind::kRmsNorm, 1, &GraphReader::ReadNorm},
    {"layer_norm", OpKind::kLayerNorm, 1, &GraphReader::ReadNorm},
    {"batch_norm", OpKind::kScaleShift, 1, &GraphReader::ReadBatchNorm},
    {"scale_shift", OpKind::kScaleShift, 1, &GraphReader::ReadScaleShift},
    {"add", OpKind::kAdd, 2, &GraphReader::ReadPlain},
    {"multiply", OpKind::kMultiply, 2, &GraphReader::ReadPlain},
    {"softmax", OpKind::kSoftmax, 1, &GraphReader::ReadPlain},
    {"identity", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"relu", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"leaky_relu", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"silu", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"gelu", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"gelu_tanh", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"sigmoid", OpKind::kActivation, 1, &GraphReader::ReadActivation},
    {"tanh", OpKind::kActivation, 1, &GraphReader::ReadActivation},
};

absl::StatusOr<uint32_t> GraphReader::Named(const std::string& where,
                                            const std::string& name) const {
  const auto found = named_.find(name);
  if (found == named_.end()) {
    return DataLoss("{}: no earlier op is named {}", where, Quote(name));
  }
  return found->second;
}

// One input: "input", or the previous op's result. Two: "inputs", a list of two names.
absl::Status GraphReader::ReadInputs(JsonFields* fields, size_t arity) {
  op_.inputs = {previous_};
  if (arity == 1) {
    std::string name;
    LUTDB_RETURN_IF_ERROR(fields->String("input", JsonFields::kOptional, &name));
    if (name.empty()) return absl::OkStatus();
    LUTDB_ASSIGN_OR_RETURN(op_.inputs[0], Named(fields->where(), name));
    return absl::OkStatus();
  }
  const Json* names = fields->Find("inputs");
  if (names == nullptr || !names->is_array() || names->size() != arity) {
    return DataLoss("{}: inputs must be a list of {} op names", fields->where(), arity);
  }
  op_.inputs.clear();
  for (const Json& name : *names) {
    if (!name.is_string()) {
      return DataLoss("{}: inputs must be a list of {} op names", fields->where(), arity);
    }
    LUTDB_ASSIGN_OR_RETURN(const uint32_t value, Named(fields->where(), name.get<std::string>()));
    op_.inputs.push_back(value);
  }
  const uint32_t a = lowering_.width(op_.inputs[0]), b = lowering_.width(op_.inputs[1]);
  if (a != b) {
    return DataLoss("{}: its inputs have different widths, {} and {}", fields->where(), a, b);
  }
  return absl::OkStatus();
}

// Ops without a name are called after their table or their place, and can be referred to so.
absl::Status GraphReader::ReadName(JsonFields* fields, size_t index) {
  std::string name;
  LUTDB_RETURN_IF_ERROR(fields->String("name", JsonFields::kOptional, &name));
  if (!name.empty()) {
    if (named_.contains(name)) {
      return DataLoss("{}: the name {} is taken", fields->where(), Quote(name));
    }
    op_.name = name;
  } else if (op_.name.empty() || named_.contains(op_.name)) {
    op_.name = fmt::format("{}.{}", kind_, index);
    if (named_.contains(op_.name)) {
      return DataLoss("{}: the name {} is taken; give it another one", fields->where(),
                      Quote(op_.name));
    }
  }
  return absl::OkStatus();
}

absl::Status GraphReader::ReadVector(JsonFields* fields, const char* key, JsonFields::Need need,
                                     uint32_t* id) {
  std::string name;
  LUTDB_RETURN_IF_ERROR(fields->String(key, need, &name));
  if (name.empty() && need == JsonFields::kOptional) return absl::OkStatus();
  const auto found = lowering_.Vector(name, width_);
  if (!found.ok())
    return Error(found.status().code(), "{}: {}", fields->where(), Message(found.status()));
  *id = *found;
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> GraphReader::Constant(const char* suffix, float value) {
  return lowering_.Derived(op_.name + suffix, std::vector<float>(width_, value));
}

absl::Status GraphReader::ReadEpsilon(JsonFields* fields) {
  double epsilon = kEpsilonDefault;
  LUTDB_RETURN_IF_ERROR(fields->Number("epsilon", JsonFields::kOptional, 0, 1, &epsilon));
  op_.epsilon = static_cast<float>(epsilon);
  return absl::OkStatus();
}

absl::Status GraphReader::ReadLinear(JsonFields* fields) {
  std::string weight, bias;
  LUTDB_RETURN_IF_ERROR(fields->String("weight", JsonFields::kRequired, &weight));
  LUTDB_RETURN_IF_ERROR(fields->String("bias", JsonFields::kOptional, &bias));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<uint64_t> shape, lowering_.Shape(weight));
  if (shape.size() != 2 || shape[0] == 0 || shape[0] > kWidthMax) {
    return DataLoss("{}: weight {} has shape [{}], not [neurons, inputs]", fields->where(),
                    Quote(weight), fmt::join(shape, ", "));
  }
  if (shape[1] != width_) {
    return DataLoss("{}: weight {} has {} inputs, but the value it reads is {} wide",
                    fields->where(), Quote(weight), shape[1], width_);
  }
  SourceTable table;
  table.spec.name = DropWeight(weight);
  table.spec.inputs = width_;
  table.spec.neurons = static_cast<uint32_t>(shape[0]);
  LUTDB_ASSIGN_OR_RETURN(table.spec.weight_tensor, lowering_.Matrix(weight, shape[0], shape[1]));
  width_ = table.spec.neurons;
  LUTDB_RETURN_IF_ERROR(ReadVector(fields, "bias", JsonFields::kOptional, &table.spec.bias_tensor));
  if (const Json* coding = fields->Find("table"); coding != nullptr) {
    LUTDB_RETURN_IF_ERROR(ReadTableCoding(*coding, fields->where() + ", table", &table));
  }
  op_.name = table.spec.name;
  LUTDB_ASSIGN_OR_RETURN(op_.table, lowering_.Table(std::move(table)));
  return absl::OkStatus();
}

// A table whose entries start as zero. Its name is its own, since no weights lend it theirs.
absl::Status GraphReader::ReadLearned(JsonFields* fields) {
  SourceTable table;
  table.spec.inputs = width_;
  double range = 0;
  LUTDB_RETURN_IF_ERROR(fields->String("name", JsonFields::kRequired, &table.spec.name));
  LUTDB_RETURN_IF_ERROR(
      fields->Unsigned("neurons", JsonFields::kRequired, 1, kWidthMax, &table.spec.neurons));
  LUTDB_RETURN_IF_ERROR(
      fields->Number("range", JsonFields::kRequired, kRangeMin, kRangeMax, &range));
  table.learned_range = static_cast<float>(range);
  if (const Json* coding = fields->Find("table"); coding != nullptr) {
    LUTDB_RETURN_IF_ERROR(ReadTableCoding(*coding, fields->where() + ", table", &table));
  }
  width_ = table.spec.neurons;
  LUTDB_ASSIGN_OR_RETURN(op_.table, lowering_.Table(std::move(table)));
  return absl::OkStatus();
}

absl::Status GraphReader::ReadNorm(JsonFields* fields) {
  LUTDB_RETURN_IF_ERROR(ReadEpsilon(fields));
  LUTDB_RETURN_IF_ERROR(ReadVector(fields, "weight", JsonFields::kRequired, &op_.tensor));
  if (op_.kind == OpKind::kRmsNorm) return absl::OkStatus();
  LUTDB_RETURN_IF_ERROR(ReadVector(fields, "bias", JsonFields::kOptional, &op_.tensor_b));
  if (op_.tensor_b != kNone) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(op_.tensor_b, Constant(".shift", 0));
  return absl::OkStatus();
}

// As ReadVector, optional, or the numbers themselves: a list of one per element.
absl::Status GraphReader::ReadNumbers(JsonFields* fields, const char* key, uint32_t* id) {
  const Json* field = fields->Find(key);
  if (field == nullptr || !field->is_array()) {
    return ReadVector(fields, key, JsonFields::kOptional, id);
  }
  if (field->size() != width_) {
    return DataLoss("{}: {} has {} numbers for {} elements", fields->where(), key, field->size(),
                    width_);
  }
  std::vector<float> values;
  for (const Json& number : *field) {
    values.push_back(number.is_number() ? number.get<float>() : NAN);
    if (!std::isfinite(values.back())) {
      return DataLoss("{}: element {} of {} is not a finite 32-bit number", fields->where(),
                      values.size() - 1, key);
    }
  }
  LUTDB_ASSIGN_OR_RETURN(*id, lowering_.Derived(op_.name + "." + key, std::move(values)));
  return absl::OkStatus();
}

absl::Status GraphReader::ReadScaleShift(JsonFields* fields) {
  LUTDB_RETURN_IF_ERROR(ReadNumbers(fields, "scale", &op_.tensor));
  LUTDB_RETURN_IF_ERROR(ReadNumbers(fields, "shift", &op_.tensor_b));
  if (op_.tensor == kNone && op_.tensor_b == kNone) {
    return DataLoss("{}: needs scale, shift or both", fields->where());
  }
  if (op_.tensor == kNone) {
    LUTDB_ASSIGN_OR_RETURN(op_.tensor, Constant(".scale", 1));
  }
  if (op_.tensor_b == kNone) {
    LUTDB_ASSIGN_OR_RETURN(op_.tensor_b, Constant(".shift", 0));
  }
  return absl::OkStatus();
}

// The elements of the vector a field names, or `missing` everywhere.
absl::StatusOr<std::vector<float>> GraphReader::Values(JsonFields* fields, const char* key,
                                                       float missing, JsonFields::Need need) {
  std::string name;
  LUTDB_RETURN_IF_ERROR(fields->String(key, need, &name));
  std::vector<float> values(width_, missing);
  if (name.empty() && need == JsonFields::kOptional) return values;
  LUTDB_RETURN_IF_ERROR(lowering_.ReadUnkeptVector(name, &values));
  return values;
}

// Folded in double, whose square root and quotient every machine rounds alike.
absl::Status GraphReader::ReadBatchNorm(JsonFields* fields) {
  double epsilon = kEpsilonDefault;
  LUTDB_RETURN_IF_ERROR(fields->Number("epsilon", JsonFields::kOptional, 0, 1, &epsilon));
  LUTDB_ASSIGN_OR_RETURN(std::vector<float> scale,
                         Values(fields, "weight", 1, JsonFields::kOptional));
  LUTDB_ASSIGN_OR_RETURN(std::vector<float> shift,
                         Values(fields, "bias", 0, JsonFields::kOptional));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<float> mean,
                         Values(fields, "mean", 0, JsonFields::kRequired));
  LUTDB_ASSIGN_OR_RETURN(const std::vector<float> variance,
                         Values(fields, "var", 1, JsonFields::kRequired));
  for (uint32_t i = 0; i < width_; ++i) {
    const double factor = scale[i] / std::sqrt(variance[i] + epsilon);
    scale[i] = static_cast<float>(factor);
    shift[i] = static_cast<float>(shift[i] - mean[i] * factor);
    if (!std::isfinite(scale[i]) || !std::isfinite(shift[i])) {
      return DataLoss("{}: element {} (mean {}, var {}) gives no finite scale and shift",
                      fields->where(), i, mean[i], variance[i]);
    }
  }
  LUTDB_ASSIGN_OR_RETURN(op_.tensor, lowering_.Derived(op_.name + ".scale", std::move(scale)));
  LUTDB_ASSIGN_OR_RETURN(op_.tensor_b, lowering_.Derived(op_.name + ".shift", std::move(shift)));
  return absl::OkStatus();
}

absl::Status GraphReader::ReadActivation(JsonFields* fields) {
  ActivationByName(kind_, &op_.activation);
  if (op_.activation != Activation::kLeakyRelu) return absl::OkStatus();
  double alpha = kLeakyReluAlphaDefault;
  LUTDB_RETURN_IF_ERROR(fields->Number("alpha", JsonFields::kOptional, -1e6, 1e6, &alpha));
  op_.alpha = static_cast<float>(alpha);
  return absl::OkStatus();
}

absl::Status GraphReader::ReadPlain(JsonFields*) { return absl::OkStatus(); }

absl::Status GraphReader::ReadOp(const Json& object, size_t index) {
  std::string where = fmt::format("{}: op {}", path_, index);
  if (!object.is_object()) return DataLoss("{} must be an object", where);
  JsonFields type(object, where);
  LUTDB_RETURN_IF_ERROR(type.String("op", JsonFields::kRequired, &kind_));
  const Kind* kind = nullptr;
  std::string known;
  for (const Kind& candidate : kKinds) {
    if (kind_ == candidate.name) kind = &candidate;
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  if (kind == nullptr) {
    return Unimplemented("{}: {} is not known; lutdb knows {}", where, Quote(kind_), known);
  }
  JsonFields fields(object, fmt::format("{} ({})", where, kind_));
  fields.Find("op");
  op_ = Op();
  op_.kind = kind->kind;
  LUTDB_RETURN_IF_ERROR(ReadInputs(&fields, kind->arity));
  width_ = lowering_.width(op_.inputs[0]);
  // The op's own name comes first, because tensors made here are called after it; a linear op
  // without a name takes its table's.
  if (op_.kind != OpKind::kTable) LUTDB_RETURN_IF_ERROR(ReadName(&fields, index));
  LUTDB_RETURN_IF_ERROR((this->*kind->read)(&fields));
  if (op_.kind == OpKind::kTable) LUTDB_RETURN_IF_ERROR(ReadName(&fields, index));
  LUTDB_RETURN_IF_ERROR(fields.RefuseUnread());
  const std::string name = op_.name;
  previous_ = lowering_.AddOp(std::move(op_), width_);
  named_.emplace(name, previous_);
  return absl::OkStatus();
}

absl::Status GraphReader::ReadInput(const Json& object) {
  const std::string where = path_ + ": input";
  if (!object.is_object()) return DataLoss("{} must be an object", where);
  JsonFields fields(object, where);
  uint32_t width = 0;
  LUTDB_RETURN_IF_ERROR(fields.Unsigned("width", JsonFields::kRequired, 1, kWidthMax, &width));
  Graph& graph = lowering_.graph();
  if (const Json* range = fields.Find("range"); range != nullptr) {
    if (!range->is_array() || range->size() != 2 || !(*range)[0].is_number() ||
        !(*range)[1].is_number()) {
      return DataLoss("{}: range must be [low, high]", where);
    }
    graph.input_low = (*range)[0].get<float>();
    graph.input_high = (*range)[1].get<float>();
    if (!(graph.input_low < graph.input_high) || !std::isfinite(graph.input_low) ||
        !std::isfinite(graph.input_high)) {
      return DataLoss("{}: range must be [low, high] with low below high", where);
    }
  }
  LUTDB_RETURN_IF_ERROR(fields.RefuseUnread());
  graph.input = previous_ = lowering_.AddValue("input", ValueType::kF32, width);
  named_.emplace("input", previous_);
  return absl::OkStatus();
}

absl::Status GraphReader::Read(const Json& file) {
  JsonFields fields(file, path_);
  std::string format;
  LUTDB_RETURN_IF_ERROR(fields.String("format", JsonFields::kRequired, &format));
  if (format != kFormat) {
    return Unimplemented("{}: format {} is not known; lutdb reads {}", path_, Quote(format),
                         kFormat);
  }
  LUTDB_RETURN_IF_ERROR(fields.String("name", JsonFields::kOptional, &lowering_.source().name));
  for (const char* ignored : {"description", "$schema"}) fields.Find(ignored);
  const Json* input = fields.Find("input");
  const Json* ops = fields.Find("ops");
  LUTDB_RETURN_IF_ERROR(fields.RefuseUnread());
  if (input == nullptr) return DataLoss("{}: input is missing", path_);
  if (ops == nullptr || !ops->is_array() || ops->empty() || ops->size() > kOpsMax) {
    return DataLoss("{}: ops must be a list of 1 to {} ops", path_, kOpsMax);
  }
  lowering_.graph().architecture = "feed-forward";
  LUTDB_RETURN_IF_ERROR(ReadInput(*input));
  size_t index = 0;
  for (const Json& op : *ops) LUTDB_RETURN_IF_ERROR(ReadOp(op, index++));
  lowering_.graph().output = previous_;
  return absl::OkStatus();
}

}  // namespace

absl::Status LowerGraphFile(const std::string& path, Lowering* lowering) {
  LUTDB_ASSIGN_OR_RETURN(const Json file, ReadJsonObject(path));
  return GraphReader(path, lowering).Read(file);
}

}  // namespace lutdb
