#include "ingest/build_plan.h"

#include <algorithm>
#include <set>

#include "base/status.h"
#include "coding/hash.h"
#include "coding/tensor_record.h"
#include "ingest/calibrate.h"
#include "ingest/forced_isa.h"
#include "ingest/learned_table.h"

namespace lutdb {
namespace {

absl::Status CheckOptions(const BuildOptions& options) {
  if (options.input_bits < 1 || options.input_bits > 16) {
    return InvalidArgument("--input-bits {}: choose 1 to 16", options.input_bits);
  }
  if (options.chunk < 1 || options.chunk > kMaxChunkInputs) {
    return InvalidArgument("--chunk {}: choose 1 to {}", options.chunk, kMaxChunkInputs);
  }
  if (options.layout == Layout::kRow &&
      (options.codec == Codec::kProduct || options.codec == Codec::kDelta)) {
    return InvalidArgument(
        "--layout row keeps rows as they are; --codec {} goes with --layout tile",
        Name(options.codec));
  }
  return absl::OkStatus();
}

// What the model's own files leave open is decided by the options.
TableSpec ResolveSpec(const SourceTable& table, const BuildOptions& options) {
  TableSpec spec = table.spec;
  if (!table.coding_given) {
    spec.chunk = options.chunk;
    spec.levels = {options.grid, static_cast<uint8_t>(options.input_bits)};
    spec.chunks.clear();
  }
  spec.entry = options.entry;
  spec.layout = options.layout;
  spec.codec = options.layout == Layout::kRow ? Codec::kRaw : options.codec;
  spec.mirror = options.mirror;
  return spec;
}

absl::Status ResolveTables(const ModelSource& source, const BuildOptions& options,
                           StoreLayout* layout, std::vector<PlanChoice>* choices) {
  std::vector<TableSpec> specs;
  std::vector<std::vector<float>> input_scales;
  for (const SourceTable& table : source.tables) {
    specs.push_back(ResolveSpec(table, options));
    input_scales.push_back(table.input_scales);
    if (table.spec.weight_tensor != kNone) continue;
    LUTDB_RETURN_IF_ERROR(ResolveLearned(table.learned_range, &specs.back()));
  }
  if (options.budget_bytes != 0) {
    LUTDB_RETURN_IF_ERROR(RefuseLearned(source.tables, "a budget"));
  }
  LUTDB_RETURN_IF_ERROR(CalibrateTables(source, options, &specs, &input_scales, choices));
  for (size_t i = 0; i < specs.size(); ++i) {
    LUTDB_ASSIGN_OR_RETURN(TableGeometry geometry, TableGeometry::Create(specs[i]));
    layout->tables.push_back(
        {std::move(specs[i]), std::move(geometry), std::move(input_scales[i])});
  }
  return absl::OkStatus();
}

std::vector<TableSpec> SpecsOf(const StoreLayout& layout) {
  std::vector<TableSpec> specs;
  for (const PlannedTable& table : layout.tables) specs.push_back(table.spec);
  return specs;
}

class TextHash {
 public:
  // Length first, so that neighbours cannot trade bytes.
  TextHash& Add(std::string_view bytes) {
    const uint64_t size = bytes.size();
    stream_.Update(&size, sizeof(size));
    stream_.Update(bytes.data(), bytes.size());
    return *this;
  }
  TextHash& Add(const Hash128& hash) { return Add(hash.Hex()); }
  Hash128 Finish() const { return stream_.Finish(); }

 private:
  Hash128Stream stream_;
};

std::string_view BytesOf(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace

absl::StatusOr<BuildPlan> ResolvePlan(const std::string& model, const BuildOptions& options,
                                      bool choices) {
  LUTDB_RETURN_IF_ERROR(ApplyForcedIsa());
  LUTDB_RETURN_IF_ERROR(CheckOptions(options));
  BuildPlan plan;
  LUTDB_ASSIGN_OR_RETURN(plan.source,
                         OpenModelSource(model, {.graph_file = options.graph_file,
                                                 .tokenizer_file = options.tokenizer_file}));
  for (const SourceTensor& tensor : plan.source.tensors) {
    plan.layout.tensors.push_back({.id = static_cast<uint32_t>(plan.layout.tensors.size()),
                                   .name = tensor.name,
                                   .dtype = tensor.dtype,
                                   .rows = tensor.rows,
                                   .cols = tensor.cols,
                                   .rows_per_record = RowsPerRecord(tensor.dtype, tensor.cols)});
  }
  LUTDB_RETURN_IF_ERROR(
      ResolveTables(plan.source, options, &plan.layout, choices ? &plan.choices : nullptr));
  plan.graph = plan.source.graph;
  if (options.integer_only) {
    LUTDB_ASSIGN_OR_RETURN(plan.integer, PlanIntegerOnly(plan.source, &plan.layout.tables));
    plan.graph = plan.integer->graph;
  }
  LUTDB_RETURN_IF_ERROR(ValidateGraph(plan.graph, SpecsOf(plan.layout), plan.layout.tensors));
  PlanRanges(&plan.layout);
  return plan;
}

PlanHashes HashesOf(const BuildPlan& plan, const TensorPass& pass) {
  TextHash model;
  for (const TensorSpec& tensor : plan.layout.tensors) {
    model.Add(tensor.name)
        .Add(fmt::format("{} {} {}", static_cast<int>(tensor.dtype), tensor.rows, tensor.cols))
        .Add(pass.contents[tensor.id]);
  }
  model.Add(SerializeGraph(plan.source.graph)).Add(SerializeTokenizer(plan.source.tokenizer));

  // The manifest of a store in which nothing is built yet says all that the options decide; where
  // the model lay does not matter.
  Manifest manifest = ManifestOf(plan);
  manifest.source_name.clear();
  TextHash specs;
  specs.Add(SerializeManifest(manifest)).Add(SerializeGraph(plan.graph));
  for (const PlannedTable& table : plan.layout.tables) specs.Add(BytesOf(table.input_scales));

  PlanHashes hashes{.model = model.Finish(), .specs = specs.Finish(), .plan = {}};
  hashes.plan = TextHash().Add(hashes.model).Add(hashes.specs).Finish();
  return hashes;
}

Hash128 GraphHashOf(const BuildPlan& plan, const TensorPass& pass) {
  std::set<uint32_t> tensors;
  for (const Op& op : plan.source.graph.ops) tensors.insert({op.tensor, op.tensor_b});
  for (const PlannedTable& table : plan.layout.tables) tensors.insert(table.spec.bias_tensor);
  tensors.erase(kNone);
  TextHash hash;
  hash.Add(SerializeGraph(plan.graph));
  for (const uint32_t id : tensors) {
    hash.Add(plan.layout.tensors[id].name).Add(pass.values[id]);
  }
  return hash.Add(SerializeTokenizer(plan.source.tokenizer)).Finish();
}

Manifest ManifestOf(const BuildPlan& plan) {
  Manifest manifest;
  manifest.source_format = plan.source.format;
  manifest.source_name = plan.source.name;
  manifest.integer_only = plan.integer.has_value();
  manifest.tables = SpecsOf(plan.layout);
  manifest.tensors = plan.layout.tensors;
  manifest.stats.resize(manifest.tables.size());
  manifest.tensor_stored_bytes.resize(manifest.tensors.size());
  manifest.ranges = plan.layout.ranges.size();
  return manifest;
}

}  // namespace lutdb
