// From a model file and options to everything a build needs to know before it starts: specs of
// tables and tensors, the graph, the ranges, and a hash that says whether two builds are the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ingest/integer_only.h"
#include "ingest/model_source.h"
#include "ingest/store_layout.h"
#include "ingest/tensor_pass.h"
#include "lutdb/build.h"
#include "schemas/manifest.h"

namespace lutdb {

struct BuildPlan {
  ModelSource source;
  StoreLayout layout;
  Graph graph;
  std::optional<IntegerPlan> integer;  // with --integer-only
  std::vector<PlanChoice> choices;
};

// InvalidArgument for options out of range or in contradiction; errors as OpenModelSource and
// PlanIntegerOnly.
// choices: fill in what other numbers of bits would do, where there is calibration data.
absl::StatusOr<BuildPlan> ResolvePlan(const std::string& model, const BuildOptions& options,
                                      bool choices = false);

// Bytes on disk, by encoding a few records of each table and tensor. DataLoss for weights that are
// not finite.
struct SizeEstimate {
  std::vector<uint64_t> tables;  // per table
  uint64_t weights = 0;          // kept source weights
  uint64_t total() const;
};
absl::StatusOr<SizeEstimate> EstimateSizes(const BuildPlan& plan);

// What a build makes, told apart by what could differ, so that a refusal can say which it was.
struct PlanHashes {
  Hash128 model;  // names, shapes, element types and contents of all tensors, graph, tokenizer
  Hash128 specs;  // format version, tables as they are coded and kept
  Hash128 plan;   // both
};
PlanHashes HashesOf(const BuildPlan& plan, const TensorPass& pass);
// Of the graph, norms, embeddings and biases (as f32) and the tokenizer.
Hash128 GraphHashOf(const BuildPlan& plan, const TensorPass& pass);

// A manifest with everything but what building finds out.
Manifest ManifestOf(const BuildPlan& plan);

}  // namespace lutdb
