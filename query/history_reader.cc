#include "query/history_reader.h"

#include <algorithm>
#include <queue>
#include <set>

#include "base/status.h"
#include "query/lookup.h"

namespace lutdb {
namespace {

constexpr size_t kShortestPrefix = 4;

struct Shallower {
  bool operator()(const CommitRecord& a, const CommitRecord& b) const {
    return std::tie(a.depth, a.info.time, a.info.id) < std::tie(b.depth, b.info.time, b.info.id);
  }
};
using DeepestFirst = std::priority_queue<CommitRecord, std::vector<CommitRecord>, Shallower>;

}  // namespace

absl::StatusOr<HistoryReader::Refs> HistoryReader::ReadRefs(const std::string& prefix) const {
  Refs refs;
  db::Cursor cursor = rocks_.Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
  for (; cursor.Valid(); cursor.Next()) {
    const std::string commit(cursor.value());
    if (!commit.empty() && !IsCommitId(commit)) {
      return DataLoss("{}: a branch or tag of the history is damaged", store_);
    }
    refs[std::string(cursor.key().substr(prefix.size()))] = commit;
  }
  LUTDB_RETURN_IF_ERROR(cursor.status());
  return refs;
}

absl::StatusOr<HistoryReader::Refs> HistoryReader::Branches() const {
  LUTDB_ASSIGN_OR_RETURN(Refs refs, ReadRefs(BranchKey("")));
  refs.try_emplace("main", "");
  return refs;
}

absl::StatusOr<HistoryReader::Refs> HistoryReader::Tags() const { return ReadRefs(TagKey("")); }

absl::StatusOr<std::string> HistoryReader::BranchHead(const std::string& branch) const {
  auto head = rocks_.Get(db::Family::kHistory, BranchKey(branch));
  if (!absl::IsNotFound(head.status())) return head;
  if (branch == "main") return std::string();
  return NotFound("no branch \"{}\" in {}; `lutdb branch {}` lists them", branch, store_, store_);
}

absl::StatusOr<std::string> HistoryReader::Resolve(const std::string& ref) const {
  if (auto head = BranchHead(ref); !absl::IsNotFound(head.status())) return head;
  if (auto tag = rocks_.Get(db::Family::kHistory, TagKey(ref)); !absl::IsNotFound(tag.status())) {
    return tag;
  }
  const bool hex = ref.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hex && ref.size() >= kShortestPrefix && ref.size() <= 32) {
    const std::string prefix = CommitKey(ref);
    db::Cursor cursor = rocks_.Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    std::string id;
    for (; cursor.Valid(); cursor.Next()) {
      if (!id.empty()) {
        return InvalidArgument("\"{}\" begins more than one commit of {}; give more digits", ref,
                               store_);
      }
      id = std::string(cursor.key().substr(1));
    }
    LUTDB_RETURN_IF_ERROR(cursor.status());
    if (!id.empty()) return id;
  }
  return NotFound(
      "\"{}\" is no branch, tag or commit of {}; `lutdb branch`, `tag` and `log` list them", ref,
      store_);
}

absl::StatusOr<CommitRecord> HistoryReader::ReadCommit(const std::string& id) const {
  auto bytes = rocks_.Get(db::Family::kHistory, CommitKey(id));
  if (absl::IsNotFound(bytes.status())) {
    return DataLoss("{}: commit {} is missing from the history; see `lutdb verify`", store_, id);
  }
  if (!bytes.ok()) return bytes.status();
  return ParseCommit(id, *bytes);
}

const TableGeometry* HistoryReader::GeometryOf(const TileId& tile) const {
  if (tile.table >= geometries_.size()) return nullptr;
  const TableGeometry& geometry = geometries_[tile.table];
  const bool exists =
      tile.group < geometry.chunk_groups() && tile.neuron_block < geometry.neuron_blocks();
  return exists ? &geometry : nullptr;
}

absl::StatusOr<TileDeltas> HistoryReader::ReadTile(const TileId& tile, std::string_view bytes,
                                                   bool* lacking) const {
  const TableGeometry* geometry = GeometryOf(tile);
  if (geometry == nullptr) {
    return DataLoss("{}: the history names a tile that no table has", store_);
  }
  PatchValues values = PatchValues::kBeforeAndAfter;
  auto deltas = DecodePatch(bytes, *geometry, tile, lacking == nullptr ? nullptr : &values);
  if (!deltas.ok()) {
    return Error(deltas.status().code(), "{}: {}", store_, Message(deltas.status()));
  }
  if (lacking != nullptr) *lacking = *lacking || values == PatchValues::kAfter;
  return deltas;
}

absl::StatusOr<TileChanges> HistoryReader::ReadTiles(const std::string& prefix,
                                                     bool* lacking) const {
  TileChanges changes;
  db::Cursor cursor = rocks_.Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
  for (; cursor.Valid(); cursor.Next()) {
    LUTDB_ASSIGN_OR_RETURN(const TileId tile, ParseTileSuffix(cursor.key().substr(prefix.size())));
    LUTDB_ASSIGN_OR_RETURN(changes[tile], ReadTile(tile, cursor.value(), lacking));
  }
  LUTDB_RETURN_IF_ERROR(cursor.status());
  return changes;
}

absl::StatusOr<TileChanges> HistoryReader::ReadPatches(const std::string& id) const {
  bool looked_up = false;
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, ReadWhole(id, &looked_up));
  DropUnchanged(&changes);
  return changes;
}

