#include "query/row_source.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "base/status.h"
#include "lutdb/options.h"
#include "query/arena.h"
#include "query/row_places.h"
#include "query/row_reader.h"
#include "query/workers.h"

namespace lutdb {
namespace {

// Memory of the rows that one Pin may have to make.
constexpr uint64_t kScratchBytes = 32 << 20;

}  // namespace

struct PinnedRows::State {
  std::vector<const void*> rows;
  std::vector<int8_t> signs;
  bool any_negated = false;
  std::vector<RowPlace> places;          // one per row
  std::vector<uint32_t> missing_chunks;  // of a resident table
  std::vector<RowCache::Row> wanted;     // of a row cache: the rows that are not zero
  std::vector<RowRequest> requests;      // rows to make, in pinned order
  std::vector<size_t> requested;         // their indices in `rows`
  std::vector<EntryEditValue> additions;
  AlignedArray<uint8_t> scratch;
  uint64_t scratch_bytes = 0;
  RowPins pins;
  std::shared_ptr<PinRegistry> registry;  // where pins is listed, or null

  ~State() { JoinRegistry(nullptr); }

  // Leaves the registry of before, if another source is used now.
  void JoinRegistry(std::shared_ptr<PinRegistry> next) {
    if (next == registry) return;
    if (registry != nullptr) {
      const std::unique_lock<std::shared_mutex> lock(registry->mutex);
      std::erase(registry->pins, &pins);
    }
    registry = std::move(next);
    if (registry != nullptr) {
      const std::unique_lock<std::shared_mutex> lock(registry->mutex);
      registry->pins.push_back(&pins);
    }
  }

  // Room for the rows asked for; kept from Pin to Pin.
  void PlaceRequests(uint64_t stride_bytes) {
    const uint64_t bytes = requests.size() * stride_bytes;
    if (bytes > scratch_bytes) {
      scratch.reset();
      scratch = MakeAligned<uint8_t>(bytes);
      scratch_bytes = bytes;
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].out = scratch.get() + i * stride_bytes;
      rows[requested[i]] = requests[i].out;
    }
  }
};

PinnedRows::PinnedRows() : state_(std::make_unique<State>()) {}
PinnedRows::~PinnedRows() { Release(); }
size_t PinnedRows::size() const { return state_->rows.size(); }
const void* const* PinnedRows::rows() const { return state_->rows.data(); }
const int8_t* PinnedRows::signs() const {
  return state_->any_negated ? state_->signs.data() : nullptr;
}
absl::Span<const EntryEditValue> PinnedRows::additions() const { return state_->additions; }
void PinnedRows::Release() {
  state_->additions.clear();
  state_->rows.clear();
  state_->any_negated = false;
  state_->pins.active.store(false, std::memory_order_release);
}

struct RowSource::State {
  State(const StoreReader& store_in, unsigned threads)
      : store(store_in), workers(threads), reader(store, workers) {}
  const StoreReader& store;
  Workers workers;
  RowReader reader;
  std::vector<RowPlaces> places;
  std::unique_ptr<Arena> arena;  // null: off

  absl::Status Check(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes) const;
  absl::Status PinResident(ResidentTable* resident, uint32_t chunk_begin, PinnedRows::State* pin);
  void PinCached(RowCache* cache, uint32_t table, PinnedRows::State* pin);
  absl::Status MakeMissing(uint32_t table, uint32_t chunk_begin, PinnedRows::State* pin);
  void PutEdits(const TableEdits& edits, uint32_t table, uint32_t chunk_begin,
                absl::Span<const uint16_t> codes, PinnedRows::State* pin) const;
};

RowSource::RowSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
RowSource::~RowSource() = default;

absl::StatusOr<std::unique_ptr<RowSource>> RowSource::Create(const StoreReader& store,
                                                             const RowSourceOptions& options) {
  auto state = std::make_unique<State>(store, options.threads);
  const size_t tables = store.manifest().tables.size();
  state->places.reserve(tables);
  for (uint32_t table = 0; table < tables; ++table) {
    state->places.emplace_back(store.geometry(table));
  }
  uint64_t arena_bytes = options.arena_bytes;
  if (arena_bytes == OpenStoreOptions::kArenaDefault) arena_bytes = UsableMemoryBytes() / 4;
  if (arena_bytes > 0) {
    state->arena = Arena::Open({.store = &store,
                                .reader = &state->reader,
                                .workers = &state->workers,
                                .places = &state->places},
                               arena_bytes);
  }
  return std::unique_ptr<RowSource>(new RowSource(std::move(state)));
}

