// include/lutdb/history.h: checks what callers ask for, then works on the state under one lock.
#include "lutdb/history.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/status.h"
#include "query/edited_hash.h"
#include "query/history_state.h"

namespace lutdb {

History::History(std::unique_ptr<State> state) : state_(std::move(state)) {}
History::~History() = default;

absl::StatusOr<std::unique_ptr<History>> History::Open(const std::string& store,
                                                       const HistoryOptions& options) {
  LUTDB_ASSIGN_OR_RETURN(std::unique_ptr<State> state, State::Open(store, options));
  return std::unique_ptr<History>(new History(std::move(state)));
}

absl::StatusOr<std::vector<EntryChange>> History::Preview(const std::string& branch,
                                                          absl::Span<const EntryEdit> edits) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(TileChanges values, state_->NewValues(edits));
  LUTDB_ASSIGN_OR_RETURN(const std::shared_ptr<const Edits> head, state_->Head(branch));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state_->Against(*head, std::move(values)));
  return state_->List(changes);
}

absl::StatusOr<CommitInfo> History::Commit(const std::string& branch,
                                           absl::Span<const EntryEdit> edits,
                                           const CommitOptions& options) {
  const std::lock_guard lock(state_->mutex);
  return state_->Commit(branch, edits, options);
}

absl::StatusOr<std::string> History::Resolve(const std::string& ref) const {
  const std::lock_guard lock(state_->mutex);
  return state_->history().Resolve(ref);
}

absl::StatusOr<std::vector<CommitInfo>> History::Log(const std::string& ref,
                                                     uint64_t count_max) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const std::string id, state_->history().Resolve(ref));
  LUTDB_ASSIGN_OR_RETURN(const auto records, state_->history().Ancestry(id, count_max));
  std::vector<CommitInfo> commits;
  commits.reserve(records.size());
  for (const CommitRecord& record : records) commits.push_back(record.info);
  return commits;
}

absl::StatusOr<std::vector<EntryChange>> History::Changes(const std::string& commit) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->Settle());
  LUTDB_ASSIGN_OR_RETURN(const std::string id, state_->history().Resolve(commit));
  if (id.empty()) return std::vector<EntryChange>();
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state_->history().ReadPatches(id));
  return state_->List(changes);
}

absl::StatusOr<std::vector<EntryChange>> History::Diff(const std::string& from,
                                                       const std::string& to) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->Settle());
  const HistoryReader& history = state_->history();
  LUTDB_ASSIGN_OR_RETURN(const std::string a, history.Resolve(from));
  LUTDB_ASSIGN_OR_RETURN(const std::string b, history.Resolve(to));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history.Difference(a, b));
  return state_->List(changes);
}

absl::StatusOr<std::vector<std::vector<EntryOrigin>>> History::Blame(
    const std::string& ref, absl::Span<const EntryKey> keys) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->Settle());
  const HistoryReader& history = state_->history();
  LUTDB_ASSIGN_OR_RETURN(const std::string id, history.Resolve(ref));
  LUTDB_ASSIGN_OR_RETURN(const auto commits, history.Ancestry(id, UINT64_MAX));
  struct Asked {
    uint32_t index = 0;
    size_t key = 0;
  };
  std::map<TileId, std::vector<Asked>, TileOrder> asked;
  for (size_t i = 0; i < keys.size(); ++i) {
    const EntryKey& key = keys[i];
    LUTDB_RETURN_IF_ERROR(state_->CheckEdit({key.table, key.neuron, key.chunk, key.code, 0}));
    const TableGeometry& geometry = state_->geometries()[key.table];
    asked[TileOf(geometry, key.table, key.neuron, key.chunk)].push_back(
        {DeltaIndex(geometry, key.neuron, key.chunk, key.code), i});
  }
  std::vector<std::vector<EntryOrigin>> origins(keys.size());
  for (const CommitRecord& commit : commits) {
    for (const auto& [tile, wanted] : asked) {
      LUTDB_ASSIGN_OR_RETURN(const TileDeltas deltas, history.ReadPatch(commit.info.id, tile));
      for (const Asked& ask : wanted) {
        const auto it =
            std::lower_bound(deltas.begin(), deltas.end(), ask.index,
                             [](const EntryDelta& d, uint32_t index) { return d.index < index; });
        if (it == deltas.end() || it->index != ask.index) continue;
        origins[ask.key].push_back({commit.info, it->before, it->after});
      }
    }
  }
  return origins;
}

absl::StatusOr<Hash128> History::ContentHash(const std::string& ref) const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->Settle());
  LUTDB_ASSIGN_OR_RETURN(const std::string id, state_->history().Resolve(ref));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, state_->history().FromBase(id));
  const auto edits = Edits().With(changes, id, state_->geometries());
  return EditedContentHash(*state_->store, *edits);
}

namespace {

std::vector<History::Ref> ListRefs(const HistoryReader::Refs& refs) {
  std::vector<History::Ref> list;
  for (const auto& [name, commit] : refs) list.push_back({name, commit});
  return list;
}

}  // namespace

absl::StatusOr<std::vector<History::Ref>> History::Branches() const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs refs, state_->history().Branches());
  return ListRefs(refs);
}

absl::StatusOr<std::vector<History::Ref>> History::Tags() const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs refs, state_->history().Tags());
  return ListRefs(refs);
}

absl::Status History::State::CheckNewName(const std::string& name) const {
  if (!IsRefName(name)) {
    return InvalidArgument(
        "\"{}\" cannot name a branch or tag: use letters, digits, . _ and -, at most 64", name);
  }
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs branches, history().Branches());
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs tags, history().Tags());
  if (branches.contains(name) || tags.contains(name)) {
    return Error(absl::StatusCode::kAlreadyExists, "there is a {} \"{}\" already",
                 tags.contains(name) ? "tag" : "branch", name);
  }
  return absl::OkStatus();
}

absl::Status History::CreateBranch(const std::string& name, const std::string& from) {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->CheckNewName(name));
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, state_->history().Resolve(from));
  return state_->Put(BranchKey(name), commit);
}

absl::Status History::DeleteBranch(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  if (name == "main") return InvalidArgument("branch \"main\" cannot be deleted");
  LUTDB_RETURN_IF_ERROR(state_->history().BranchHead(name).status());
  LUTDB_RETURN_IF_ERROR(state_->Put(BranchKey(name), "", /*is_delete=*/true));
  state_->heads.erase(name);
  return absl::OkStatus();
}

absl::Status History::CreateTag(const std::string& name, const std::string& at) {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->CheckNewName(name));
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, state_->history().Resolve(at));
  return state_->Put(TagKey(name), commit);
}

absl::Status History::DeleteTag(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs tags, state_->history().Tags());
  if (!tags.contains(name)) return NotFound("there is no tag \"{}\"", name);
  return state_->Put(TagKey(name), "", /*is_delete=*/true);
}

}  // namespace lutdb
