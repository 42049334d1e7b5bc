#include "ingest/store_contents.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "db/keys.h"
#include "schemas/graph.h"
#include "schemas/thresholds.h"
#include "schemas/tokenizer_spec.h"

namespace lutdb {
namespace {

using ProblemFn = std::function<void(const absl::Status&)>;

absl::Status Of(const std::string& part, const absl::Status& status) {
  return Error(status.code(), "{}: {}", part, Message(status));
}

// Positive, finite f32, `count` of them.
absl::StatusOr<std::vector<float>> ReadFloats(const db::Rocks& rocks, const std::string& key,
                                              uint64_t count) {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes, rocks.Get(db::Family::kDefault, key));
  if (bytes.size() != count * sizeof(float)) {
    return DataLoss("{} has {} bytes, not {}", key, bytes.size(), count * sizeof(float));
  }
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (const float value : values) {
    if (!std::isfinite(value) || !(value > 0)) return DataLoss("{} holds {}", key, value);
  }
  return values;
}

absl::Status CheckThresholds(const db::OpenedStore& store, const Graph& graph,
                             const std::vector<PlannedTable>& tables) {
  for (uint32_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (op.kind != OpKind::kThresholds && op.kind != OpKind::kTableSums) continue;
    const auto bytes = store.rocks->Get(db::Family::kDefault, db::ThresholdsKey(i));
    const bool missing = bytes.status().code() == absl::StatusCode::kNotFound;
    if (missing && op.kind == OpKind::kTableSums) continue;  // nothing is added
    if (!bytes.ok()) return bytes.status();
    std::vector<uint32_t> codes;
    uint32_t neurons = tables[op.table].spec.neurons;
    if (op.kind == OpKind::kThresholds) {
      const TableGeometry& geometry = tables[op.table].geometry;
      for (uint32_t c = 0; c < geometry.chunks(); ++c) codes.push_back(geometry.codes(c));
      neurons = graph.values[op.inputs[0]].width;
    }
    LUTDB_RETURN_IF_ERROR(ParseThresholds(*bytes, neurons, codes).status());
  }
  return absl::OkStatus();
}

absl::Status CheckGraph(const db::OpenedStore& store, const std::vector<PlannedTable>& tables) {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes,
                         store.rocks->Get(db::Family::kDefault, db::kGraphKey));
  LUTDB_ASSIGN_OR_RETURN(const Graph graph,
                         ParseGraph(bytes, store.manifest.tables, store.manifest.tensors));
  return CheckThresholds(store, graph, tables);
}

absl::Status CheckTokenizer(const db::OpenedStore& store) {
  const auto bytes = store.rocks->Get(db::Family::kDefault, db::kTokenizerKey);
  if (bytes.status().code() == absl::StatusCode::kNotFound) return absl::OkStatus();
  if (!bytes.ok()) return bytes.status();
  return ParseTokenizer(*bytes).status();
}

}  // namespace

absl::StatusOr<StoreContents> ReadContents(const db::OpenedStore& store, const ProblemFn& problem) {
  StoreContents contents;
  const Manifest& manifest = store.manifest;
  contents.layout.tensors = manifest.tensors;
  for (const TableSpec& spec : manifest.tables) {
    LUTDB_ASSIGN_OR_RETURN(TableGeometry geometry, TableGeometry::Create(spec));
    PlannedTable table{spec, std::move(geometry), {}};
    auto scales = ReadFloats(*store.rocks, db::InputScalesKey(spec.id), spec.inputs);
    if (scales.ok()) {
      table.input_scales = *std::move(scales);
    } else if (scales.status().code() != absl::StatusCode::kNotFound) {
      problem(Of("input scales of " + spec.name, scales.status()));
      contents.sources_known = false;
    }
    auto steps = ReadFloats(*store.rocks, db::StepsKey(spec.id), spec.neurons);
    if (!steps.ok()) problem(Of("steps of " + spec.name, steps.status()));
    contents.steps.push_back(steps.ok() ? *std::move(steps) : std::vector<float>());
    contents.layout.tables.push_back(std::move(table));
  }
  PlanRanges(&contents.layout);
  auto baked = BakedEdits::Load(*store.rocks, contents.layout.tables);
  if (!baked.ok()) {
    problem(Of("edits baked into the records", baked.status()));
    contents.sources_known = false;
  }
  if (baked.ok()) contents.baked = *std::move(baked);
  if (const absl::Status graph = CheckGraph(store, contents.layout.tables); !graph.ok()) {
    problem(Of("graph", graph));
  }
  if (const absl::Status tokenizer = CheckTokenizer(store); !tokenizer.ok()) {
    problem(Of("tokenizer", tokenizer));
  }
  return contents;
}

}  // namespace lutdb