uint32_t RowSource::ChunksPerPin(uint32_t table) const {
  const RowPlaces& places = state_->places[table];
  if (state_->arena != nullptr && state_->arena->resident(table) != nullptr) return places.chunks();
  const uint32_t group = state_->store.geometry(table).tile_chunks();
  // Whole groups where possible, so that no record is decoded for two pins.
  uint64_t chunks = std::max<uint64_t>(kScratchBytes / places.stride_bytes(), 1);
  if (chunks > group) chunks = chunks / group * group;
  return static_cast<uint32_t>(std::min<uint64_t>(chunks, places.chunks()));
}

absl::Status RowSource::State::Check(uint32_t table, uint32_t chunk_begin,
                                     absl::Span<const uint16_t> codes) const {
  if (table >= places.size()) return InvalidArgument("{}: no table {}", store.path(), table);
  const RowPlaces& in = places[table];
  if (chunk_begin > in.chunks() || codes.size() > in.chunks() - chunk_begin) {
    return OutOfRange("table {} has {} chunks, not {} from {}", store.spec(table).name, in.chunks(),
                      codes.size(), chunk_begin);
  }
  for (size_t i = 0; i < codes.size(); ++i) {
    const uint32_t chunk = chunk_begin + static_cast<uint32_t>(i);
    if (codes[i] < in.codes(chunk)) continue;
    return OutOfRange("chunk {} of table {} has codes 0 to {}, not {}", chunk,
                      store.spec(table).name, in.codes(chunk) - 1, codes[i]);
  }
  return absl::OkStatus();
}

// In the warm state: one pass of address computations.
absl::Status RowSource::State::PinResident(ResidentTable* resident, uint32_t chunk_begin,
                                           PinnedRows::State* pin) {
  const size_t count = pin->rows.size();
  uint64_t missed = 0;
  if (!resident->complete()) {
    pin->missing_chunks.clear();
    for (size_t i = 0; i < count; ++i) {
      const uint32_t chunk = chunk_begin + static_cast<uint32_t>(i);
      if (!pin->places[i].zero && !resident->Has(chunk)) pin->missing_chunks.push_back(chunk);
    }
    missed = pin->missing_chunks.size();
    if (missed > 0) LUTDB_RETURN_IF_ERROR(resident->Fill(pin->missing_chunks));
  }
  const bool complete = resident->complete();
  uint64_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    if (pin->places[i].zero) continue;
    ++used;
    if (complete || resident->Has(chunk_begin + static_cast<uint32_t>(i))) {
      pin->rows[i] = resident->At(pin->places[i].row);
    }
  }
  arena->counters().misses.fetch_add(missed, std::memory_order_relaxed);
  arena->counters().hits.fetch_add(used - missed, std::memory_order_relaxed);
  return absl::OkStatus();
}

void RowSource::State::PinCached(RowCache* cache, uint32_t table, PinnedRows::State* pin) {
  pin->JoinRegistry(cache->registry());
  pin->wanted.clear();
  for (const RowPlace& place : pin->places) {
    if (!place.zero) pin->wanted.push_back({.row = place.row});
  }
  cache->Find(table, absl::MakeSpan(pin->wanted), &pin->pins);
  size_t next = 0;
  uint64_t hits = 0;
  for (size_t i = 0; i < pin->rows.size(); ++i) {
    if (pin->places[i].zero) continue;
    pin->rows[i] = pin->wanted[next++].entries;
    hits += pin->rows[i] != nullptr;
  }
  arena->counters().hits.fetch_add(hits, std::memory_order_relaxed);
  arena->counters().misses.fetch_add(next - hits, std::memory_order_relaxed);
}

