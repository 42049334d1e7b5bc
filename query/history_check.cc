// History::Check: whether commits are what their ids say, and snapshots what the commits say.

#include <set>

#include "base/status.h"
#include "query/history_state.h"

namespace lutdb {
namespace {

class HistoryChecker {
 public:
  explicit HistoryChecker(const HistoryReader& history) : history_(history) {}

  absl::StatusOr<HistoryReport> Run() {
    LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs branches, history_.Branches());
    LUTDB_ASSIGN_OR_RETURN(const HistoryReader::Refs tags, history_.Tags());
    LUTDB_ASSIGN_OR_RETURN(const std::string base, history_.BaseCommit());
    std::set<std::string> heads = {base};
    for (const auto& [name, commit] : branches) heads.insert(commit);
    for (const auto& [name, commit] : tags) heads.insert(commit);
    for (const std::string& head : heads) waiting_.push_back(head);
    while (!waiting_.empty()) {
      const std::string id = waiting_.back();
      waiting_.pop_back();
      if (!id.empty() && seen_.insert(id).second) CheckCommit(id);
    }
    // Reading through damaged commits would only say the same again.
    if (!report_.problems.empty()) return std::move(report_);
    for (const std::string& id : seen_) CheckSnapshot(base, id);
    return std::move(report_);
  }

 private:
  void Add(const std::string& id, const std::string& problem) {
    report_.problems.push_back(fmt::format("commit {}: {}", id.substr(0, 12), problem));
  }

  void CheckCommit(const std::string& id) {
    ++report_.commits;
    const auto commit = history_.ReadCommit(id);
    if (!commit.ok()) return Add(id, Message(commit.status()));
    for (const std::string& parent : commit->info.parents) waiting_.push_back(parent);
    bool lacking = false;  // ids are of new values alone
    const auto patches = history_.ReadNewValues(id, &lacking);
    if (!patches.ok()) return Add(id, Message(patches.status()));
    if (CommitId(*commit, *patches) != id) Add(id, "its entries are not those it was made of");
  }

  // Against the commit and what lies below it, down to the next snapshot, which is checked itself:
  // so no chain is read twice, however many refs there are.
  void CheckSnapshot(const std::string& base, const std::string& id) {
    const auto has = history_.HasSnapshot(id, base);
    if (!has.ok()) return Add(id, Message(has.status()));
    if (!*has) return;
    const auto commit = history_.ReadCommit(id);
    if (!commit.ok()) return Add(id, Message(commit.status()));
    const auto snapshot = history_.FromBase(id);
    if (!snapshot.ok()) return Add(id, Message(snapshot.status()));
    auto whole = history_.FromBase(FirstParent(*commit));
    if (!whole.ok()) return Add(id, Message(whole.status()));
    const auto patches = history_.ReadPatches(id);
    if (!patches.ok()) return Add(id, Message(patches.status()));
    FoldAll(*patches, &*whole);
    // Folding the one's inverse into the other leaves nothing when they are the same.
    TileChanges rest = Reversed(*snapshot);
    FoldAll(*whole, &rest);
    if (CountEntries(rest) != 0 || CountEntries(*snapshot) != CountEntries(*whole))
      Add(id, "its snapshot is not what its commits say");
  }

  const HistoryReader& history_;
  std::vector<std::string> waiting_;
  std::set<std::string> seen_;
  HistoryReport report_;
};

}  // namespace

absl::StatusOr<HistoryReport> History::Check() const {
  const std::lock_guard lock(state_->mutex);
  LUTDB_RETURN_IF_ERROR(state_->Settle());
  return HistoryChecker(state_->history()).Run();
}

}  // namespace lutdb
