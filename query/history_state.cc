#include "query/history_state.h"

#include <algorithm>

#include "base/status.h"
#include "query/lookup.h"
#include "query/workers.h"

namespace lutdb {
namespace {

constexpr uint64_t kCacheBytes = 32 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<History::State>> History::State::Open(
    const std::string& path, const HistoryOptions& options) {
  auto state = std::make_unique<State>(path);
  state->options = options;
  state->feed = CommitFeed::Of(path);
  LUTDB_RETURN_IF_ERROR(state->Reopen());
  return state;
}

History::State::~State() {
  (void)Settle();  // who finds the values missing looks them up
}

absl::Status History::State::Reopen() {
  LUTDB_RETURN_IF_ERROR(Settle());
  rocks = nullptr;  // where this fails, what is open can still be read
  db::OpenOptions open;
  open.wait_seconds = options.wait_seconds;
  open.cache_bytes = kCacheBytes;
  LUTDB_ASSIGN_OR_RETURN(db::OpenedStore opened,
                         db::OpenStore(path, options.write ? db::Access::kWrite : db::Access::kRead,
                                       open, store == nullptr ? nullptr : &store->lock()));
  db::Rocks* const writable = options.write ? opened.rocks.get() : nullptr;
  LUTDB_ASSIGN_OR_RETURN(std::unique_ptr<StoreReader> next, StoreReader::Over(std::move(opened)));
  heads.clear();
  last_commit = {};
  reader = std::make_unique<HistoryReader>(*next);
  store = std::move(next);
  rocks = writable;
  return absl::OkStatus();
}

absl::Status History::State::CheckWritable() const {
  if (!options.write) return FailedPrecondition("{}: the history was opened for reading", path);
  if (rocks == nullptr) return FailedPrecondition("{}: the store did not open again", path);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Edits>> History::State::Head(const std::string& branch) {
  if (const auto it = heads.find(branch); it != heads.end() && it->second != nullptr) {
    return it->second;
  }
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, history().BranchHead(branch));
  LUTDB_RETURN_IF_ERROR(Settle());
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history().FromBase(commit));
  if (rocks != nullptr) LUTDB_RETURN_IF_ERROR(Complete(commit));
  return heads[branch] = Edits().With(changes, commit, geometries());
}

std::string History::State::Where(uint32_t table, const DeltaPlace& place) const {
  return fmt::format("{}[{}, {}, {}]", store->spec(table).name, place.neuron, place.chunk,
                     place.code);
}

absl::Status History::State::CheckEdit(const EntryEdit& edit) const {
  if (edit.table >= geometries().size()) return OutOfRange("there is no table {}", edit.table);
  const TableGeometry& geometry = geometries()[edit.table];
  if (edit.neuron >= geometry.neurons() || edit.chunk >= geometry.chunks() ||
      edit.code >= geometry.codes(edit.chunk)) {
    return OutOfRange("{} does not exist", Where(edit.table, {edit.neuron, edit.chunk, edit.code}));
  }
  const int32_t limit = EntryLimit(geometry.entry());
  if (edit.value < -limit || edit.value > limit) {
    return InvalidArgument("{} cannot be {}: {} entries lie within -{} .. {}",
                           Where(edit.table, {edit.neuron, edit.chunk, edit.code}), edit.value,
                           Name(geometry.entry()), limit, limit);
  }
  return absl::OkStatus();
}

absl::StatusOr<TileChanges> History::State::NewValues(absl::Span<const EntryEdit> edits) const {
  TileChanges changes;
  for (const EntryEdit& edit : edits) {
    LUTDB_RETURN_IF_ERROR(CheckEdit(edit));
    const TableGeometry& geometry = geometries()[edit.table];
    changes[TileOf(geometry, edit.table, edit.neuron, edit.chunk)].push_back(
        {DeltaIndex(geometry, edit.neuron, edit.chunk, edit.code), 0,
         static_cast<int16_t>(edit.value)});
  }
  for (auto& [tile, deltas] : changes) {
    deltas.shrink_to_fit();
    std::sort(deltas.begin(), deltas.end(),
              [](const EntryDelta& a, const EntryDelta& b) { return a.index < b.index; });
    const auto twice = std::adjacent_find(
        deltas.begin(), deltas.end(),
        [](const EntryDelta& a, const EntryDelta& b) { return a.index == b.index; });
    if (twice != deltas.end()) {
      return InvalidArgument(
          "{} is given twice; name each entry once",
          Where(tile.table, PlaceOf(geometries()[tile.table], tile, twice->index)));
    }
  }
  return changes;
}

absl::StatusOr<TileChanges> History::State::Against(const Edits& head, TileChanges changes) const {
  LUTDB_RETURN_IF_ERROR(FillValuesBefore(*store, head, &changes));
  DropUnchanged(&changes);
  return changes;
}

absl::Status History::State::Put(const std::string& key, const std::string& value, bool is_delete) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  return Write({{db::Family::kHistory, key, value, is_delete}});
}

std::vector<EntryChange> History::State::List(const TileChanges& changes) const {
  std::vector<EntryChange> list;
  for (const auto& [tile, deltas] : changes) {
    for (const EntryDelta& delta : deltas) {
      const DeltaPlace place = PlaceOf(geometries()[tile.table], tile, delta.index);
      list.push_back(
          {tile.table, place.neuron, place.chunk, place.code, delta.before, delta.after});
    }
  }
  return list;
}

}  // namespace lutdb
