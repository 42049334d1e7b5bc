#include "query/history_state.h"

#include <algorithm>
#include <ctime>
#include <queue>
#include <set>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint64_t kCacheBytes = 32 << 20;
constexpr size_t kShortestPrefix = 4;

}  // namespace

absl::StatusOr<std::unique_ptr<HistoryState>> HistoryState::Open(const std::string& path,
                                                                 const HistoryOptions& options) {
  auto state = std::unique_ptr<HistoryState>(new HistoryState);
  state->writable_ = options.write;
  db::OpenOptions open;
  open.wait_seconds = options.wait_seconds;
  LUTDB_ASSIGN_OR_RETURN(
      state->opened_,
      db::OpenStore(path, options.write ? db::Access::kWrite : db::Access::kRead, open));
  LUTDB_ASSIGN_OR_RETURN(state->reader_, StoreReader::Open(path, kCacheBytes));
  LUTDB_RETURN_IF_ERROR(state->LoadRefs());
  return state;
}

absl::Status HistoryState::LoadRefs() {
  const auto load = [&](const std::string& prefix, std::map<std::string, std::string>* refs) {
    db::Cursor cursor = opened_.rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    for (; cursor.Valid(); cursor.Next()) {
      (*refs)[std::string(cursor.key().substr(prefix.size()))] = std::string(cursor.value());
    }
    return cursor.status();
  };
  branches_ = {{"main", ""}};
  LUTDB_RETURN_IF_ERROR(load(BranchKey(""), &branches_));
  return load(TagKey(""), &tags_);
}

absl::Status HistoryState::CheckWritable() const {
  if (writable_) return absl::OkStatus();
  return FailedPrecondition("{}: the history was opened for reading", opened_.path);
}

absl::StatusOr<std::string> HistoryState::BranchHead(const std::string& branch) const {
  const auto it = branches_.find(branch);
  if (it == branches_.end()) {
    return NotFound("no branch \"{}\" in {}; `lutdb branch STORE` lists them", branch,
                    opened_.path);
  }
  return it->second;
}

absl::StatusOr<std::string> HistoryState::Resolve(const std::string& ref) const {
  if (const auto it = branches_.find(ref); it != branches_.end()) return it->second;
  if (const auto it = tags_.find(ref); it != tags_.end()) return it->second;
  const bool hex = ref.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hex && ref.size() >= kShortestPrefix && ref.size() <= 32) {
    const std::string prefix = CommitKey(ref);
    db::Cursor cursor = opened_.rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    std::string id;
    for (; cursor.Valid(); cursor.Next()) {
      if (!id.empty()) {
        return InvalidArgument("\"{}\" begins more than one commit; give more digits", ref);
      }
      id = std::string(cursor.key().substr(1));
    }
    LUTDB_RETURN_IF_ERROR(cursor.status());
    if (!id.empty()) return id;
  }
  return NotFound("\"{}\" is no branch, tag or commit of {}", ref, opened_.path);
}

absl::StatusOr<CommitRecord> HistoryState::ReadCommit(const std::string& id) const {
  LUTDB_ASSIGN_OR_RETURN(const std::string bytes,
                         opened_.rocks->Get(db::Family::kHistory, CommitKey(id)));
  return ParseCommit(id, bytes);
}

absl::StatusOr<TileChanges> HistoryState::ReadTiles(const std::string& prefix) const {
  TileChanges changes;
  db::Cursor cursor = opened_.rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
  for (; cursor.Valid(); cursor.Next()) {
    LUTDB_ASSIGN_OR_RETURN(const TileId tile, ParseTileSuffix(cursor.key().substr(prefix.size())));
    const TableGeometry* geometry = GeometryOf(tile);
    if (geometry == nullptr) return DataLoss("{}: an edit names no tile", opened_.path);
    LUTDB_ASSIGN_OR_RETURN(changes[tile],
                           DecodePatch(cursor.value(), TileEntries(*geometry, tile)));
  }
  LUTDB_RETURN_IF_ERROR(cursor.status());
  return changes;
}

const TableGeometry* HistoryState::GeometryOf(const TileId& tile) const {
  if (tile.table >= reader_->manifest().tables.size()) return nullptr;
  const TableGeometry& geometry = reader_->geometry(tile.table);
  const bool exists =
      tile.group < geometry.chunk_groups() && tile.neuron_block < geometry.neuron_blocks();
  return exists ? &geometry : nullptr;
}

absl::StatusOr<TileChanges> HistoryState::ReadPatches(const std::string& id) const {
  return ReadTiles(PatchPrefix(id));
}

absl::StatusOr<TileChanges> HistoryState::AllHeads(const std::string& branch) const {
  return ReadTiles(HeadPrefix(branch));
}

