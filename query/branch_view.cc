#include "query/branch_view.h"

#include "base/status.h"
#include "db/manifest.h"
#include "query/history_reader.h"

namespace lutdb {

absl::StatusOr<std::unique_ptr<BranchView>> BranchView::Open(const StoreReader& store,
                                                             const std::string& ref) {
  HistoryReader history(store);
  LUTDB_ASSIGN_OR_RETURN(const std::string commit, history.Resolve(ref));
  const bool is_branch = history.BranchHead(ref).ok();
  auto view = std::unique_ptr<BranchView>(new BranchView(store, is_branch ? ref : ""));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history.FromBase(commit));
  view->edits_ = Edits().With(changes, commit, store.geometries());
  // Read last time before what was just read: the first Current looks again, and finds nothing or
  // what was committed meanwhile.
  view->published_ = view->feed_->published();
  view->counter_ = store.commit_counter();
  return view;
}

std::shared_ptr<const Edits> BranchView::latest() const {
  const std::lock_guard lock(mutex_);
  return edits_;
}

absl::StatusOr<std::shared_ptr<const Edits>> BranchView::Current() {
  const std::lock_guard lock(mutex_);
  if (branch_.empty()) return edits_;
  const uint64_t counter = ReadCommitCounter(counter_path_);
  if (counter == counter_ && feed_->published() == published_) return edits_;
  const bool lowered = counter < counter_;  // somebody removed the file
  if (TakePublished() && counter <= counter_ && !lowered) return edits_;
  LUTDB_RETURN_IF_ERROR(ReadAgain(counter));
  return edits_;
}

// Follows the commits of this process; false when they do not lead on from what is held.
bool BranchView::TakePublished() {
  const auto items = feed_->Since(published_);
  if (!items.has_value()) return false;
  bool complete = true;
  for (const CommitFeed::Item& item : *items) {
    ++published_;
    const bool in_order = item.counter == counter_ + 1;
    const bool mine = item.branch == branch_;
    if (!in_order || (mine && item.parent != edits_->commit())) {
      complete = complete && item.counter <= counter_;  // already read from the history
      continue;
    }
    if (mine) edits_ = edits_->With(*item.changes, item.commit, store_.geometries());
    counter_ = item.counter;
  }
  return complete;
}

absl::Status BranchView::ReadAgain(uint64_t counter) {
  db::OpenOptions options;
  options.history_only = true;
  const uint64_t published = feed_->published();
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<db::Rocks> rocks,
                         db::OpenHistory(store_.path(), options));
  std::shared_ptr<const Edits> known = edits_;
  const HistoryReader alone(*rocks, store_, nullptr);
  bool leads_on = alone.Holds(known->commit());
  if (leads_on) {
    LUTDB_ASSIGN_OR_RETURN(leads_on, alone.HasValuesBefore(known->commit()));
  }
  if (!leads_on) {
    // Seen before its writer took it back, or was killed (quick_commit.cc): the way from it is not
    // known without what it replaced, so begin again at the base.
    LUTDB_ASSIGN_OR_RETURN(const std::string base, HistoryReader(store_).BaseCommit());
    known = Edits().With({}, base, store_.geometries());
  }
  const HistoryReader history(*rocks, store_, known.get());
  LUTDB_ASSIGN_OR_RETURN(const std::string head, history.BranchHead(branch_));
  LUTDB_ASSIGN_OR_RETURN(const TileChanges changes, history.Difference(known->commit(), head));
  edits_ = known->With(changes, head, store_.geometries());
  counter_ = counter;
  published_ = published;
  return absl::OkStatus();
}

}  // namespace lutdb
