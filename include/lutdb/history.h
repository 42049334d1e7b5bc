// The edit history of a store: commits, branches and tags over its entries, as people know them
// from source code. Records of the base are never rewritten by an edit; a commit holds, for each
// entry it touches, the value before and after, and readers see base plus edits.
//
//   auto history = lutdb::History::Open("model.lut", {.write = true});
//   (*history)->Commit("main", {{.table = 0, .neuron = 5, .chunk = 2, .code = 9, .value = 17}},
//                      {.author = "me", .message = "try 17"});
//
// A commit is atomic and durable when the call returns, and visible to the next batch of every open
// reader, in this process and in others. A history opened for writing holds the store's writer lock
// while it lives. Thread-safe. Errors are absl::Status with one clear line; after an error the
// store is as it was before the call, except where a write or sync failed: then the commit may be
// found, whole, when the store is opened again. Writing with a history that was opened for reading
// is FailedPrecondition.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/options.h"
#include "lutdb/store.h"
#include "lutdb/types.h"

namespace lutdb {

struct HistoryOptions {
  bool write = false;        // false: reading only, takes no lock
  double wait_seconds = 30;  // writers: how long to wait for another writer
};

// A new value for one entry, as a stored integer (real value / step).
struct EntryEdit {
  uint32_t table = 0;  // index into StoreInfo::tables
  uint32_t neuron = 0;
  uint32_t chunk = 0;
  uint32_t code = 0;
  int32_t value = 0;
};

struct EntryChange {
  uint32_t table = 0;
  uint32_t neuron = 0;
  uint32_t chunk = 0;
  uint32_t code = 0;
  int16_t before = 0;
  int16_t after = 0;
  bool operator==(const EntryChange&) const = default;
};

struct CommitInfo {
  std::string id;                    // 32 hex digits
  std::vector<std::string> parents;  // none: the commit's parent is the build
  std::string author;
  int64_t time = 0;  // seconds since 1970, UTC
  std::string message;
  std::string notes;     // a JSON object, or empty: figures measured before and after, ...
  uint64_t entries = 0;  // changed
};

struct CommitOptions {
  std::string author = {};
  std::string message = {};
  std::string notes = {};               // a JSON object, or empty
  int64_t time = 0;                     // 0: now
  const std::string* parent = nullptr;  // given: Aborted unless the branch still is at this commit
};

enum class MergeChoice : uint8_t { kRefuse, kOurs, kTheirs };

// One commit that set an entry, newest first in a list.
struct EntryOrigin {
  CommitInfo commit;
  int16_t before = 0;
  int16_t after = 0;
};

struct HistoryReport {
  uint64_t commits = 0;               // reachable from branches, tags and the base generation
  std::vector<std::string> problems;  // one line each
};

struct GcReport {
  uint64_t commits = 0;           // reachable from no branch or tag
  uint64_t patches = 0;           // records of them
  uint64_t generations = 0;       // old base generations that no reader uses
  uint64_t bytes = 0;             // on disk, freed (or to be freed)
  std::vector<std::string> kept;  // what could go but is in use, one line each
};

class History {
 public:
  // NotFound when there is no store; DataLoss when damaged; FailedPrecondition when another writer
  // keeps the lock beyond wait_seconds.
  static absl::StatusOr<std::unique_ptr<History>> Open(const std::string& store,
                                                       const HistoryOptions& options);
  ~History();
  History(const History&) = delete;

  // What the edits would change at the head of a branch; entries that keep their value are left
  // out. OutOfRange for an entry that does not exist, InvalidArgument for a value beyond the range
  // of the entry type or an entry named twice. Ordered by table, tile, chunk, code, neuron.
  absl::StatusOr<std::vector<EntryChange>> Preview(const std::string& branch,
                                                   absl::Span<const EntryEdit> edits) const;
  // Errors of Preview; FailedPrecondition when nothing changes.
  absl::StatusOr<CommitInfo> Commit(const std::string& branch, absl::Span<const EntryEdit> edits,
                                    const CommitOptions& options);

  // Takes back what `commit` (on the branch) changed. FailedPrecondition, naming the entry, when a
  // later commit changed it again, or when `commit` is not on the branch or changed nothing;
  // InvalidArgument for the build.
  absl::StatusOr<CommitInfo> Revert(const std::string& branch, const std::string& commit,
                                    const CommitOptions& options);
  // Three-way, entry by entry, against the newest common ancestor. Entries that both sides changed
  // to different values are listed in *conflicts ({before: ours, after: theirs}) and refused
  // (Aborted) unless `choice` says whose value holds. A branch that has nothing of its own since
  // the ancestor is moved forward without a commit of its own: the other's head is returned.
  // FailedPrecondition when there is nothing to merge. `conflicts` is cleared first; not null.
  absl::StatusOr<CommitInfo> Merge(const std::string& branch, const std::string& other,
                                   MergeChoice choice, const CommitOptions& options,
                                   std::vector<EntryChange>* conflicts);

  // A REF is a branch, a tag, a commit id or a unique prefix of one (at least 4 digits). Returns
  // the commit's id; "" is the build. NotFound, or InvalidArgument when ambiguous.
  absl::StatusOr<std::string> Resolve(const std::string& ref) const;
  // Newest first, along all parents; the build is not a commit.
  absl::StatusOr<std::vector<CommitInfo>> Log(const std::string& ref,
                                              uint64_t count_max = UINT64_MAX) const;
  absl::StatusOr<std::vector<EntryChange>> Changes(const std::string& commit) const;
  // Entries that differ between two refs; the cost follows the commits between them.
  absl::StatusOr<std::vector<EntryChange>> Diff(const std::string& from,
                                                const std::string& to) const;
  // The commits that set each key as seen from `ref`, newest first; empty: it is as built.
  absl::StatusOr<std::vector<std::vector<EntryOrigin>>> Blame(
      const std::string& ref, absl::Span<const EntryKey> keys) const;
  absl::StatusOr<Hash128> ContentHash(const std::string& ref) const;
  // Reads every commit that a ref leads to, makes its id again from what it holds, and compares
  // snapshots with the commits they stand for. Damage is in the report, not an error.
  absl::StatusOr<HistoryReport> Check() const;

  // Names: letters, digits and . _ - (not first), at most 64; no 32 hex digits.
  // InvalidArgument for another name, AlreadyExists, NotFound; "main" cannot be deleted.
  struct Ref {
    std::string name;
    std::string commit;
  };
  absl::StatusOr<std::vector<Ref>> Branches() const;
  absl::StatusOr<std::vector<Ref>> Tags() const;
  absl::Status CreateBranch(const std::string& name, const std::string& from);
  absl::Status DeleteBranch(const std::string& name);
  absl::Status CreateTag(const std::string& name, const std::string& at);
  absl::Status DeleteTag(const std::string& name);

  // Folds the edits of a ref into the records of a new base generation; every ref keeps its
  // entries and its log. Open readers keep the old generation until they open the store again.
  // Cancelled when cancelled: the store is as it was.
  absl::Status Bake(const std::string& ref, const ProgressFn& progress,
                    const std::atomic<bool>* cancel);
  // Frees what nothing refers to. dry_run: only reports.
  absl::StatusOr<GcReport> Gc(bool dry_run);

  struct State;  // internal to query

 private:
  explicit History(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lutdb
