// Walking the commit graph: ancestry, merge bases, differences.

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>

#include "base/status.h"
#include "query/history_state.h"

namespace lutdb {
namespace {

struct Shallower {
  bool operator()(const CommitRecord& a, const CommitRecord& b) const {
    return std::tie(a.depth, a.info.time, a.info.id) < std::tie(b.depth, b.info.time, b.info.id);
  }
};
using DeepestFirst = std::priority_queue<CommitRecord, std::vector<CommitRecord>, Shallower>;

// The change that undoes `changes`.
TileChanges Reversed(TileChanges changes) {
  for (auto& [tile, deltas] : changes) {
    for (EntryDelta& delta : deltas) std::swap(delta.before, delta.after);
  }
  return changes;
}

void FoldAll(const TileChanges& change, TileChanges* state) {
  for (const auto& [tile, deltas] : change) {
    TileDeltas& folded = (*state)[tile];
    FoldInto(deltas, &folded);
    if (folded.empty()) state->erase(tile);
  }
}

}  // namespace

absl::StatusOr<std::vector<CommitRecord>> HistoryState::Ancestry(const std::string& from,
                                                                 uint64_t count_max) const {
  std::vector<CommitRecord> commits;
  DeepestFirst waiting;
  std::set<std::string> seen;
  const auto visit = [&](const std::string& id) -> absl::Status {
    if (id.empty() || !seen.insert(id).second) return absl::OkStatus();
    LUTDB_ASSIGN_OR_RETURN(CommitRecord record, ReadCommit(id));
    waiting.push(std::move(record));
    return absl::OkStatus();
  };
  LUTDB_RETURN_IF_ERROR(visit(from));
  while (!waiting.empty() && commits.size() < count_max) {
    commits.push_back(waiting.top());
    waiting.pop();
    for (const std::string& parent : commits.back().info.parents) {
      LUTDB_RETURN_IF_ERROR(visit(parent));
    }
  }
  return commits;
}

absl::StatusOr<std::string> HistoryState::MergeBase(const std::string& a,
                                                    const std::string& b) const {
  if (a.empty() || b.empty()) return std::string();
  LUTDB_ASSIGN_OR_RETURN(const auto of_a, Ancestry(a, UINT64_MAX));
  std::set<std::string> ancestors;
  for (const CommitRecord& commit : of_a) ancestors.insert(commit.info.id);
  LUTDB_ASSIGN_OR_RETURN(const auto of_b, Ancestry(b, UINT64_MAX));
  for (const CommitRecord& commit : of_b) {  // deepest first
    if (ancestors.contains(commit.info.id)) return commit.info.id;
  }
  return std::string();
}

absl::StatusOr<TileChanges> HistoryState::Difference(const std::string& from,
                                                     const std::string& to) const {
  // Both sides climb their first parents, the deeper one first, until they meet (at the build at
  // the latest); each side's patches are then folded from the meeting point down.
  std::vector<std::string> from_chain, to_chain;
  std::string a = from, b = to;
  while (a != b) {
    CommitRecord at_a, at_b;
    if (!a.empty()) {
      LUTDB_ASSIGN_OR_RETURN(at_a, ReadCommit(a));
    }
    if (!b.empty()) {
      LUTDB_ASSIGN_OR_RETURN(at_b, ReadCommit(b));
    }
    const bool climb_a = b.empty() || (!a.empty() && at_a.depth >= at_b.depth);
    const CommitRecord& climber = climb_a ? at_a : at_b;
    const std::string parent = climber.info.parents.empty() ? "" : climber.info.parents.front();
    (climb_a ? from_chain : to_chain).push_back(climber.info.id);
    (climb_a ? a : b) = parent;
  }
  const auto fold = [&](const std::vector<std::string>& chain) -> absl::StatusOr<TileChanges> {
    TileChanges state;
    for (auto id = chain.rbegin(); id != chain.rend(); ++id) {
      LUTDB_ASSIGN_OR_RETURN(const TileChanges patch, ReadPatches(*id));
      FoldAll(patch, &state);
    }
    return state;
  };
  LUTDB_ASSIGN_OR_RETURN(TileChanges back, fold(from_chain));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges forth, fold(to_chain));
  back = Reversed(std::move(back));
  FoldAll(forth, &back);
  return back;
}

std::vector<EntryChange> ListChanges(const StoreReader& reader, const TileChanges& changes) {
  std::vector<EntryChange> list;
  for (const auto& [tile, deltas] : changes) {
    for (const EntryDelta& delta : deltas) {
      const DeltaPlace place = PlaceOf(reader.geometry(tile.table), tile, delta.index);
      list.push_back(
          {tile.table, place.neuron, place.chunk, place.code, delta.before, delta.after});
    }
  }
  return list;
}

}  // namespace lutdb
