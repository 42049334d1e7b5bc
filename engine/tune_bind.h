// From a store to a trainable network: its ops, its tables with the entries of one commit, and the
// coders that the engine itself uses.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/tune_network.h"
#include "lutdb/store.h"
#include "lutdb/tune.h"
#include "query/store_reader.h"

namespace lutdb {

struct TuneBinding {
  TuneNetwork network;
  std::vector<uint32_t> table_ids;  // per table of the network: its id in the store
  bool integer_only = false;
};

// One table without its entries: shape, levels, units, coder. `store` outlives it.
absl::StatusOr<TuneTable> BindTable(const StoreReader& store, uint32_t table);
// Reads neurons [begin, end) of the table's entries at the commit `entries` was opened at, as real
// numbers by table->unit, into table->entries and table->initial (rows x (end - begin)).
absl::Status ReadEntries(const Store& entries, const StoreReader& store, uint32_t table,
                         uint32_t begin, uint32_t end, TuneTable* out);

// A feed-forward network, integer-only ones included. Unimplemented for ops that cannot be trained
// through, NotFound for a table that does not exist, InvalidArgument when no table is left to
// train, ResourceExhausted when training them on that many threads and committing the result takes
// more than half of the usable memory.
absl::StatusOr<TuneBinding> BindNetwork(const StoreReader& store, const Store& entries,
                                        const TuneOptions& options, unsigned threads);

}  // namespace lutdb
