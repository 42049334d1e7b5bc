#include "query/row_source.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <tuple>
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

constexpr uint64_t kRowsPerTask = 16;  // made from slopes in a few microseconds each

// Twice as many codes as can be made from slopes in the time that a row of a vector takes: from the
// arena, and from its record.
constexpr uint64_t kCodesPerWarmRow = 5;
constexpr uint64_t kCodesPerColdRow = 32;

}  // namespace

struct PinnedRows::State {
  std::vector<ChunkCode> keys;  // what was asked for: one per row
  std::vector<const void*> rows;
  std::vector<int8_t> signs;
  bool any_negated = false;
  std::vector<RowPlace> places;          // one per row
  std::vector<uint32_t> missing_chunks;  // of a resident table
  std::vector<uint32_t> order;           // rows to fetch, ascending by place
  std::vector<RowCache::Row> wanted;     // the distinct ones among them
  std::vector<uint32_t> wanted_of;       // order[i] is wanted[wanted_of[i]]
  std::vector<RowRequest> requests;      // rows to make
  std::vector<EntryEditValue> additions;
  std::vector<uint32_t> addition_rows;
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

  // Lists the places of rows that are still to be had, each once and ascending.
  void ListWanted() {
    order.clear();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] == nullptr && !places[i].zero) order.push_back(static_cast<uint32_t>(i));
    }
    const auto before = [&](uint32_t a, uint32_t b) { return places[a].row < places[b].row; };
    if (!std::is_sorted(order.begin(), order.end(), before)) {
      std::sort(order.begin(), order.end(), before);
    }
    wanted.clear();
    wanted_of.clear();
    for (const uint32_t i : order) {
      if (wanted.empty() || wanted.back().row != places[i].row) {
        wanted.push_back({.row = places[i].row});
      }
      wanted_of.push_back(static_cast<uint32_t>(wanted.size() - 1));
    }
  }

  // Gives the rows of `order` what was found or made for them.
  void TakeWanted() {
    for (size_t i = 0; i < order.size(); ++i) rows[order[i]] = wanted[wanted_of[i]].entries;
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
      wanted[i].entries = requests[i].out;
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
absl::Span<const uint32_t> PinnedRows::addition_rows() const { return state_->addition_rows; }
void PinnedRows::Release() {
  state_->additions.clear();
  state_->addition_rows.clear();
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

  // What batches are served from.
  struct KeptSlopes {
    std::atomic<bool> asked{false};  // before, with whatever result
    std::unique_ptr<const TableSlopes> slopes;
  };
  const TableSlopes* KeepSlopes(uint32_t table);
  std::mutex slopes_mutex;
  std::vector<KeptSlopes> slopes;  // by table

  absl::Status Check(uint32_t table, absl::Span<const ChunkCode> keys) const;
  absl::Status Pin(uint32_t table, PinnedRows* pinned, const Edits* edits);
  absl::Status PinKeys(uint32_t table, PinnedRows::State* pin, const Edits* edits);
  bool PinWarm(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
               PinnedRows::State* pin);
  absl::StatusOr<bool> PinResident(uint32_t table, PinnedRows::State* pin);
  void PinCached(RowCache* cache, uint32_t table, PinnedRows::State* pin);
  absl::Status MakeMissing(uint32_t table, PinnedRows::State* pin);
  absl::Status MakeRows(uint32_t table, absl::Span<const RowRequest> requests);
  void PutEdits(const TableEdits& edits, uint32_t table, PinnedRows::State* pin) const;
};

RowSource::RowSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
RowSource::~RowSource() = default;

absl::StatusOr<std::unique_ptr<RowSource>> RowSource::Create(const StoreReader& store,
                                                             const RowSourceOptions& options) {
  auto state = std::make_unique<State>(store, options.threads);
  const size_t tables = store.manifest().tables.size();
  state->places.reserve(tables);
  state->slopes = std::vector<State::KeptSlopes>(tables);
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

uint64_t RowSource::SideBySide(absl::Span<const uint32_t> tables) const {
  const Arena* arena = state_->arena.get();
  const ResidentPanel* panel =
      arena == nullptr || tables.empty() ? nullptr : arena->resident(tables.front());
  if (panel == nullptr || !panel->complete()) return 0;
  uint64_t end = arena->offset(tables.front());
  const uint64_t begin = end;
  for (const uint32_t table : tables) {
    if (arena->resident(table) != panel || arena->offset(table) != end) return 0;
    end += state_->places[table].stride_bytes();
  }
  return end - begin;
}

uint64_t RowSource::RowsPerPin(uint32_t table) const {
  const ResidentPanel* resident =
      state_->arena == nullptr ? nullptr : state_->arena->resident(table);
  if (resident != nullptr && resident->complete()) return std::numeric_limits<uint64_t>::max();
  return std::max<uint64_t>(kScratchBytes / state_->places[table].stride_bytes(), 1);
}

absl::Status RowSource::State::Check(uint32_t table, absl::Span<const ChunkCode> keys) const {
  const RowPlaces& in = places[table];
  for (size_t i = 0; i < keys.size(); ++i) {
    const ChunkCode key = keys[i];
    if (key.chunk >= in.chunks()) {
      return OutOfRange("table {} has {} chunks, there is no chunk {}", store.spec(table).name,
                        in.chunks(), key.chunk);
    }
    if (key.code >= in.codes(key.chunk)) {
      return OutOfRange("chunk {} of table {} has codes 0 to {}, not {}", key.chunk,
                        store.spec(table).name, in.codes(key.chunk) - 1, key.code);
    }
    if (i > 0 && std::tie(keys[i - 1].chunk, keys[i - 1].code) >= std::tie(key.chunk, key.code)) {
      return InvalidArgument("codes to be pinned must ascend; that of chunk {} does not",
                             key.chunk);
    }
  }
  return absl::OkStatus();
}

// A whole table in the arena: one pass of address computations. False: it is not, or a code is
// wrong.
bool RowSource::State::PinWarm(uint32_t table, uint32_t chunk_begin,
                               absl::Span<const uint16_t> codes, PinnedRows::State* pin) {
  const ResidentPanel* resident = arena == nullptr ? nullptr : arena->resident(table);
  if (resident == nullptr || !resident->complete()) return false;
  const RowPlaces& in = places[table];
  const size_t count = codes.size();
  pin->rows.resize(count);
  pin->signs.resize(count);
  const void** rows = pin->rows.data();
  int8_t* signs = pin->signs.data();
  const uint8_t* const base = resident->At(0) + arena->offset(table);
  const uint64_t row_bytes = resident->row_bytes();
  size_t zeros = 0;
  size_t negated = 0;
  // Without branches: which codes are negated or zero cannot be foretold.
  const auto take = [=, &zeros, &negated](size_t i, const RowPlace& place) {
    const uintptr_t kept = uintptr_t{place.zero} - 1;
    rows[i] = reinterpret_cast<const void*>(
        reinterpret_cast<uintptr_t>(base + place.row * row_bytes) & kept);
    signs[i] = static_cast<int8_t>(1 - 2 * int{place.negated});
    zeros += place.zero;
    negated += place.negated;
  };
  if (!in.FindEach(chunk_begin, codes, take)) return false;
  pin->any_negated = negated > 0;
  arena->counters().hits.fetch_add(count - zeros, std::memory_order_relaxed);
  return true;
}

// Whether every row came from the panel. To be asked of nothing else: another thread may make the
// panel complete after rows of it were passed over.
absl::StatusOr<bool> RowSource::State::PinResident(uint32_t table, PinnedRows::State* pin) {
  ResidentPanel* resident = arena->resident(table);
  const size_t count = pin->rows.size();
  uint64_t missed = 0;
  if (!resident->complete()) {
    pin->missing_chunks.clear();
    for (size_t i = 0; i < count; ++i) {
      const uint32_t chunk = pin->keys[i].chunk;
      if (!pin->places[i].zero && !resident->Has(chunk)) pin->missing_chunks.push_back(chunk);
    }
    missed = pin->missing_chunks.size();
    if (missed > 0) {
      arena->Missed(table);
      LUTDB_RETURN_IF_ERROR(resident->Fill(pin->missing_chunks));
    }
  }
  const bool complete = resident->complete();
  uint64_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    if (pin->places[i].zero) continue;
    ++used;
    if (complete || resident->Has(pin->keys[i].chunk)) {
      pin->rows[i] = resident->At(pin->places[i].row) + arena->offset(table);
    }
  }
  arena->counters().misses.fetch_add(missed, std::memory_order_relaxed);
  arena->counters().hits.fetch_add(used - missed, std::memory_order_relaxed);
  return complete;
}

void RowSource::State::PinCached(RowCache* cache, uint32_t table, PinnedRows::State* pin) {
  pin->JoinRegistry(cache->registry());
  pin->ListWanted();
  cache->Find(table, absl::MakeSpan(pin->wanted), &pin->pins);
  pin->TakeWanted();
  uint64_t hits = 0;
  for (const RowCache::Row& row : pin->wanted) hits += row.entries != nullptr;
  arena->counters().hits.fetch_add(hits, std::memory_order_relaxed);
  arena->counters().misses.fetch_add(pin->wanted.size() - hits, std::memory_order_relaxed);
}

// Reads them when they are asked for the first time, if there is room.
const TableSlopes* RowSource::State::KeepSlopes(uint32_t table) {
  KeptSlopes& kept = slopes[table];
  if (kept.asked.load(std::memory_order_acquire)) return kept.slopes.get();
  const std::lock_guard<std::mutex> lock(slopes_mutex);
  if (kept.asked.load(std::memory_order_relaxed)) return kept.slopes.get();
  const uint64_t bytes = TableSlopes::BytesOf(store, table);
  if (bytes > 0 && arena->Reserve(bytes)) {
    // A damaged record is reported by whoever needs it: such a table does without.
    auto read = TableSlopes::Read(store, reader, table);
    if (read.ok()) kept.slopes = *std::move(read);
    if (kept.slopes == nullptr) arena->GiveBack(bytes);
  }
  kept.asked.store(true, std::memory_order_release);
  return kept.slopes.get();
}

// From slopes where an arena has not room for all rows but for those; else from records.
absl::Status RowSource::State::MakeRows(uint32_t table, absl::Span<const RowRequest> requests) {
  const bool tight = arena != nullptr && arena->cache(table) != nullptr;
  const TableSlopes* from = tight ? KeepSlopes(table) : nullptr;
  if (from == nullptr) return reader.ReadRows(table, places[table], requests);
  const uint64_t row_bytes = places[table].stride_bytes();
  return workers.Split(requests.size(), kRowsPerTask, [&](uint64_t begin, uint64_t end) {
    for (const RowRequest& row : requests.subspan(begin, end - begin)) {
      from->Row(row.chunk, row.code, row_bytes, row.out);
    }
    return absl::OkStatus();
  });
}

// Rows that no arena had are made in the pin's own memory.
absl::Status RowSource::State::MakeMissing(uint32_t table, PinnedRows::State* pin) {
  const RowPlaces& in = places[table];
  pin->ListWanted();
  if (pin->wanted.empty()) return absl::OkStatus();
  pin->requests.clear();
  size_t next = 0;
  for (size_t i = 0; i < pin->order.size(); ++i) {
    if (pin->wanted_of[i] != next) continue;
    const uint32_t chunk = pin->keys[pin->order[i]].chunk;
    pin->requests.push_back({.chunk = chunk, .code = in.CodeOf(chunk, pin->wanted[next++].row)});
  }
  pin->PlaceRequests(in.stride_bytes());
  pin->TakeWanted();
  const auto start = FillBudget::Clock::now();
  LUTDB_RETURN_IF_ERROR(MakeRows(table, pin->requests));
  if (arena == nullptr) return absl::OkStatus();
  arena->budget().Earn(FillBudget::Clock::now() - start);
  if (RowCache* cache = arena->cache(table)) cache->Offer(table, pin->wanted);
  return absl::OkStatus();
}

// Rows in which many entries are edited are replaced; of the others the differences are listed,
// also of mirrored tables and of the zero code.
void RowSource::State::PutEdits(const TableEdits& edits, uint32_t table,
                                PinnedRows::State* pin) const {
  const TableGeometry& geometry = store.geometry(table);
  const std::vector<ChunkCode>& keys = pin->keys;
  if (keys.empty()) return;
  auto key = keys.begin();
  edits.ForEach(
      keys.front().chunk, keys.back().chunk + 1, [&](uint32_t chunk, const ChunkEdits& edited) {
        key = std::lower_bound(key, keys.end(), chunk, [](const ChunkCode& a, uint32_t wanted) {
          return a.chunk < wanted;
        });
        for (; key != keys.end() && key->chunk == chunk; ++key) {
          const RowEdits* row = edited.Find(key->code);
          if (row == nullptr) continue;
          const auto i = static_cast<size_t>(key - keys.begin());
          if (row->dense(geometry.neurons())) {
            pin->rows[i] = row->Whole(geometry, pin->rows[i], pin->signs[i] < 0);
            pin->signs[i] = 1;
            continue;
          }
          pin->additions.insert(pin->additions.end(), row->entries().begin(), row->entries().end());
          pin->addition_rows.resize(pin->additions.size(), static_cast<uint32_t>(i));
        }
      });
}

absl::Status RowSource::State::PinKeys(uint32_t table, PinnedRows::State* pin, const Edits* edits) {
  LUTDB_RETURN_IF_ERROR(Check(table, pin->keys));
  const size_t count = pin->keys.size();
  pin->rows.assign(count, nullptr);
  pin->any_negated = false;
  pin->signs.resize(count);
  pin->places.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const RowPlace place = places[table].Find(pin->keys[i].chunk, pin->keys[i].code);
    pin->places[i] = place;
    pin->signs[i] = place.negated ? -1 : 1;
    pin->any_negated |= place.negated && !place.zero;
  }
  const ResidentPanel* resident = arena == nullptr ? nullptr : arena->resident(table);
  RowCache* cache = arena == nullptr ? nullptr : arena->cache(table);
  bool whole = false;
  if (resident != nullptr) {
    LUTDB_ASSIGN_OR_RETURN(whole, PinResident(table, pin));
  }
  if (cache != nullptr) PinCached(cache, table, pin);
  if (!whole) LUTDB_RETURN_IF_ERROR(MakeMissing(table, pin));
  const TableEdits* edited = edits == nullptr ? nullptr : edits->table(table);
  if (edited != nullptr) PutEdits(*edited, table, pin);
  return absl::OkStatus();
}

