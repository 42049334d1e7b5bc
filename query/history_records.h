// What the `history` family holds, as keys and values. docs/format.md, "History".
//
//   c<id>                     commit
//   p<id><tile key>           entries a commit changed in one tile (coding/patch_record.h)
//   h<branch>\0<tile key>     entries of one tile that differ from the base at the head of a branch
//   r<branch>, t<tag>         commit id; empty: the build
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coding/patch_record.h"
#include "lutdb/history.h"

namespace lutdb {

std::string CommitKey(const std::string& id);
std::string PatchPrefix(const std::string& id);
std::string HeadPrefix(const std::string& branch);
std::string BranchKey(const std::string& branch);
std::string TagKey(const std::string& tag);
// First key beyond every key that starts with prefix.
std::string PrefixEnd(std::string prefix);

// Tiles as map keys, in key order.
struct TileOrder {
  bool operator()(const TileId& a, const TileId& b) const {
    return std::tie(a.table, a.group, a.neuron_block) < std::tie(b.table, b.group, b.neuron_block);
  }
};
using TileChanges = std::map<TileId, TileDeltas, TileOrder>;

std::string TileSuffix(const TileId& tile);
absl::StatusOr<TileId> ParseTileSuffix(std::string_view suffix);

struct CommitRecord {
  CommitInfo info;
  uint64_t depth = 0;  // 1 + the deepest parent's
};
// JSON text, so that a store can be read without lutdb.
std::string SerializeCommit(const CommitRecord& commit);
absl::StatusOr<CommitRecord> ParseCommit(const std::string& id, std::string_view bytes);
// XXH3-128 over the commit's fields and its patches.
std::string CommitId(const CommitRecord& commit, const TileChanges& changes);

// A usable branch or tag name.
bool IsRefName(const std::string& name);

}  // namespace lutdb
