// A reader's view of one ref of a store: the edits of its newest commit. A branch is followed, a
// tag or commit stays what it is.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "query/commit_feed.h"
#include "query/edits.h"
#include "query/store_reader.h"

namespace lutdb {

class BranchView {
 public:
  // store outlives the view. NotFound for an unknown ref, InvalidArgument for an ambiguous one.
  static absl::StatusOr<std::unique_ptr<BranchView>> Open(const StoreReader& store,
                                                          const std::string& ref);

  // The edits of the newest commit that was durable before the call, to be held for one batch.
  // Costs a few system calls when nothing was committed since. Thread-safe. Never null.
  absl::StatusOr<std::shared_ptr<const Edits>> Current();

  // The edits of the last call of Current (or of Open).
  std::shared_ptr<const Edits> latest() const;

 private:
  BranchView(const StoreReader& store, std::string branch)
      : store_(store),
        branch_(std::move(branch)),
        counter_path_(CommitCounterPath(store.path())),
        feed_(CommitFeed::Of(store.path())) {}
  bool TakePublished();
  absl::Status ReadAgain(uint64_t counter);

  const StoreReader& store_;
  const std::string branch_;  // empty: a fixed commit
  const std::string counter_path_;
  const std::shared_ptr<CommitFeed> feed_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Edits> edits_;
  uint64_t published_ = 0;  // of the feed, taken so far
  uint64_t counter_ = 0;    // of the store, taken so far
};

}  // namespace lutdb