absl::StatusOr<bool> HistoryReader::HasValuesBefore(const std::string& id) const {
  if (id.empty()) return true;
  const std::string prefix = PatchPrefix(id);
  const db::Cursor cursor = rocks_.Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
  if (!cursor.Valid()) return cursor.status().ok() ? absl::StatusOr<bool>(true) : cursor.status();
  LUTDB_ASSIGN_OR_RETURN(const TileId tile, ParseTileSuffix(cursor.key().substr(prefix.size())));
  bool lacking = false;  // in one patch of a commit: in all of them
  LUTDB_RETURN_IF_ERROR(ReadTile(tile, cursor.value(), &lacking).status());
  if (!lacking) return true;
  const auto bytes = rocks_.Get(db::Family::kHistory, ValuesBeforeKey(id));
  if (bytes.ok() || absl::IsNotFound(bytes.status())) return bytes.ok();
  return bytes.status();
}

absl::StatusOr<TileChanges> HistoryReader::ReadNewValues(const std::string& id,
                                                         bool* lacking) const {
  *lacking = false;
  return ReadTiles(PatchPrefix(id), lacking);
}

absl::StatusOr<TileChanges> HistoryReader::ReadWhole(const std::string& id, bool* looked_up) const {
  bool lacking = false;
  LUTDB_ASSIGN_OR_RETURN(TileChanges changes, ReadNewValues(id, &lacking));
  *looked_up = false;
  if (!lacking) return changes;
  const auto bytes = rocks_.Get(db::Family::kHistory, ValuesBeforeKey(id));
  *looked_up = absl::IsNotFound(bytes.status());
  if (*looked_up) {
    LUTDB_RETURN_IF_ERROR(LookUpValuesBefore(id, &changes));
    return changes;
  }
  LUTDB_RETURN_IF_ERROR(bytes.status());
  LUTDB_ASSIGN_OR_RETURN(const auto values, DecodeValuesBefore(*bytes, CountEntries(changes)));
  SetValuesBefore(values, &changes);
  return changes;
}

absl::Status HistoryReader::LookUpValuesBefore(const std::string& id, TileChanges* changes) const {
  LUTDB_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(id));
  const std::string parent = FirstParent(commit);
  std::shared_ptr<const Edits> edits;
  if (known_ != nullptr) {
    LUTDB_ASSIGN_OR_RETURN(const TileChanges since, Difference(known_->commit(), parent));
    edits = known_->With(since, parent, geometries_);
  } else {
    LUTDB_ASSIGN_OR_RETURN(const TileChanges since, FromBase(parent));
    edits = Edits().With(since, parent, geometries_);
  }
  return FillValuesBefore(base_, *edits, changes);
}

absl::StatusOr<TileDeltas> HistoryReader::ReadPatch(const std::string& id,
                                                    const TileId& tile) const {
  auto bytes = rocks_.Get(db::Family::kHistory, PatchPrefix(id) + TileSuffix(tile));
  if (absl::IsNotFound(bytes.status())) return TileDeltas();
  if (!bytes.ok()) return bytes.status();
  bool lacking = false;
  LUTDB_ASSIGN_OR_RETURN(TileDeltas deltas, ReadTile(tile, *bytes, &lacking));
  if (!lacking) return deltas;
  LUTDB_ASSIGN_OR_RETURN(TileChanges whole, ReadPatches(id));
  return std::move(whole[tile]);
}

absl::StatusOr<std::string> HistoryReader::BaseCommit() const {
  auto id = rocks_.Get(db::Family::kHistory, kBaseCommitKey);
  if (absl::IsNotFound(id.status())) return std::string();
  return id;
}

absl::StatusOr<std::vector<CommitRecord>> HistoryReader::Ancestry(const std::string& from,
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

absl::StatusOr<std::string> HistoryReader::MergeBase(const std::string& a,
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

absl::StatusOr<TileChanges> HistoryReader::FoldChain(const std::vector<std::string>& newest_first,
                                                     TileChanges start) const {
  for (auto id = newest_first.rbegin(); id != newest_first.rend(); ++id) {
    LUTDB_ASSIGN_OR_RETURN(const TileChanges patch, ReadPatches(*id));
    FoldAll(patch, &start);
  }
  return start;
}

absl::StatusOr<bool> HistoryReader::HasSnapshot(const std::string& id,
                                                const std::string& base) const {
  const auto of = rocks_.Get(db::Family::kHistory, SnapshotKey(id));
  if (!of.ok() && !absl::IsNotFound(of.status())) return of.status();
  return of.ok() && *of == base;
}

absl::StatusOr<TileChanges> HistoryReader::FromBase(const std::string& to) const {
  LUTDB_ASSIGN_OR_RETURN(const std::string base, BaseCommit());
  std::vector<std::string> chain;  // newest first
  for (std::string id = to; id != base;) {
    if (id.empty()) return Difference(base, to);  // not a descendant of what the base holds
    LUTDB_ASSIGN_OR_RETURN(const bool snapshot_here, HasSnapshot(id, base));
    if (snapshot_here) {
      LUTDB_ASSIGN_OR_RETURN(TileChanges snapshot, ReadTiles(SnapshotPrefix(id), nullptr));
      return FoldChain(chain, std::move(snapshot));
    }
    LUTDB_ASSIGN_OR_RETURN(const CommitRecord commit, ReadCommit(id));
    chain.push_back(id);
    id = FirstParent(commit);
  }
  return FoldChain(chain, {});
}

absl::StatusOr<TileChanges> HistoryReader::Difference(const std::string& from,
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
    (climb_a ? from_chain : to_chain).push_back(climb_a ? a : b);
    (climb_a ? a : b) = FirstParent(climb_a ? at_a : at_b);
  }
  LUTDB_ASSIGN_OR_RETURN(TileChanges back, FoldChain(from_chain, {}));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges forth, FoldChain(to_chain, {}));
  back = Reversed(std::move(back));
  FoldAll(forth, &back);
  return back;
}

}  // namespace lutdb
