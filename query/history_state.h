// The open history of one store: refs and heads over the `history` family. Internal to query.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "db/manifest.h"
#include "lutdb/history.h"
#include "query/history_records.h"
#include "query/store_reader.h"

namespace lutdb {

// Not thread-safe: History locks around it.
class HistoryState {
 public:
  static absl::StatusOr<std::unique_ptr<HistoryState>> Open(const std::string& path,
                                                            const HistoryOptions& options);

  const StoreReader& reader() const { return *reader_; }
  const std::map<std::string, std::string>& branches() const { return branches_; }
  const std::map<std::string, std::string>& tags() const { return tags_; }

  absl::StatusOr<std::string> Resolve(const std::string& ref) const;
  absl::StatusOr<std::string> BranchHead(const std::string& branch) const;
  absl::StatusOr<CommitRecord> ReadCommit(const std::string& id) const;
  absl::StatusOr<TileChanges> ReadPatches(const std::string& id) const;

  // How the head of a branch differs from the base in one tile (empty: not at all). Cached.
  absl::StatusOr<const TileDeltas*> Head(const std::string& branch, const TileId& tile);
  // Every tile in which it differs.
  absl::StatusOr<TileChanges> AllHeads(const std::string& branch) const;

  // Writes a commit whose changes are against the branch's head, durably, and moves the branch.
  absl::StatusOr<CommitInfo> Append(const std::string& branch, TileChanges changes,
                                    const CommitOptions& options, const std::string& second_parent);

  absl::Status PutRef(const std::string& key, const std::string& commit);
  absl::Status CopyBranch(const std::string& name, const std::string& commit);
  absl::Status RemoveBranch(const std::string& name);
  absl::Status RemoveTag(const std::string& name);

  // Entries that differ between two commits ("": the build), by following first parents to where
  // their chains meet: the cost follows what changed since.
  absl::StatusOr<TileChanges> Difference(const std::string& from, const std::string& to) const;
  // The deepest commit both descend from.
  absl::StatusOr<std::string> MergeBase(const std::string& a, const std::string& b) const;
  // Newest first along all parents.
  absl::StatusOr<std::vector<CommitRecord>> Ancestry(const std::string& from,
                                                     uint64_t count_max) const;

 private:
  absl::StatusOr<TileChanges> ReadTiles(const std::string& prefix) const;
  const TableGeometry* GeometryOf(const TileId& tile) const;  // null: there is no such tile
  absl::Status LoadRefs();
  absl::Status CheckWritable() const;

  bool writable_ = false;
  db::OpenedStore opened_;  // holds the lock when writable
  std::unique_ptr<StoreReader> reader_;
  std::map<std::string, std::string> branches_, tags_;
  std::map<std::string, TileChanges> heads_;  // cache: tiles read so far, empty ones included
};

std::vector<EntryChange> ListChanges(const StoreReader& reader, const TileChanges& changes);

}  // namespace lutdb
