// Commits made of other commits: revert and merge.

#include <algorithm>

#include "base/status.h"
#include "query/history_state.h"

namespace lutdb {
namespace {

// The value of an entry after `changes`, when they touch it; else `otherwise`.
int16_t ValueAfter(const TileChanges& changes, const TileId& tile, uint32_t index,
                   int16_t otherwise) {
  const auto found = changes.find(tile);
  if (found == changes.end()) return otherwise;
  const TileDeltas& deltas = found->second;
  const auto it = std::lower_bound(deltas.begin(), deltas.end(), index,
                                   [](const EntryDelta& d, uint32_t i) { return d.index < i; });
  return it != deltas.end() && it->index == index ? it->after : otherwise;
}

// theirs, to be applied on top of ours; what both changed to different values goes to *clashes as
// {before: ours, after: theirs}.
TileChanges ThreeWay(const TileChanges& ours, TileChanges theirs, bool keep_ours,
                     TileChanges* clashes) {
  for (auto tile = theirs.begin(); tile != theirs.end();) {
    for (EntryDelta& delta : tile->second) {
      const int16_t mine = ValueAfter(ours, tile->first, delta.index, delta.before);
      const bool clash = mine != delta.before && mine != delta.after;
      if (clash) (*clashes)[tile->first].push_back({delta.index, mine, delta.after});
      delta.before = mine;
      if (clash && keep_ours) delta.after = mine;
    }
    std::erase_if(tile->second, [](const EntryDelta& d) { return d.before == d.after; });
    tile = tile->second.empty() ? theirs.erase(tile) : std::next(tile);
  }
  return theirs;
}

}  // namespace

absl::StatusOr<CommitInfo> History::Revert(const std::string& branch, const std::string& commit,
                                           const CommitOptions& options) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  LUTDB_RETURN_IF_ERROR(state.CheckWritable());
  LUTDB_RETURN_IF_ERROR(state.Settle());
  const HistoryReader& history = state.history();
  LUTDB_ASSIGN_OR_RETURN(const std::string head, history.BranchHead(branch));
  LUTDB_ASSIGN_OR_RETURN(const std::string id, history.Resolve(commit));
  if (id.empty()) return InvalidArgument("the build is not a commit; nothing to revert");
  LUTDB_ASSIGN_OR_RETURN(const auto ancestors, history.Ancestry(head, UINT64_MAX));
  if (std::none_of(ancestors.begin(), ancestors.end(),
                   [&](const CommitRecord& c) { return c.info.id == id; })) {
    return FailedPrecondition("{} is not part of branch \"{}\"", commit, branch);
  }
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, history.ReadPatches(id));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges later, history.Difference(id, head));
  for (auto& [tile, deltas] : changes) {
    for (EntryDelta& delta : deltas) {
      if (ValueAfter(later, tile, delta.index, delta.after) != delta.after) {
        return FailedPrecondition(
            "{} cannot be reverted: a later commit changed {} again; revert that one first "
            "(`lutdb blame` names it)",
            id.substr(0, 12),
            state.Where(tile.table, PlaceOf(state.geometries()[tile.table], tile, delta.index)));
      }
      std::swap(delta.before, delta.after);
    }
  }
  if (changes.empty()) return FailedPrecondition("{} changed nothing", id.substr(0, 12));
  return state.Append(branch, changes, options, "");
}

absl::StatusOr<CommitInfo> History::Merge(const std::string& branch, const std::string& other,
                                          MergeChoice choice, const CommitOptions& options,
                                          std::vector<EntryChange>* conflicts) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  conflicts->clear();
  LUTDB_RETURN_IF_ERROR(state.CheckWritable());
  LUTDB_RETURN_IF_ERROR(state.Settle());
  const HistoryReader& history = state.history();
  LUTDB_ASSIGN_OR_RETURN(const std::string ours, history.BranchHead(branch));
  LUTDB_ASSIGN_OR_RETURN(const std::string theirs, history.Resolve(other));
  LUTDB_ASSIGN_OR_RETURN(const std::string base, history.MergeBase(ours, theirs));
  if (base == theirs) {
    return FailedPrecondition("nothing to merge: branch \"{}\" already holds \"{}\"", branch,
                              other);
  }
  if (base == ours) {
    LUTDB_RETURN_IF_ERROR(state.CheckParent(options, branch, ours));
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord head, history.ReadCommit(theirs));
    LUTDB_RETURN_IF_ERROR(state.Forward(branch, theirs));
    return head.info;
  }
  LUTDB_ASSIGN_OR_RETURN(const TileChanges our_changes, history.Difference(base, ours));
  LUTDB_ASSIGN_OR_RETURN(TileChanges their_changes, history.Difference(base, theirs));
  TileChanges clashes;
  const TileChanges merged =
      ThreeWay(our_changes, std::move(their_changes), choice == MergeChoice::kOurs, &clashes);
  *conflicts = state.List(clashes);
  if (!conflicts->empty() && choice == MergeChoice::kRefuse) {
    return absl::AbortedError(fmt::format(
        "{} entries were changed to different values on both sides; choose whose hold with --ours "
        "or --theirs",
        conflicts->size()));
  }
  return state.Append(branch, merged, options, theirs);
}

}  // namespace lutdb
