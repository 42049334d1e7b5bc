// The one seam between the engine's kernels and storage: pin these rows of this table, use them,
// let go. Whether rows come from the arena, from decoded tiles or from RocksDB is decided behind
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "coding/levels.h"
#include "query/edits.h"
#include "query/store_reader.h"
#include "query/table_slopes.h"

namespace lutdb {

struct RowSourceOptions {
  uint64_t arena_bytes = 0;  // 0: off
  unsigned threads = 1;      // used inside one Pin to fetch and decode
};

// One row of a table, by what names it.
struct ChunkCode {
  uint32_t chunk = 0;
  uint32_t code = 0;
};

// Rows pinned by one Pin call. Reused from call to call so that a warm pin allocates nothing;
// not thread-safe itself, but its rows may be read by many threads until Release or the next Pin.
class PinnedRows {
 public:
  PinnedRows();
  ~PinnedRows();
  PinnedRows(const PinnedRows&) = delete;

  size_t size() const;  // rows pinned
  const void* const* rows()
      const;                    // entry of neuron 0 of each row; null where all entries are zero
  const int8_t* signs() const;  // +1 / -1 per row, or null when all are +1
  // Edited entries that the rows do not have yet: value - base is to be added for the neuron.
  absl::Span<const EntryEditValue> additions() const;
  // Which of rows() each addition belongs to; ascending.
  absl::Span<const uint32_t> addition_rows() const;
  void Release();

 private:
  friend class RowSource;
  struct State;
  std::unique_ptr<State> state_;
};

struct ArenaStats {
  uint64_t limit_bytes = 0;
  uint64_t used_bytes = 0;
  uint64_t hits = 0;       // rows served from the arena
  uint64_t misses = 0;     // rows that had to be made
  uint64_t fills = 0;      // rows put into the arena
  uint64_t evictions = 0;  // rows dropped from it
  bool owned = false;      // false: off, or another process has it
};

// Serves rows of all tables of one store. Pin is thread-safe with different PinnedRows.
class RowSource {
 public:
  static absl::StatusOr<std::unique_ptr<RowSource>> Create(const StoreReader& store,
                                                           const RowSourceOptions& options);
  ~RowSource();

  // Chunks one Pin may cover, so that rows made for it stay within a bounded scratch memory:
  // callers walk a layer in blocks of at most this many (at least 1).
  uint32_t ChunksPerPin(uint32_t table) const;

  // Rows one PinCodes may ask for, for the same reason (at least 1).
  uint64_t RowsPerPin(uint32_t table) const;

  // Bytes of a row of the first table together with those of the others, when each lies directly
  // behind that of the table before it (padded to 64 bytes), as long as the source lives; 0
  // otherwise. Rows of the first table that are pinned without edits are then rows of them all.
  uint64_t SideBySide(absl::Span<const uint32_t> tables) const;

  // Pins the rows of chunks [chunk_begin, chunk_begin + codes.size()) for the given codes. Row
  // pointers are 64-byte aligned, each row has geometry.neurons() entries readable to the next
  // multiple of 64 bytes. edits: of the commit to be read (null: the base), held by the caller
  // until Release.
  absl::Status Pin(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                   PinnedRows* pinned, const Edits* edits = nullptr);

  // The same for any codes of any chunks: what many vectors look up together. `wanted` ascends by
  // chunk, then by code, without repeats; rows() are in its order. A row that serves two codes of a
  // mirrored table is fetched once.
  absl::Status PinCodes(uint32_t table, absl::Span<const ChunkCode> wanted, PinnedRows* pinned,
                        const Edits* edits = nullptr);

  // The slopes of a table, for batches that use many of its codes; read on the first call, kept
  // within the arena's bytes. Null: the table has none, or there is no room for them. `vectors`:
  // how many will be served; null as well when rows one by one cost less. Thread-safe; valid as
  // long as the source.
  const TableSlopes* SlopesFor(uint32_t table, size_t vectors);

  ArenaStats stats() const;

 private:
  struct State;
  explicit RowSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
