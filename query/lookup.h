// Entries of the base by key: the slow and exact way into a table, for people and tools. Every
// record that a selection touches is read once, in batches sorted by key, and decoded by as many
// threads as pay.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "lutdb/store.h"
#include "query/edits.h"
#include "query/store_reader.h"
#include "query/workers.h"

namespace lutdb {

// Index lists of one table; each is ascending or descending without repeats, as slices are, and in
// range; every code exists in every chunk.
struct Selection {
  uint32_t table = 0;
  std::vector<uint32_t> neurons = {};
  std::vector<uint32_t> chunks = {};
  std::vector<uint32_t> codes = {};
};

// Writes neurons x chunks x codes entries, codes fastest. DataLoss when a record is missing or
// damaged; what `out` holds is then undefined.
absl::Status GatherSelection(const StoreReader& store, const Workers& workers,
                             const Selection& selection, int16_t* out);

// One entry per key, in the keys' order; keys may repeat. OutOfRange for a key that does not exist.
absl::Status GatherEntries(const StoreReader& store, const Workers& workers,
                           absl::Span<const EntryKey> keys, int16_t* out);

// Puts the edits of a commit over entries that one of the two above gathered.
void ApplyEdits(const Edits& edits, const Selection& selection, int16_t* out);
void ApplyEdits(const Edits& edits, absl::Span<const EntryKey> keys, int16_t* out);

// Sets the value before of every change to what the entry is at the commit of `edits`.
absl::Status FillValuesBefore(const StoreReader& store, const Edits& edits, TileChanges* changes);

}  // namespace lutdb
