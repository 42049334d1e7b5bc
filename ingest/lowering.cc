#include "ingest/lowering.h"

#include <string_view>
#include <utility>

#include "base/status.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

std::string ShapeText(const std::vector<uint64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

bool SameTable(const SourceTable& a, SourceTable b) {
  b.spec.id = a.spec.id;
  return a.spec == b.spec && a.coding_given == b.coding_given && a.input_scales == b.input_scales &&
         a.learned_range == b.learned_range;
}

}  // namespace

std::string DropWeight(const std::string& name) {
  constexpr std::string_view kSuffix = ".weight";
  const bool ends = name.size() > kSuffix.size() && name.ends_with(kSuffix);
  return ends ? name.substr(0, name.size() - kSuffix.size()) : name;
}

absl::StatusOr<std::vector<uint64_t>> Lowering::Shape(const std::string& name) const {
  const auto found = catalog_.tensors.find(name);
  if (found == catalog_.tensors.end()) {
    return NotFound("{}: tensor {} is missing; the model needs it", path(), Quote(name));
  }
  return found->second.shape;
}

absl::StatusOr<uint32_t> Lowering::Matrix(const std::string& name, uint64_t rows, uint64_t cols) {
  return Take(name, {rows, cols});
}

absl::StatusOr<uint32_t> Lowering::Vector(const std::string& name, uint64_t count) {
  return Take(name, {count});
}

absl::StatusOr<SourceTensor> Lowering::Find(const std::string& name,
                                            const std::vector<uint64_t>& shape) const {
  LUTDB_ASSIGN_OR_RETURN(const std::vector<uint64_t> found, Shape(name));
  if (found != shape) {
    return DataLoss("{}: tensor {} has shape {}, the model needs {}", path(), Quote(name),
                    ShapeText(found), ShapeText(shape));
  }
  const CatalogTensor& from = catalog_.tensors.find(name)->second;
  SourceTensor tensor;
  if (from.packed != nullptr || from.dtype == "F32") {
    tensor.dtype = DType::kF32;
  } else if (from.dtype == "F16") {
    tensor.dtype = DType::kF16;
  } else if (from.dtype == "BF16") {
    tensor.dtype = DType::kBF16;
  } else {
    return Unimplemented(
        "{}: tensor {} has elements of type {}; lutdb reads F32, F16, BF16 and GGUF's packed types",
        path(), Quote(name), Quote(from.dtype));
  }
  tensor.name = DropWeight(name);
  tensor.rows = shape.size() == 2 ? shape[0] : 1;
  tensor.cols = shape.back();
  tensor.data = from.data;
  tensor.rope_head_dim = from.rope_head_dim;
  tensor.packed = from.packed;
  return tensor;
}

absl::StatusOr<uint32_t> Lowering::Take(const std::string& name,
                                        const std::vector<uint64_t>& shape) {
  LUTDB_ASSIGN_OR_RETURN(SourceTensor tensor, Find(name, shape));
  if (const auto taken = taken_.find(name); taken != taken_.end()) return taken->second;
  if (!tensor_names_.insert(tensor.name).second) {
    return DataLoss("{}: two tensors are called {} once .weight is dropped", path(),
                    Quote(tensor.name));
  }
  const uint32_t id = static_cast<uint32_t>(source_.tensors.size());
  source_.tensors.push_back(std::move(tensor));
  taken_.emplace(name, id);
  return id;
}

absl::Status Lowering::ReadUnkeptVector(const std::string& name, std::vector<float>* values) const {
  LUTDB_ASSIGN_OR_RETURN(const SourceTensor tensor, Find(name, {values->size()}));
  tensor.ReadRow(0, 0, values->size(), values->data());
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> Lowering::Derived(const std::string& name, std::vector<float> values) {
  if (!tensor_names_.insert(name).second || Has(name)) {
    return DataLoss("{}: the name {} is needed for a tensor made here, but is taken", path(),
                    Quote(name));
  }
  auto kept = std::make_unique<std::vector<float>>(std::move(values));
  SourceTensor tensor;
  tensor.name = name;
  tensor.rows = 1;
  tensor.cols = kept->size();
  tensor.data = reinterpret_cast<const uint8_t*>(kept->data());
  const uint32_t id = static_cast<uint32_t>(source_.tensors.size());
  source_.tensors.push_back(std::move(tensor));
  source_.derived.push_back(std::move(kept));
  return id;
}

absl::StatusOr<uint32_t> Lowering::Table(SourceTable table) {
  table.spec.id = static_cast<uint32_t>(source_.tables.size());
  for (const SourceTable& other : source_.tables) {
    if (other.spec.name != table.spec.name) continue;
    if (SameTable(other, table)) return other.spec.id;
    return DataLoss("{}: table {} is asked for twice, with another bias or coding", path(),
                    Quote(table.spec.name));
  }
  source_.tables.push_back(std::move(table));
  return source_.tables.back().spec.id;
}

uint32_t Lowering::AddValue(const std::string& name, ValueType type, uint32_t width) {
  source_.graph.values.push_back({.name = name, .type = type, .width = width});
  return static_cast<uint32_t>(source_.graph.values.size() - 1);
}

uint32_t Lowering::AddOp(Op op, uint32_t width) {
  op.output = AddValue(op.name, ValueType::kF32, width);
  source_.graph.ops.push_back(std::move(op));
  return source_.graph.ops.back().output;
}

ModelSource Lowering::Finish() {
  source_.files = std::move(catalog_.files);
  return std::move(source_);
}

}  // namespace lutdb
