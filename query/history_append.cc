// How a commit is written: what it is, its records, the branch moved, the readers told.

#include <algorithm>
#include <ctime>

#include "base/check.h"
#include "base/status.h"
#include "query/history_state.h"

namespace lutdb {
namespace {

// A branch that is longer than this since its last snapshot gets one: opening it then costs what
// differs from the base, not what ever happened. A snapshot writes all that differs, so it waits
// until half as much was committed since the last.
constexpr uint64_t kChainCommitsMax = 256;
constexpr uint64_t kChainEntriesMax = 1 << 16;

}  // namespace

bool History::State::SnapshotDue(const CommitRecord& commit, uint64_t edited) {
  const bool costly = commit.chain_entries > kChainEntriesMax &&
                      commit.chain_entries > 4 * std::max(edited, commit.info.entries);
  return costly || (commit.chain_commits > kChainCommitsMax && commit.chain_entries * 2 > edited);
}

absl::StatusOr<CommitRecord> History::State::ParentRecord(const std::string& id) const {
  if (last_commit.info.id == id) return last_commit;
  return history().ReadCommit(id);
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
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord before, ParentRecord(parent));
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

absl::Status History::State::CheckParent(const CommitOptions& options, const std::string& branch,
                                         const std::string& head) const {
  if (options.parent == nullptr || *options.parent == head) return absl::OkStatus();
  return absl::AbortedError(
      fmt::format("branch \"{}\" of {} has moved on to {}; nothing was committed", branch,
                  store->path(), head.empty() ? "the build" : head.substr(0, 12)));
}

absl::StatusOr<CommitInfo> History::State::Append(const std::string& branch, TileChanges changes,
                                                  const CommitOptions& options,
                                                  const std::string& second_parent) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, Head(branch));
  LUTDB_RETURN_IF_ERROR(CheckParent(options, branch, head->commit()));
  LUTDB_ASSIGN_OR_RETURN(CommitRecord commit,
                         Describe(options, head->commit(), second_parent, changes));
  const std::string& id = commit.info.id;
  std::shared_ptr<const Edits> next = head->With(changes, id, geometries());

  std::vector<db::Write> writes;
  PutTiles(PatchPrefix(id), changes, PatchValues::kBeforeAndAfter, &writes);
  if (SnapshotDue(commit, next->entries())) {
    PutTiles(SnapshotPrefix(id), next->Changes(geometries()), PatchValues::kBeforeAndAfter,
             &writes);
    LUTDB_ASSIGN_OR_RETURN(std::string base, history().BaseCommit());
    writes.push_back({db::Family::kHistory, SnapshotKey(id), std::move(base)});
    commit.chain_commits = 0;
    commit.chain_entries = 0;
  }
  PutCommit(branch, commit, &writes);
  LUTDB_RETURN_IF_ERROR(Write(std::move(writes)));
  LUTDB_RETURN_IF_ERROR(Advance(branch, head->commit(), std::move(next), std::move(changes)));
  last_commit = std::move(commit);
  return last_commit.info;
}

void PutTiles(const std::string& prefix, const TileChanges& changes, PatchValues values,
              std::vector<db::Write>* writes) {
  writes->reserve(writes->size() + changes.size() + 3);  // the commit's own records follow
  for (const auto& [tile, deltas] : changes) {
    std::string bytes;
    EncodePatch(deltas, values, &bytes);
    writes->push_back({db::Family::kHistory, prefix + TileSuffix(tile), std::move(bytes)});
  }
}

void PutCommit(const std::string& branch, const CommitRecord& commit,
               std::vector<db::Write>* writes) {
  writes->push_back({db::Family::kHistory, CommitKey(commit.info.id), SerializeCommit(commit)});
  writes->push_back({db::Family::kHistory, BranchKey(branch), commit.info.id});
}

absl::Status History::State::Write(std::vector<db::Write> writes) {
  writes.insert(writes.end(), std::make_move_iterator(values_before.begin()),
                std::make_move_iterator(values_before.end()));
  values_before.clear();
  return rocks->Apply(writes);
}

absl::Status History::State::Advance(const std::string& branch, const std::string& parent,
                                     std::shared_ptr<const Edits> next, TileChanges changes) {
  CommitFeed::Item item = {.branch = branch,
                           .parent = parent,
                           .commit = next->commit(),
                           .changes = std::make_shared<const TileChanges>(std::move(changes))};
  heads[branch] = std::move(next);
  const auto raised = counter.Raise();
  if (!raised.ok()) {
    return Unavailable("commit {} is durable, but other processes were not told: {}", item.commit,
                       Message(raised.status()));
  }
  item.counter = *raised;
  feed->Publish(std::move(item));
  return absl::OkStatus();
}

absl::Status History::State::Forward(const std::string& branch, const std::string& commit) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, Head(branch));
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, history().Difference(head->commit(), commit));
  LUTDB_RETURN_IF_ERROR(Put(BranchKey(branch), commit));
  std::shared_ptr<const Edits> next = head->With(changes, commit, geometries());
  return Advance(branch, head->commit(), std::move(next), std::move(changes));
}

}  // namespace lutdb
