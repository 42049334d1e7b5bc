// What an open History holds, and how a commit is written. Internal to query.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lutdb/history.h"
#include "query/commit_feed.h"
#include "query/edits.h"
#include "query/history_reader.h"
#include "query/side_thread.h"
#include "query/store_reader.h"

namespace lutdb {

// Not thread-safe: the functions of History lock `mutex`.
struct History::State {
  static absl::StatusOr<std::unique_ptr<State>> Open(const std::string& path,
                                                     const HistoryOptions& options);

  const HistoryReader& history() const { return *reader; }
  const std::vector<TableGeometry>& geometries() const { return store->geometries(); }
  absl::Status CheckWritable() const;
  // Opens the store again after another generation took the place of the one that is open.
  absl::Status Reopen();

  // The edits at the head of a branch, kept from commit to commit. NotFound.
  absl::StatusOr<std::shared_ptr<const Edits>> Head(const std::string& branch);

  // Edits by tile, the values before not filled in. Errors of History::Preview.
  absl::StatusOr<TileChanges> NewValues(absl::Span<const EntryEdit> edits) const;
  // New values as changes against a commit; those that change nothing are left out.
  absl::StatusOr<TileChanges> Against(const Edits& head, TileChanges changes) const;

  // New values as a commit: quickly when they are few (quick_commit.cc). Errors of
  // History::Commit.
  absl::StatusOr<CommitInfo> Commit(const std::string& branch, absl::Span<const EntryEdit> edits,
                                    const CommitOptions& options);
  // Aborted when a caller's changes are not to the head of the branch.
  absl::Status CheckParent(const CommitOptions& options, const std::string& branch,
                           const std::string& head) const;
  // Writes a commit whose changes are against the head of the branch, durably, moves the branch and
  // tells the readers. second_parent: of a merge.
  absl::StatusOr<CommitInfo> Append(const std::string& branch, TileChanges changes,
                                    const CommitOptions& options, const std::string& second_parent);
  // Moves a branch to a commit that descends from where it is.
  absl::Status Forward(const std::string& branch, const std::string& commit);
  absl::Status CheckNewName(const std::string& name) const;
  absl::Status CheckEdit(const EntryEdit& edit) const;
  absl::Status Put(const std::string& key, const std::string& value, bool is_delete = false);
  // Writes what quick commits left for later. Before reading patches.
  absl::Status Settle();
  // Gives a commit of a killed process the values it replaced; written with what is written next.
  absl::Status Complete(const std::string& id);

  std::string Where(uint32_t table, const DeltaPlace& place) const;
  std::vector<EntryChange> List(const TileChanges& changes) const;

  explicit State(const std::string& store_path)
      : path(store_path), counter(CommitCounterPath(path)) {}
  ~State();

  std::mutex mutex;
  const std::string path;
  HistoryOptions options;
  std::unique_ptr<StoreReader> store;  // holds the lock when writing
  db::Rocks* rocks = nullptr;          // the store's own; null when reading
  std::unique_ptr<HistoryReader> reader;
  std::shared_ptr<CommitFeed> feed;
  CommitCounter counter;
  std::map<std::string, std::shared_ptr<const Edits>> heads;
  CommitRecord last_commit;  // that was written here
  // Values that the last quick commit replaced, for the next batch.
  std::vector<db::Write> values_before;

 private:
  absl::StatusOr<CommitRecord> ParentRecord(const std::string& id) const;
  absl::StatusOr<CommitRecord> Describe(const CommitOptions& options, const std::string& parent,
                                        const std::string& second_parent,
                                        const TileChanges& changes) const;
  // edited: entries that differ from the base at the commit.
  static bool SnapshotDue(const CommitRecord& commit, uint64_t edited);
  absl::StatusOr<CommitInfo> AppendChanges(const std::string& branch, TileChanges changes,
                                           const CommitOptions& options);
  absl::StatusOr<CommitInfo> CommitQuickly(const std::string& branch,
                                           std::shared_ptr<const Edits> head, CommitRecord commit,
                                           TileChanges values, const CommitOptions& options);
  absl::Status TakeBack(const std::string& branch, const std::string& parent,
                        const CommitRecord& commit, const TileChanges& values);
  absl::Status Write(std::vector<db::Write> writes);
  // A commit is durable: moves the branch in memory and tells the readers.
  absl::Status Advance(const std::string& branch, const std::string& parent,
                       std::shared_ptr<const Edits> next, TileChanges changes);

  std::shared_ptr<const Edits> retired_;  // freed by the side thread
  std::unique_ptr<SideThread> side_;      // last: it works on the others
};

// Records of a commit, for one batch.
void PutTiles(const std::string& prefix, const TileChanges& changes, PatchValues values,
              std::vector<db::Write>* writes);
void PutCommit(const std::string& branch, const CommitRecord& commit,
               std::vector<db::Write>* writes);

}  // namespace lutdb
