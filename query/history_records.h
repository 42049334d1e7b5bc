// What the `history` family holds, as keys and values. docs/format.md, "History".
//
//   c<id>                     a commit
//   p<id><tile key>           the entries it changed in one tile (coding/patch_record.h)
//   o<id>                     the values these entries had, when the patches lack them
//   s<id><tile key>           entries of one tile that differ at a commit from the base generation
//   S<id>                     the commit that generation holds, when all of s<id> is there
//   r<branch>, t<tag>         a commit id; empty: the build
//   x<tile key>               entries of one tile that differ between the build and the base
//                             generation (db/keys.h): what verify and repair add to the weights
//   b                         the commit that the base generation holds; absent: the build
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/status/statusor.h"
#include "coding/patch_record.h"
#include "lutdb/history.h"

namespace lutdb {

std::string CommitKey(const std::string& id);
std::string PatchPrefix(const std::string& id);
std::string ValuesBeforeKey(const std::string& id);
std::string SnapshotPrefix(const std::string& id);
std::string SnapshotKey(const std::string& id);
std::string BranchKey(const std::string& branch);
std::string TagKey(const std::string& tag);
inline constexpr char kBaseCommitKey[] = "b";
// First key beyond every key that starts with prefix.
std::string PrefixEnd(std::string prefix);

// Tiles as map keys, in key order.
struct TileOrder {
  bool operator()(const TileId& a, const TileId& b) const {
    return std::tie(a.table, a.group, a.neuron_block) < std::tie(b.table, b.group, b.neuron_block);
  }
};
using TileChanges = std::map<TileId, TileDeltas, TileOrder>;

// changes := changes, then more.
void FoldAll(const TileChanges& more, TileChanges* changes);
// The change that undoes `changes`.
TileChanges Reversed(TileChanges changes);
uint64_t CountEntries(const TileChanges& changes);
// Sets every `before`, in the order of tiles and entries; one value each.
void SetValuesBefore(const std::vector<int16_t>& values, TileChanges* changes);
std::vector<int16_t> ValuesBefore(const TileChanges& changes);
// Removes entries whose value stays as it was.
void DropUnchanged(TileChanges* changes);

std::string TileSuffix(const TileId& tile);
absl::StatusOr<TileId> ParseTileSuffix(std::string_view suffix);

struct CommitRecord {
  CommitInfo info;
  uint64_t depth = 0;  // 1 + the deepest parent's
  // Commits and changed entries since the newest snapshot among the first parents: what reading
  // this commit costs. Not part of what the commit is.
  uint64_t chain_commits = 0;
  uint64_t chain_entries = 0;
};
// JSON text, so that a history can be read without lutdb.
std::string SerializeCommit(const CommitRecord& commit);
absl::StatusOr<CommitRecord> ParseCommit(const std::string& id, std::string_view bytes);
// XXH3-128 over the commit's fields and the new values of its patches, as 32 digits. (The values
// before are those of its first parent, whose id is among the fields.)
std::string CommitId(const CommitRecord& commit, const TileChanges& changes);

bool IsCommitId(const std::string& text);
// A usable branch or tag name: no path, nothing that could be a commit id.
bool IsRefName(const std::string& name);

}  // namespace lutdb
