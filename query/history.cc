// include/lutdb/history.h: checks what callers ask for, then works on HistoryState under one lock.
#include "lutdb/history.h"

#include <algorithm>
#include <mutex>

#include "base/status.h"
#include "query/history_state.h"
#include "query/lookup.h"
#include "query/workers.h"

namespace lutdb {
namespace {

TileId TileOf(const TableGeometry& geometry, const EntryEdit& edit) {
  return {edit.table, edit.chunk / geometry.tile_chunks(), edit.neuron / kBlockNeurons};
}

std::string Where(const StoreReader& reader, uint32_t table, uint32_t neuron, uint32_t chunk,
                  uint32_t code) {
  return fmt::format("{}[{}, {}, {}]", reader.spec(table).name, neuron, chunk, code);
}

absl::Status CheckEdit(const StoreReader& reader, const EntryEdit& edit) {
  if (edit.table >= reader.manifest().tables.size()) {
    return OutOfRange("there is no table {}", edit.table);
  }
  const TableGeometry& geometry = reader.geometry(edit.table);
  if (edit.neuron >= geometry.neurons() || edit.chunk >= geometry.chunks() ||
      edit.code >= geometry.codes(edit.chunk)) {
    return OutOfRange("{} does not exist",
                      Where(reader, edit.table, edit.neuron, edit.chunk, edit.code));
  }
  const int32_t limit = EntryLimit(geometry.entry());
  if (edit.value < -limit || edit.value > limit) {
    return InvalidArgument("{} cannot be {}: {} entries lie within -{} .. {}",
                           Where(reader, edit.table, edit.neuron, edit.chunk, edit.code),
                           edit.value, Name(geometry.entry()), limit, limit);
  }
  return absl::OkStatus();
}

// Value of one entry at the head of a branch, given the branch's deltas of its tile.
int16_t ValueAt(const TileDeltas& head, uint32_t index, int16_t base) {
  const auto it = std::lower_bound(head.begin(), head.end(), index,
                                   [](const EntryDelta& d, uint32_t i) { return d.index < i; });
  return it != head.end() && it->index == index ? it->after : base;
}

}  // namespace

struct History::State {
  mutable std::mutex mutex;
  std::unique_ptr<HistoryState> history;

  const StoreReader& reader() const { return history->reader(); }

  // Edits as changes against the head of a branch; entries that keep their value are left out.
  absl::StatusOr<TileChanges> Against(const std::string& branch,
                                      absl::Span<const EntryEdit> edits) const {
    std::vector<EntryKey> keys;
    keys.reserve(edits.size());
    for (const EntryEdit& edit : edits) {
      LUTDB_RETURN_IF_ERROR(CheckEdit(reader(), edit));
      keys.push_back({edit.table, edit.neuron, edit.chunk, edit.code});
    }
    std::vector<int16_t> base(edits.size());
    LUTDB_RETURN_IF_ERROR(GatherEntries(reader(), Workers(1), keys, base.data()));
    TileChanges changes;
    for (size_t i = 0; i < edits.size(); ++i) {
      const EntryEdit& edit = edits[i];
      const TableGeometry& geometry = reader().geometry(edit.table);
      const TileId tile = TileOf(geometry, edit);
      const uint32_t index = DeltaIndex(geometry, edit.chunk, edit.code, edit.neuron);
      LUTDB_ASSIGN_OR_RETURN(const TileDeltas* head, history->Head(branch, tile));
      changes[tile].push_back({index, ValueAt(*head, index, base[i]), edit.value});
    }
    return Sorted(std::move(changes));
  }

