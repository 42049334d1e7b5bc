// Small commits, as they come from people and from feedback loops: the time they take is that of
// one sync of the log.
//
// The values that a commit replaces are records somewhere in a store larger than memory, and
// reading them can take as long as the sync. So the new values are written and synced at once, and
// the old ones are read beside that, on another thread. What they show can only make the commit
// smaller: an entry that already had its new value does not belong in it, and then the commit is
// taken back and written again as it should be. Who reads the commit of a process that was killed
// in between finds its old values at its parent (HistoryReader::ReadPatches) and leaves such
// entries out.
//
// The old values are then written with the next commit, for the sake of those who read the history
// later; as they can be had from the parent, they need no sync of their own.

#include "base/status.h"
#include "query/history_state.h"
#include "query/lookup.h"

namespace lutdb {
namespace {

// Above this a commit costs more than its sync in other places.
constexpr uint64_t kEntriesMax = 64;

db::Write WriteOfValuesBefore(const std::string& id, const TileChanges& changes) {
  return {db::Family::kHistory, ValuesBeforeKey(id), EncodeValuesBefore(ValuesBefore(changes))};
}

}  // namespace

absl::StatusOr<CommitInfo> History::State::Commit(const std::string& branch,
                                                  absl::Span<const EntryEdit> edits,
                                                  const CommitOptions& options) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(TileChanges values, NewValues(edits));
  LUTDB_ASSIGN_OR_RETURN(std::shared_ptr<const Edits> head, Head(branch));
  LUTDB_RETURN_IF_ERROR(CheckParent(options, branch, head->commit()));
  if (!edits.empty() && edits.size() <= kEntriesMax) {
    LUTDB_ASSIGN_OR_RETURN(CommitRecord commit, Describe(options, head->commit(), "", values));
    if (!SnapshotDue(commit, head->entries() + edits.size())) {
      return CommitQuickly(branch, std::move(head), std::move(commit), std::move(values), options);
    }
  }
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, Against(*head, std::move(values)));
  return AppendChanges(branch, std::move(changes), options);
}

absl::StatusOr<CommitInfo> History::State::AppendChanges(const std::string& branch,
                                                         TileChanges changes,
                                                         const CommitOptions& options) {
  if (changes.empty()) {
    return FailedPrecondition("nothing changes: every entry named already has that value");
  }
  return Append(branch, std::move(changes), options, "");
}

absl::StatusOr<CommitInfo> History::State::CommitQuickly(const std::string& branch,
                                                         std::shared_ptr<const Edits> head,
                                                         CommitRecord commit, TileChanges values,
                                                         const CommitOptions& options) {
  const std::string& id = commit.info.id;
  absl::StatusOr<TileChanges> changes = TileChanges();
  std::shared_ptr<const Edits> next;
  db::Write before;
  if (side_ == nullptr) side_ = std::make_unique<SideThread>();
  side_->Post([&] {
    retired_ = nullptr;  // freeing what the last commit left takes time, too
    changes = Against(*head, values);
    if (!changes.ok()) return;
    next = head->With(*changes, id, geometries());
    before = WriteOfValuesBefore(id, *changes);
  });
  std::vector<db::Write> writes;
  PutTiles(PatchPrefix(id), values, PatchValues::kAfter, &writes);
  PutCommit(branch, commit, &writes);
  const absl::Status written = Write(std::move(writes));
  side_->Wait();
  LUTDB_RETURN_IF_ERROR(written);
  if (!changes.ok() || CountEntries(*changes) != commit.info.entries) {
    LUTDB_RETURN_IF_ERROR(TakeBack(branch, head->commit(), commit, values));
    LUTDB_RETURN_IF_ERROR(changes.status());
    return AppendChanges(branch, *std::move(changes), options);
  }
  values_before.push_back(std::move(before));
  const std::string parent = head->commit();
  heads[branch] = nullptr;
  retired_ = std::move(head);
  LUTDB_RETURN_IF_ERROR(Advance(branch, parent, std::move(next), *std::move(changes)));
  last_commit = std::move(commit);
  return last_commit.info;
}

absl::Status History::State::TakeBack(const std::string& branch, const std::string& parent,
                                      const CommitRecord& commit, const TileChanges& values) {
  std::vector<db::Write> writes;
  for (const auto& [tile, deltas] : values) {
    writes.push_back(
        {db::Family::kHistory, PatchPrefix(commit.info.id) + TileSuffix(tile), "", true});
  }
  writes.push_back({db::Family::kHistory, CommitKey(commit.info.id), "", true});
  writes.push_back({db::Family::kHistory, BranchKey(branch), parent});
  LUTDB_RETURN_IF_ERROR(Write(std::move(writes)));
  return counter.Raise().status();  // a reader that opened meanwhile looks again
}

absl::Status History::State::Settle() {
  if (values_before.empty()) return absl::OkStatus();
  const std::vector<db::Write> writes = std::exchange(values_before, {});
  return rocks->Apply(writes, db::Sync::kLater);
}

// A commit that a killed process left without the values it replaced gets them before others
// follow.
absl::Status History::State::Complete(const std::string& id) {
  if (id.empty() || rocks == nullptr) return absl::OkStatus();
  LUTDB_ASSIGN_OR_RETURN(const CommitRecord commit, history().ReadCommit(id));
  if (commit.info.entries > kEntriesMax) return absl::OkStatus();
  bool looked_up = false;
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history().ReadWhole(id, &looked_up));
  if (looked_up) values_before.push_back(WriteOfValuesBefore(id, changes));
  return absl::OkStatus();
}

}  // namespace lutdb
