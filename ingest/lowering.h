// Assembles a ModelSource: takes tensors from a catalog as they are asked for, checks their shapes
// and types, numbers them, and appends ops to the graph. The order of calls decides all ids, so two
// formats of one model that are lowered alike give the same graph, byte for byte.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ingest/model_source.h"
#include "ingest/tensor_catalog.h"

namespace lutdb {

// Widths, vocabularies and contexts beyond this are taken for damage.
inline constexpr uint32_t kWidthMax = 1 << 24;

class Lowering {
 public:
  // Takes the catalog, whose files end up in the ModelSource.
  explicit Lowering(TensorCatalog catalog) : catalog_(std::move(catalog)) {}

  const std::string& path() const { return catalog_.path; }
  bool Has(const std::string& name) const { return catalog_.tensors.contains(name); }
  // Sizes of a tensor as the file has it. NotFound.
  absl::StatusOr<std::vector<uint64_t>> Shape(const std::string& name) const;

  // The id of the tensor the file calls `name`, a matrix of exactly rows x cols or a vector of
  // exactly `count`; asked for again, the same id. NotFound; DataLoss naming both shapes;
  // Unimplemented for an element type other than F32, F16, BF16 and the packed ones.
  absl::StatusOr<uint32_t> Matrix(const std::string& name, uint64_t rows, uint64_t cols);
  absl::StatusOr<uint32_t> Vector(const std::string& name, uint64_t count);
  // A vector made here, kept in ModelSource::derived. DataLoss when the name is taken.
  absl::StatusOr<uint32_t> Derived(const std::string& name, std::vector<float> values);
  // The elements of a vector of exactly values->size(), for computing with; it does not become a
  // tensor of the model. Errors as Vector.
  absl::Status ReadUnkeptVector(const std::string& name, std::vector<float>* values) const;

  // The id of a table; its name must be new, unless an equal table has it already (shared weights).
  absl::StatusOr<uint32_t> Table(SourceTable table);

  // Appends a value and returns its index.
  uint32_t AddValue(const std::string& name, ValueType type, uint32_t width);
  // Appends an op whose result is a new f32 value of the op's name, and returns that value's index.
  uint32_t AddOp(Op op, uint32_t width);
  uint32_t width(uint32_t value) const { return source_.graph.values[value].width; }

  Graph& graph() { return source_.graph; }
  ModelSource& source() { return source_; }
  // Hands over what was assembled; nothing else may be called afterwards.
  ModelSource Finish();

 private:
  absl::StatusOr<uint32_t> Take(const std::string& name, const std::vector<uint64_t>& shape);
  absl::StatusOr<SourceTensor> Find(const std::string& name,
                                    const std::vector<uint64_t>& shape) const;

  TensorCatalog catalog_;
  ModelSource source_;
  std::map<std::string, uint32_t> taken_;  // file's name -> tensor id
  std::set<std::string> tensor_names_;     // names without ".weight"
};

// "a.b" for "a.b.weight", other names as they are.
std::string DropWeight(const std::string& name);

}  // namespace lutdb