absl::StatusOr<const TileDeltas*> HistoryState::Head(const std::string& branch,
                                                     const TileId& tile) {
  TileChanges& cached = heads_[branch];
  if (const auto it = cached.find(tile); it != cached.end()) return &it->second;
  const auto bytes =
      opened_.rocks->Get(db::Family::kHistory, HeadPrefix(branch) + TileSuffix(tile));
  TileDeltas deltas;
  if (bytes.ok()) {
    LUTDB_ASSIGN_OR_RETURN(deltas,
                           DecodePatch(*bytes, TileEntries(reader_->geometry(tile.table), tile)));
  } else if (bytes.status().code() != absl::StatusCode::kNotFound) {
    return bytes.status();
  }
  return &(cached[tile] = std::move(deltas));
}

absl::StatusOr<CommitInfo> HistoryState::Append(const std::string& branch, TileChanges changes,
                                                const CommitOptions& options,
                                                const std::string& second_parent) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const std::string parent, BranchHead(branch));
  CommitRecord commit;
  commit.info.author = options.author;
  commit.info.message = options.message;
  commit.info.notes = options.notes;
  commit.info.time = options.time != 0 ? options.time : static_cast<int64_t>(std::time(nullptr));
  for (const std::string& id : {parent, second_parent}) {
    if (id.empty()) continue;
    commit.info.parents.push_back(id);
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord record, ReadCommit(id));
    commit.depth = std::max(commit.depth, record.depth + 1);
  }
  for (const auto& [tile, deltas] : changes) commit.info.entries += deltas.size();
  commit.info.id = CommitId(commit, changes);

  std::vector<db::Write> writes;
  const auto put = [&](std::string key, std::string value, bool is_delete = false) {
    writes.push_back({db::Family::kHistory, std::move(key), std::move(value), is_delete});
  };
  TileChanges heads;
  std::string bytes;
  for (const auto& [tile, deltas] : changes) {
    EncodePatch(deltas, &bytes);
    put(PatchPrefix(commit.info.id) + TileSuffix(tile), bytes);
    LUTDB_ASSIGN_OR_RETURN(const TileDeltas* old, Head(branch, tile));
    TileDeltas head = *old;
    FoldInto(deltas, &head);
    EncodePatch(head, &bytes);
    put(HeadPrefix(branch) + TileSuffix(tile), head.empty() ? "" : bytes, head.empty());
    heads[tile] = std::move(head);
  }
  put(CommitKey(commit.info.id), SerializeCommit(commit));
  put(BranchKey(branch), commit.info.id);
  LUTDB_RETURN_IF_ERROR(opened_.rocks->Apply(writes));
  branches_[branch] = commit.info.id;
  for (auto& [tile, head] : heads) heads_[branch][tile] = std::move(head);
  return commit.info;
}

absl::Status HistoryState::PutRef(const std::string& key, const std::string& commit) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  const std::vector<db::Write> writes = {{db::Family::kHistory, key, commit}};
  LUTDB_RETURN_IF_ERROR(opened_.rocks->Apply(writes));
  return LoadRefs();
}

// The heads of a branch are copied, so that each branch's reads stay one look-up deep; the cost is
// that of its edits.
absl::Status HistoryState::CopyBranch(const std::string& name, const std::string& commit) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  LUTDB_ASSIGN_OR_RETURN(const TileChanges heads, Difference("", commit));
  std::vector<db::Write> writes;
  std::string bytes;
  for (const auto& [tile, deltas] : heads) {
    EncodePatch(deltas, &bytes);
    writes.push_back({db::Family::kHistory, HeadPrefix(name) + TileSuffix(tile), bytes});
  }
  writes.push_back({db::Family::kHistory, BranchKey(name), commit});
  LUTDB_RETURN_IF_ERROR(opened_.rocks->Apply(writes));
  return LoadRefs();
}

absl::Status HistoryState::RemoveBranch(const std::string& name) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  std::vector<db::Write> writes;
  const std::string prefix = HeadPrefix(name);
  db::Cursor cursor = opened_.rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
  for (; cursor.Valid(); cursor.Next()) {
    writes.push_back({db::Family::kHistory, std::string(cursor.key()), "", true});
  }
  LUTDB_RETURN_IF_ERROR(cursor.status());
  writes.push_back({db::Family::kHistory, BranchKey(name), "", true});
  LUTDB_RETURN_IF_ERROR(opened_.rocks->Apply(writes));
  heads_.erase(name);
  branches_.erase(name);
  return absl::OkStatus();
}

absl::Status HistoryState::RemoveTag(const std::string& name) {
  LUTDB_RETURN_IF_ERROR(CheckWritable());
  const std::vector<db::Write> writes = {{db::Family::kHistory, TagKey(name), "", true}};
  LUTDB_RETURN_IF_ERROR(opened_.rocks->Apply(writes));
  tags_.erase(name);
  return absl::OkStatus();
}

}  // namespace lutdb