// Rows that no arena had are made in the pin's own memory.
absl::Status RowSource::State::MakeMissing(uint32_t table, uint32_t chunk_begin,
                                           PinnedRows::State* pin) {
  const RowPlaces& in = places[table];
  pin->requests.clear();
  pin->requested.clear();
  for (size_t i = 0; i < pin->rows.size(); ++i) {
    if (pin->rows[i] != nullptr || pin->places[i].zero) continue;
    const uint32_t chunk = chunk_begin + static_cast<uint32_t>(i);
    pin->requests.push_back({.chunk = chunk, .code = in.CodeOf(chunk, pin->places[i].row)});
    pin->requested.push_back(i);
  }
  if (pin->requests.empty()) return absl::OkStatus();
  pin->PlaceRequests(in.stride_bytes());
  const auto start = FillBudget::Clock::now();
  LUTDB_RETURN_IF_ERROR(reader.ReadRows(table, in, pin->requests));
  if (arena == nullptr) return absl::OkStatus();
  arena->budget().Earn(FillBudget::Clock::now() - start);
  RowCache* cache = arena->cache(table);
  if (cache == nullptr) return absl::OkStatus();
  pin->wanted.clear();
  for (size_t i = 0; i < pin->requests.size(); ++i) {
    pin->wanted.push_back(
        {.row = pin->places[pin->requested[i]].row, .entries = pin->requests[i].out});
  }
  cache->Offer(table, pin->wanted);
  return absl::OkStatus();
}

// Rows in which many entries are edited are replaced; of the others the differences are listed. An
// edited code of a mirrored table so gets a row of its own.
void RowSource::State::PutEdits(const TableEdits& edits, uint32_t table, uint32_t chunk_begin,
                                absl::Span<const uint16_t> codes, PinnedRows::State* pin) const {
  const TableGeometry& geometry = store.geometry(table);
  const absl::Span<const uint32_t> edited = edits.chunks();
  size_t at = static_cast<size_t>(std::lower_bound(edited.begin(), edited.end(), chunk_begin) -
                                  edited.begin());
  for (; at < edited.size() && edited[at] - chunk_begin < codes.size(); ++at) {
    const size_t i = edited[at] - chunk_begin;
    const RowEdits* row = edits.at(at).Find(codes[i]);
    if (row == nullptr) continue;
    if (row->dense(geometry.neurons())) {
      pin->rows[i] = row->Whole(geometry, pin->rows[i], pin->signs[i] < 0);
      pin->signs[i] = 1;
    } else {
      pin->additions.insert(pin->additions.end(), row->entries().begin(), row->entries().end());
    }
  }
}

absl::Status RowSource::Pin(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                            PinnedRows* pinned, const Edits* edits) {
  State& state = *state_;
  PinnedRows::State& pin = *pinned->state_;
  pinned->Release();
  LUTDB_RETURN_IF_ERROR(state.Check(table, chunk_begin, codes));
  const RowPlaces& places = state.places[table];
  pin.rows.assign(codes.size(), nullptr);
  pin.signs.resize(codes.size());
  pin.places.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    pin.places[i] = places.Find(chunk_begin + static_cast<uint32_t>(i), codes[i]);
    pin.signs[i] = pin.places[i].negated ? -1 : 1;
    pin.any_negated |= pin.places[i].negated && !pin.places[i].zero;
  }
  ResidentTable* resident = state.arena == nullptr ? nullptr : state.arena->resident(table);
  RowCache* cache = state.arena == nullptr ? nullptr : state.arena->cache(table);
  absl::Status status;
  if (resident != nullptr) status = state.PinResident(resident, chunk_begin, &pin);
  if (cache != nullptr) state.PinCached(cache, table, &pin);
  const bool whole = resident != nullptr && resident->complete();
  if (status.ok() && !whole) status = state.MakeMissing(table, chunk_begin, &pin);
  if (!status.ok()) {
    pinned->Release();
    return status;
  }
  const TableEdits* edited = edits == nullptr ? nullptr : edits->table(table);
  if (edited != nullptr) state.PutEdits(*edited, table, chunk_begin, codes, &pin);
  return absl::OkStatus();
}

ArenaStats RowSource::stats() const {
  ArenaStats stats;
  if (state_->arena == nullptr) return stats;
  const ArenaCounters& counters = state_->arena->counters();
  stats.limit_bytes = state_->arena->limit_bytes();
  stats.used_bytes = counters.used_bytes;
  stats.hits = counters.hits;
  stats.misses = counters.misses;
  stats.fills = counters.fills;
  stats.evictions = counters.evictions;
  stats.owned = true;
  return stats;
}

}  // namespace lutdb
