// From what people ask for (real values, sums, factors) to entries: rounds to the step of the
// neuron and refuses what an entry cannot hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/patch_reader.h"
#include "lutdb/history.h"
#include "lutdb/store.h"

namespace lutdb::cli {

class EntryEdits {
 public:
  // Relative entries are relative to what `store` reads. unit: what PatchEntry::number counts
  // ("p.jsonl line"); empty: numbers are not named. The store outlives the object.
  EntryEdits(const Store& store, std::string unit);

  // OutOfRange names the entry, and its range in real units and as raw entries.
  absl::Status Add(const PatchEntry& entry);
  absl::StatusOr<std::vector<EntryEdit>> Finish();

  // The step of a neuron.
  absl::StatusOr<float> Step(uint32_t table, uint32_t neuron);

 private:
  absl::Status Resolve();
  absl::Status Append(const PatchEntry& entry, int16_t before);

  const Store& store_;
  const std::string unit_;
  const uint64_t edits_max_;
  std::vector<std::vector<float>> steps_;  // of the tables named so far
  std::vector<PatchEntry> waiting_;
  std::vector<EntryEdit> edits_;
};

// Steps of all neurons of a table.
absl::StatusOr<std::vector<float>> StepsOf(const Store& store, uint32_t table);

}  // namespace lutdb::cli
