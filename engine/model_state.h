// What a Model holds; shared by model.cc (arrays) and generate.cc (text).
#pragma once

#include <memory>

#include "engine/forward.h"
#include "engine/tokenizer.h"
#include "lutdb/model.h"
#include "query/branch_view.h"
#include "query/row_source.h"
#include "query/store_reader.h"

namespace lutdb {

// Members are destroyed in reverse: what runs first, what it reads from last.
struct Model::State {
  std::unique_ptr<StoreReader> store;
  std::unique_ptr<BranchView> view;
  std::shared_ptr<const Edits> pending;  // null: what the view has
  std::unique_ptr<RowSource> rows;  // null in reference mode
  std::unique_ptr<Forward> forward;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<float> logits;  // of the last token fed by generation

  unsigned holds = 0;   // CommitHold
  bool chosen = false;  // the commit of the hold

  // Before the first table of a batch: takes the newest commit.
  absl::Status BeginBatch();
  const Graph& graph() const { return forward->plan().graph; }
};

}  // namespace lutdb
