// Reads commits, refs and what changed between them from the `history` family of one database.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coding/levels.h"
#include "db/rocks.h"
#include "query/edits.h"
#include "query/history_records.h"
#include "query/store_reader.h"

namespace lutdb {

// Reads of an open database: what a writer commits later through the same Rocks is seen, what
// another process commits is not. Thread-safe; its arguments outlive it.
class HistoryReader {
 public:
  explicit HistoryReader(const StoreReader& base) : HistoryReader(base.rocks(), base, nullptr) {}
  // known: the entries of `base`, whose generation need not be that of `rocks`, at some commit.
  HistoryReader(const db::Rocks& rocks, const StoreReader& base, const Edits* known)
      : rocks_(rocks),
        base_(base),
        known_(known),
        geometries_(base.geometries()),
        store_(base.path()) {}

  using Refs = std::map<std::string, std::string>;  // name -> commit id; "": the build
  // "main" is always there.
  absl::StatusOr<Refs> Branches() const;
  absl::StatusOr<Refs> Tags() const;
  // The commit at the head of a branch; NotFound.
  absl::StatusOr<std::string> BranchHead(const std::string& branch) const;
  // Of a branch, a tag, a commit id or a prefix of one. NotFound, InvalidArgument when ambiguous.
  absl::StatusOr<std::string> Resolve(const std::string& ref) const;

  // Whether there is such a commit; "", the build, always is.
  bool Holds(const std::string& id) const {
    return id.empty() ||
           !absl::IsNotFound(rocks_.Get(db::Family::kHistory, CommitKey(id)).status());
  }
  absl::StatusOr<CommitRecord> ReadCommit(const std::string& id) const;
  // The entries that a commit changed.
  absl::StatusOr<TileChanges> ReadPatches(const std::string& id) const;
  // The entries that a commit set, among them those that had the value already (a killed process
  // can leave such). *looked_up: whether the values before were nowhere but at the parent.
  absl::StatusOr<TileChanges> ReadWhole(const std::string& id, bool* looked_up) const;
  // The same, each `before` as its patch has it: 0 for want of the value.
  absl::StatusOr<TileChanges> ReadNewValues(const std::string& id, bool* lacking) const;
  // Whether the values that a commit replaced are in the history. They are not before the next
  // commit, or when its writer was killed: then they are looked up at its parent.
  absl::StatusOr<bool> HasValuesBefore(const std::string& id) const;
  // What a commit changed in one tile; often nothing.
  absl::StatusOr<TileDeltas> ReadPatch(const std::string& id, const TileId& tile) const;

  // Whether there is a snapshot at a commit that says how it differs from the base.
  absl::StatusOr<bool> HasSnapshot(const std::string& id, const std::string& base) const;
  // The commit that the base generation holds; "": the build.
  absl::StatusOr<std::string> BaseCommit() const;
  // How a commit differs from the base generation: by its first parents up to the newest snapshot.
  absl::StatusOr<TileChanges> FromBase(const std::string& to) const;
  // Entries that differ between two commits, by following first parents to where their chains meet:
  // the cost follows what was committed since.
  absl::StatusOr<TileChanges> Difference(const std::string& from, const std::string& to) const;
  // The newest commit both descend from; "" at the latest.
  absl::StatusOr<std::string> MergeBase(const std::string& a, const std::string& b) const;
  // Newest first along all parents.
  absl::StatusOr<std::vector<CommitRecord>> Ancestry(const std::string& from,
                                                     uint64_t count_max) const;

 private:
  absl::StatusOr<Refs> ReadRefs(const std::string& prefix) const;
  absl::StatusOr<TileDeltas> ReadTile(const TileId& tile, std::string_view bytes,
                                      bool* lacking) const;
  absl::StatusOr<TileChanges> ReadTiles(const std::string& prefix, bool* lacking) const;
  absl::Status LookUpValuesBefore(const std::string& id, TileChanges* changes) const;
  absl::StatusOr<TileChanges> FoldChain(const std::vector<std::string>& newest_first,
                                        TileChanges start) const;
  const TableGeometry* GeometryOf(const TileId& tile) const;  // null: there is no such tile

  const db::Rocks& rocks_;
  const StoreReader& base_;
  const Edits* const known_;
  const std::vector<TableGeometry>& geometries_;
  const std::string store_;
};

// The parent whose chain a commit continues; "": the build.
inline std::string FirstParent(const CommitRecord& commit) {
  return commit.info.parents.empty() ? "" : commit.info.parents.front();
}

}  // namespace lutdb
