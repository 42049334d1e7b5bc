// A language model taken layer by layer: every token of a text goes through one op before the next
// op begins, once as the f32 network and once as the coded one. So a table can be fitted when
// everything before it is, with one pass over the model in all.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/forward.h"
#include "engine/tune_fit.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "query/store_reader.h"

namespace lutdb {

struct WalkOptions {
  uint32_t window = 0;       // tokens; each begins with an empty context
  size_t train_rows = 0;     // the first ones are fitted to, the others decide
  bool fit = true;           // false: only measure
  bool own_targets = false;  // fit to the f32 layer on the coded network's inputs, not on its own
  bool weights_only = false;
  std::vector<double> near;                    // tried from the strongest to the weakest
  std::vector<double> smooth;                  // each with each `near`
  const std::vector<bool>* trained = nullptr;  // per table; null: all
  unsigned threads = 0;
  std::function<void(uint32_t table, double before, double after, double near)> fitted;
  const std::atomic<bool>* cancel = nullptr;
};

// What was found for one table: kept in checkpoints, so that fitting goes on where it stopped.
struct WalkTable {
  uint32_t table = 0;
  std::vector<EntryEdit> edits;
};

struct WalkResult {
  std::vector<double> nll;  // per row but the last: of the next token, by the coded network
  std::vector<WalkTable> tables;
};

// `known` are tables fitted before (an interrupted walk), in order; `done` is called after each new
// one. Errors: FailedPrecondition without kept weights, ResourceExhausted when the values of all
// tokens do not fit half of the usable memory, Unimplemented when two ops share a table, Cancelled.
absl::StatusOr<WalkResult> WalkLayers(
    const StoreReader& store, const Store& entries, absl::Span<const int32_t> ids,
    const WalkOptions& options, std::vector<WalkTable> known,
    const std::function<absl::Status(const std::vector<WalkTable>&)>& done);

}  // namespace lutdb
