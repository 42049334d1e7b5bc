// From trained entries to a commit: which stored integers changed, which of them are worth a
// budget, and the commit itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/tune_trainer.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "lutdb/tune.h"
#include "query/store_reader.h"

namespace lutdb {

// A branch as training finds it: its records, its entries, and the commit it stands at ("": the
// build).
struct TunedStore {
  std::string head;
  std::unique_ptr<StoreReader> store;
  std::unique_ptr<Store> entries;
};
// Errors of Store::Open; NotFound for a name that is no branch.
absl::StatusOr<TunedStore> OpenTuned(const std::string& path, const std::string& branch);

// Entries whose rounded value is not that of `initial`: how many, and which. Neurons of the table
// begin at `neuron_begin` of table `id`.
uint64_t CountEdits(const TuneTable& table);
void AppendEdits(const TuneTable& table, uint32_t id, uint32_t neuron_begin,
                 std::vector<EntryEdit>* edits);

// Puts all trained entries back but the `count` that change most, each weighed by how often the
// rows look it up.
void KeepLargestChanges(TuneTrainer& trainer, TuneNetwork* network, absl::Span<const uint32_t> rows,
                        uint64_t count);

// Commits the edits if they improve anything, are asked for and the branch still stands at `head`,
// and puts the commit's id in the report. Checkpoints are removed unless an error leaves the same
// command a chance. Aborted, with what to do, when the branch moved: these entries will never be
// committed.
absl::Status FinishTuned(const std::string& store, const TuneOptions& options,
                         const std::string& head, absl::Span<const EntryEdit> edits,
                         const std::vector<std::string>& checkpoints, TuneReport* report);

}  // namespace lutdb
