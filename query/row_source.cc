#include "query/row_source.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
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
  std::vector<RowRequest> requests;  // rows to make, in pinned order
  std::vector<size_t> requested;     // their indices in `rows`
  AlignedArray<uint8_t> scratch;
  uint64_t scratch_bytes = 0;

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
void PinnedRows::Release() {
  state_->rows.clear();
  state_->any_negated = false;
}

struct RowSource::State {
  State(const StoreReader& store_in, unsigned threads)
      : store(store_in), workers(threads), reader(store, workers) {}
  const StoreReader& store;
  Workers workers;
  RowReader reader;
  std::vector<RowPlaces> places;
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
  return std::unique_ptr<RowSource>(new RowSource(std::move(state)));
}

uint32_t RowSource::ChunksPerPin(uint32_t table) const {
  const RowPlaces& places = state_->places[table];
  const uint32_t group = state_->store.geometry(table).tile_chunks();
  // Whole groups where possible, so that no record is decoded for two pins.
  uint64_t chunks = std::max<uint64_t>(kScratchBytes / places.stride_bytes(), 1);
  if (chunks > group) chunks = chunks / group * group;
  return static_cast<uint32_t>(std::min<uint64_t>(chunks, places.chunks()));
}

absl::Status RowSource::Pin(uint32_t table, uint32_t chunk_begin, absl::Span<const uint16_t> codes,
                            PinnedRows* pinned) {
  if (table >= state_->places.size()) return InvalidArgument("no table {}", table);
  const RowPlaces& places = state_->places[table];
  if (chunk_begin > places.chunks() || codes.size() > places.chunks() - chunk_begin) {
    return OutOfRange("table {} has chunks 0 to {}, not {} to {}", state_->store.spec(table).name,
                      places.chunks(), chunk_begin, chunk_begin + codes.size());
  }
  PinnedRows::State& pin = *pinned->state_;
  pinned->Release();
  pin.rows.resize(codes.size());
  pin.signs.resize(codes.size());
  pin.requests.clear();
  pin.requested.clear();
  for (size_t i = 0; i < codes.size(); ++i) {
    const uint32_t chunk = chunk_begin + static_cast<uint32_t>(i);
    if (codes[i] >= places.codes(chunk)) {
      pinned->Release();
      return OutOfRange("chunk {} of table {} has codes 0 to {}, not {}", chunk,
                        state_->store.spec(table).name, places.codes(chunk) - 1, codes[i]);
    }
    const RowPlace place = places.Find(chunk, codes[i]);
    pin.rows[i] = nullptr;
    pin.signs[i] = place.negated ? -1 : 1;
    if (place.zero) continue;
    pin.any_negated |= place.negated;
    pin.requests.push_back({.chunk = chunk, .code = places.CodeOf(chunk, place.row)});
    pin.requested.push_back(i);
  }
  pin.PlaceRequests(places.stride_bytes());
  absl::Status status = state_->reader.ReadRows(table, places, pin.requests);
  if (!status.ok()) pinned->Release();
  return status;
}

ArenaStats RowSource::stats() const { return {}; }

}  // namespace lutdb