  absl::StatusOr<TileChanges> Sorted(TileChanges changes) const {
    for (auto it = changes.begin(); it != changes.end();) {
      TileDeltas& deltas = it->second;
      std::sort(deltas.begin(), deltas.end(),
                [](const EntryDelta& a, const EntryDelta& b) { return a.index < b.index; });
      const auto twice =
          std::adjacent_find(deltas.begin(), deltas.end(),
                             [](const EntryDelta& a, const auto& b) { return a.index == b.index; });
      if (twice != deltas.end()) {
        const auto place = PlaceOf(reader().geometry(it->first.table), it->first, twice->index);
        return InvalidArgument(
            "{} is given twice; name each entry once",
            Where(reader(), it->first.table, place.neuron, place.chunk, place.code));
      }
      std::erase_if(deltas, [](const EntryDelta& d) { return d.before == d.after; });
      it = deltas.empty() ? changes.erase(it) : std::next(it);
    }
    return changes;
  }
};

History::History(std::unique_ptr<State> state) : state_(std::move(state)) {}
History::~History() = default;

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& store,
                                                       const HistoryOptions& options) {
  auto state = std::make_unique<State>();
  LUTDB_ASSIGN_OR_RETURN(state->history, HistoryState::Open(store, options));
  return std::unique_ptr<History>(new History(std::move(state)));
}

absl::StatusOr<CommitInfo> History::Commit(const std::string& branch,
                                           absl::Span<const EntryEdit> edits,
                                           const CommitOptions& options) {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->history->BranchHead(branch).status());
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, state_->Against(branch, edits));
  if (changes.empty()) {
    return FailedPrecondition("nothing changes: every entry named already has that value");
  }
  return state_->history->Append(branch, std::move(changes), options, "");
}

absl::StatusOr<std::string> History::Resolve(const std::string& ref) const {
  const std::lock_guard lock(state_->mutex);
  return state_->history->Resolve(ref);
}

absl::StatusOr<std::vector<CommitInfo>> History::Log(const std::string& ref,
                                                     uint64_t count_max) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const std::string id, state_->history->Resolve(ref));
  LUTDB_ASSIGN_OR_RETURN(const auto records, state_->history->Ancestry(id, count_max));
  std::vector<CommitInfo> commits;
  for (const CommitRecord& record : records) commits.push_back(record.info);
  return commits;
}

absl::StatusOr<std::vector<EntryChange>> History::Changes(const std::string& commit) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const std::string id, state_->history->Resolve(commit));
  if (id.empty()) return std::vector<EntryChange>();
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state_->history->ReadPatches(id));
  return ListChanges(state_->reader(), changes);
}

absl::StatusOr<std::vector<EntryChange>> History::Diff(const std::string& from,
                                                       const std::string& to) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const std::string a, state_->history->Resolve(from));
  LUTDB_ASSIGN_OR_RETURN(const std::string b, state_->history->Resolve(to));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state_->history->Difference(a, b));
  return ListChanges(state_->reader(), changes);
}

absl::StatusOr<CommitInfo> History::Revert(const std::string& branch, const std::string& commit,
                                           const CommitOptions& options) {
  const std::lock_guard lock(state_->mutex);
  HistoryState& history = *state_->history;
  LUTDB_ASSIGN_OR_RETURN(const std::string head, history.BranchHead(branch));
  LUTDB_ASSIGN_OR_RETURN(const std::string id, history.Resolve(commit));
  LUTDB_ASSIGN_OR_RETURN(const auto ancestors, history.Ancestry(head, UINT64_MAX));
  if (std::none_of(ancestors.begin(), ancestors.end(),
                   [&](const CommitRecord& c) { return c.info.id == id; })) {
    return FailedPrecondition("{} is not part of branch \"{}\"", commit, branch);
  }
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, history.ReadPatches(id));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges later, history.Difference(id, head));
  for (auto& [tile, deltas] : changes) {
    const auto touched = later.find(tile);
    for (EntryDelta& delta : deltas) {
      if (touched != later.end() &&
          ValueAt(touched->second, delta.index, delta.after) != delta.after) {
        const auto place = PlaceOf(state_->reader().geometry(tile.table), tile, delta.index);
        return FailedPrecondition(
            "{} cannot be reverted: a later commit changed {} again (revert that one first)",
            id.substr(0, 12),
            Where(state_->reader(), tile.table, place.neuron, place.chunk, place.code));
      }
      std::swap(delta.before, delta.after);
    }
  }
  return history.Append(branch, std::move(changes), options, "");
}

