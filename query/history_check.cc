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
    for (const std::string& head : heads) CheckSnapshots(base, head);
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

  void CheckSnapshots(const std::string& base, const std::string& head) {
    const auto quick = history_.FromBase(head);
    const auto whole = history_.Difference(base, head);
    if (!quick.ok()) return Add(head, Message(quick.status()));
    if (!whole.ok()) return Add(head, Message(whole.status()));
    // Folding the one's inverse into the other leaves nothing when they are the same.
    TileChanges rest = Reversed(*quick);
    FoldAll(*whole, &rest);
    if (CountEntries(rest) != 0 || CountEntries(*quick) != CountEntries(*whole))
      Add(head, "a snapshot on its way is not what its commits say");
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