absl::Status RowSource::State::Pin(uint32_t table, PinnedRows* pinned, const Edits* edits) {
  const absl::Status status = PinKeys(table, pinned->state_.get(), edits);
  if (!status.ok()) pinned->Release();
  return status;
}

absl::Status RowSource::Pin(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                            PinnedRows* pinned, const Edits* edits) {
  pinned->Release();
  if (table >= state_->places.size()) {
    return InvalidArgument("{}: no table {}", state_->store.path(), table);
  }
  const uint32_t chunks = state_->places[table].chunks();
  if (chunk_begin > chunks || codes.size() > chunks - chunk_begin) {
    return OutOfRange("table {} has {} chunks, not {} from {}", state_->store.spec(table).name,
                      chunks, codes.size(), chunk_begin);
  }
  const bool edited = edits != nullptr && edits->table(table) != nullptr;
  if (!edited && state_->PinWarm(table, chunk_begin, codes, pinned->state_.get())) {
    return absl::OkStatus();
  }
  std::vector<ChunkCode>& keys = pinned->state_->keys;
  keys.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    keys[i] = {.chunk = chunk_begin + static_cast<uint32_t>(i), .code = codes[i]};
  }
  return state_->Pin(table, pinned, edits);
}

absl::Status RowSource::PinCodes(uint32_t table, absl::Span<const ChunkCode> wanted,
                                 PinnedRows* pinned, const Edits* edits) {
  pinned->Release();
  if (table >= state_->places.size()) {
    return InvalidArgument("{}: no table {}", state_->store.path(), table);
  }
  pinned->state_->keys.assign(wanted.begin(), wanted.end());
  return state_->Pin(table, pinned, edits);
}

const TableSlopes* RowSource::SlopesFor(uint32_t table, size_t vectors) {
  State& state = *state_;
  if (state.arena == nullptr || table >= state.places.size()) return nullptr;
  // Each vector of a batch saves a row from memory, or from its record; all codes are made for it.
  const ResidentPanel* resident = state.arena->resident(table);
  const bool warm = resident != nullptr && resident->complete();
  const uint64_t codes = state.store.geometry(table).codes_max();
  if (vectors * (warm ? kCodesPerWarmRow : kCodesPerColdRow) < codes * 2) return nullptr;
  return state.KeepSlopes(table);
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
