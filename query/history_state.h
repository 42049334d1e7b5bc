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

  // Edits as changes against the head of a branch; those that change nothing are left out.
  absl::StatusOr<TileChanges> Against(const std::string& branch, absl::Span<const EntryEdit> edits);

  // Writes a commit whose changes are against the head of the branch, durably, moves the branch and
  // tells the readers. second_parent: of a merge.
  absl::StatusOr<CommitInfo> Append(const std::string& branch, const TileChanges& changes,
                                    const CommitOptions& options, const std::string& second_parent);
  // Moves a branch to a commit that descends from where it is.
  absl::Status Forward(const std::string& branch, const std::string& commit);
  absl::Status CheckNewName(const std::string& name) const;
  absl::Status CheckEdit(const EntryEdit& edit) const;
  absl::Status Put(const std::string& key, const std::string& value, bool is_delete = false);

  std::string Where(uint32_t table, const DeltaPlace& place) const;
  std::vector<EntryChange> List(const TileChanges& changes) const;

  std::mutex mutex;
  std::string path;
  HistoryOptions options;
  std::unique_ptr<StoreReader> store;  // holds the lock when writing
  db::Rocks* rocks = nullptr;          // the store's own; null when reading
  std::unique_ptr<HistoryReader> reader;
  std::shared_ptr<CommitFeed> feed;
  std::map<std::string, std::shared_ptr<const Edits>> heads;

 private:
  absl::StatusOr<TileChanges> Sorted(TileChanges changes) const;
  absl::StatusOr<CommitRecord> Describe(const CommitOptions& options, const std::string& parent,
                                        const std::string& second_parent,
                                        const TileChanges& changes) const;
  absl::Status Announce(CommitFeed::Item item);
};

}  // namespace lutdb
