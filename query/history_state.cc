#include "query/history_state.h"

#include <algorithm>
#include <ctime>

#include "base/check.h"
#include "base/status.h"
#include "query/lookup.h"
#include "query/workers.h"

namespace lutdb {
namespace {

constexpr uint64_t kCacheBytes = 32 << 20;
// A branch that is longer than this since its last snapshot gets one: opening it then costs what
// differs from the base, not what ever happened. A snapshot writes all that differs, so it waits
// until half as much was committed since the last.
constexpr uint64_t kChainCommitsMax = 256;
constexpr uint64_t kChainEntriesMax = 1 << 16;

}  // namespace

absl::StatusOr<std::unique_ptr<History::State>> History::State::Open(
    const std::string& path, const HistoryOptions& options) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->options = options;
  state->feed = CommitFeed::Of(path);
  LUTDB_RETURN_IF_ERROR(state->Reopen());
  return state;
}

absl::Status History::State::Reopen() {
  heads.clear();
  reader.reset();
  store.reset();
  rocks = nullptr;
  db::OpenOptions open;
  open.wait_seconds = options.wait_seconds;
  open.cache_bytes = kCacheBytes;
  LUTDB_ASSIGN_OR_RETURN(
      db::OpenedStore opened,
      db::OpenStore(path, options.write ? db::Access::kWrite : db::Access::kRead, open));
  if (options.write) rocks = opened.rocks.get();
  LUTDB_ASSIGN_OR_RETURN(store, StoreReader::Over(std::move(opened)));
  reader = std::make_unique<HistoryReader>(store->rocks(), geometries(), path);
  return absl::OkStatus();
}

absl::Status History::State::CheckWritable() const {
  if (!options.write) return FailedPrecondition("{}: the history was opened for reading", path);
  if (rocks == nullptr) return FailedPrecondition("{}: the store did not open again", path);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Edits>> History::State::Head(const std::string& branch) {
  if (const auto it = heads.find(branch); it != heads.end()) return it->second;
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, history().BranchHead(branch));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history().FromBase(commit));
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

absl::StatusOr<TileChanges> History::State::Sorted(TileChanges changes) const {
  for (auto it = changes.begin(); it != changes.end();) {
    TileDeltas& deltas = it->second;
    std::sort(deltas.begin(), deltas.end(),
              [](const EntryDelta& a, const EntryDelta& b) { return a.index < b.index; });
    const auto twice = std::adjacent_find(
        deltas.begin(), deltas.end(),
        [](const EntryDelta& a, const EntryDelta& b) { return a.index == b.index; });
    if (twice != deltas.end()) {
      const uint32_t table = it->first.table;
      return InvalidArgument("{} is given twice; name each entry once",
                             Where(table, PlaceOf(geometries()[table], it->first, twice->index)));
    }
    std::erase_if(deltas, [](const EntryDelta& d) { return d.before == d.after; });
    it = deltas.empty() ? changes.erase(it) : std::next(it);
  }
  return changes;
}

absl::StatusOr<TileChanges> History::State::Against(const std::string& branch,
                                                    absl::Span<const EntryEdit> edits) {
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, Head(branch));
  std::vector<EntryKey> keys;
  keys.reserve(edits.size());
  for (const EntryEdit& edit : edits) {
    LUTDB_RETURN_IF_ERROR(CheckEdit(edit));
    keys.push_back({edit.table, edit.neuron, edit.chunk, edit.code});
  }
  std::vector<int16_t> base(edits.size());
  LUTDB_RETURN_IF_ERROR(GatherEntries(*store, Workers(1), keys, base.data()));
  TileChanges changes;
  for (size_t i = 0; i < edits.size(); ++i) {
    const EntryEdit& edit = edits[i];
    const TableGeometry& geometry = geometries()[edit.table];
    const int16_t before = head->Value(edit.table, edit.neuron, edit.chunk, edit.code, base[i]);
    changes[TileOf(geometry, edit.table, edit.neuron, edit.chunk)].push_back(
        {DeltaIndex(geometry, edit.neuron, edit.chunk, edit.code), before,
         static_cast<int16_t>(edit.value)});
  }
  return Sorted(std::move(changes));
}