absl::StatusOr<CommitInfo> History::Merge(const std::string& branch, const std::string& other,
                                          MergeChoice choice, const CommitOptions& options,
                                          std::vector<EntryChange>* conflicts) {
  const std::lock_guard lock(state_->mutex);
  HistoryState& history = *state_->history;
  conflicts->clear();
  LUTDB_ASSIGN_OR_RETURN(const std::string ours, history.BranchHead(branch));
  LUTDB_ASSIGN_OR_RETURN(const std::string theirs, history.Resolve(other));
  LUTDB_ASSIGN_OR_RETURN(const std::string base, history.MergeBase(ours, theirs));
  if (base == theirs) {
    return FailedPrecondition("nothing to merge: \"{}\" already holds \"{}\"", branch, other);
  }
  LUTDB_ASSIGN_OR_RETURN(const TileChanges our_changes, history.Difference(base, ours));
  LUTDB_ASSIGN_OR_RETURN(TileChanges merged, history.Difference(base, theirs));
  TileChanges clashes;
  for (auto& [tile, deltas] : merged) {
    const auto mine = our_changes.find(tile);
    if (mine == our_changes.end()) continue;
    for (EntryDelta& delta : deltas) {
      const int16_t our_value = ValueAt(mine->second, delta.index, delta.before);
      const bool clash = our_value != delta.before && our_value != delta.after;
      if (clash) clashes[tile].push_back({delta.index, our_value, delta.after});
      delta.before = our_value;
      if (clash && choice == MergeChoice::kOurs) delta.after = our_value;
    }
  }
  *conflicts = ListChanges(state_->reader(), clashes);
  if (!conflicts->empty() && choice == MergeChoice::kRefuse) {
    return absl::AbortedError(fmt::format(
        "{} entries were changed on both sides; choose --ours or --theirs", conflicts->size()));
  }
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, state_->Sorted(std::move(merged)));
  return history.Append(branch, std::move(changes), options, theirs);
}

absl::Status History::CreateBranch(const std::string& name, const std::string& from) {
  const std::lock_guard lock(state_->mutex);
  if (!IsRefName(name)) return InvalidArgument("\"{}\" cannot name a branch", name);
  if (state_->history->branches().contains(name) || state_->history->tags().contains(name)) {
    return FailedPrecondition("there is a branch or tag \"{}\" already", name);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, state_->history->Resolve(from));
  return state_->history->CopyBranch(name, commit);
}

absl::Status History::DeleteBranch(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  if (name == "main") return InvalidArgument("branch \"main\" cannot be deleted");
  LUTDB_RETURN_IF_ERROR(state_->history->BranchHead(name).status());
  return state_->history->RemoveBranch(name);
}

absl::Status History::CreateTag(const std::string& name, const std::string& at) {
  const std::lock_guard lock(state_->mutex);
  if (!IsRefName(name)) return InvalidArgument("\"{}\" cannot name a tag", name);
  if (state_->history->branches().contains(name) || state_->history->tags().contains(name)) {
    return FailedPrecondition("there is a branch or tag \"{}\" already", name);
  }
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, state_->history->Resolve(at));
  return state_->history->PutRef(TagKey(name), commit);
}

absl::Status History::DeleteTag(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->history->tags().contains(name)) return NotFound("there is no tag \"{}\"", name);
  return state_->history->RemoveTag(name);
}

namespace {
std::vector<History::Ref> ListRefs(const std::map<std::string, std::string>& refs) {
  std::vector<History::Ref> list;
  for (const auto& [name, commit] : refs) list.push_back({name, commit});
  return list;
}
}  // namespace

std::vector<History::Ref> History::Branches() const {
  const std::lock_guard lock(state_->mutex);
  return ListRefs(state_->history->branches());
}

std::vector<History::Ref> History::Tags() const {
  const std::lock_guard lock(state_->mutex);
  return ListRefs(state_->history->tags());
}

}  // namespace lutdb