absl::StatusOr<CommitRecord> History::State::Describe(const CommitOptions& options,
                                                      const std::string& parent,
                                                      const std::string& second_parent,
                                                      const TileChanges& changes) const {
  CommitRecord commit;
  commit.info.author = options.author;
  commit.info.message = options.message;
  commit.info.notes = options.notes;
  commit.info.time = options.time != 0 ? options.time : static_cast<int64_t>(std::time(nullptr));
  commit.info.entries = CountEntries(changes);
  commit.chain_commits = 1;
  commit.chain_entries = commit.info.entries;
  if (!parent.empty()) {
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord before, history().ReadCommit(parent));
    commit.info.parents.push_back(parent);
    commit.depth = before.depth + 1;
    commit.chain_commits += before.chain_commits;
    commit.chain_entries += before.chain_entries;
  }
  if (!second_parent.empty()) {
    LUTDB_CHECK(!parent.empty());  // a branch still at the build is moved forward, not merged
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord other, history().ReadCommit(second_parent));
    commit.info.parents.push_back(second_parent);
    commit.depth = std::max(commit.depth, other.depth + 1);
  }
  commit.info.id = CommitId(commit, changes);
  return commit;
}

absl::StatusOr<CommitInfo> History::State::Append(const std::string& branch,
                                                  const TileChanges& changes,
                                                  const CommitOptions& options,
                                                  const std::string& second_parent) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, Head(branch));
  const std::string parent = head->commit();
  if (options.parent != nullptr && *options.parent != parent) {
    return absl::AbortedError(
        fmt::format("branch \"{}\" of {} has moved on to {}; nothing was committed", branch,
                    store->path(), parent.empty() ? "the build" : parent.substr(0, 12)));
  }
  LUTDB_ASSIGN_OR_RETURN(CommitRecord commit, Describe(options, parent, second_parent, changes));
  const std::string& id = commit.info.id;
  std::shared_ptr<const Edits> next = head->With(changes, id, geometries());

  std::vector<db::Write> writes;
  const auto put = [&](std::string key, std::string value) {
    writes.push_back({db::Family::kHistory, std::move(key), std::move(value)});
  };
  const auto put_tiles = [&](const std::string& prefix, const TileChanges& tiles) {
    std::string bytes;
    for (const auto& [tile, deltas] : tiles) {
      EncodePatch(deltas, &bytes);
      put(prefix + TileSuffix(tile), bytes);
    }
  };
  put_tiles(PatchPrefix(id), changes);
  const bool costly = commit.chain_entries > kChainEntriesMax &&
                      commit.chain_entries > 4 * std::max(next->entries(), commit.info.entries);
  const bool long_enough =
      commit.chain_commits > kChainCommitsMax && commit.chain_entries * 2 > next->entries();
  if (long_enough || costly) {
    put_tiles(SnapshotPrefix(id), next->Changes(geometries()));
    LUTDB_ASSIGN_OR_RETURN(std::string base, history().BaseCommit());
    put(SnapshotKey(id), std::move(base));
    commit.chain_commits = 0;
    commit.chain_entries = 0;
  }
  put(CommitKey(id), SerializeCommit(commit));
  put(BranchKey(branch), id);
  LUTDB_RETURN_IF_ERROR(rocks->Apply(writes));
  heads[branch] = std::move(next);
  LUTDB_RETURN_IF_ERROR(Announce({.branch = branch,
                                  .parent = parent,
                                  .commit = id,
                                  .changes = std::make_shared<const TileChanges>(changes)}));
  return commit.info;
}

absl::Status History::State::Announce(CommitFeed::Item item) {
  auto counter = RaiseCommitCounter(CommitCounterPath(path));
  if (!counter.ok()) {
    return Unavailable("commit {} is durable, but other processes were not told: {}", item.commit,
                       Message(counter.status()));
  }
  item.counter = *counter;
  feed->Publish(std::move(item));
  return absl::OkStatus();
}

absl::Status History::State::Forward(const std::string& branch, const std::string& commit) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, Head(branch));
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, history().Difference(head->commit(), commit));
  LUTDB_RETURN_IF_ERROR(Put(BranchKey(branch), commit));
  heads[branch] = head->With(changes, commit, geometries());
  return Announce({.branch = branch,
                   .parent = head->commit(),
                   .commit = commit,
                   .changes = std::make_shared<const TileChanges>(std::move(changes))});
}

absl::Status History::State::Put(const std::string& key, const std::string& value, bool is_delete) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  const std::vector<db::Write> writes = {{db::Family::kHistory, key, value, is_delete}};
  return rocks->Apply(writes);
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
