// query/quick_commit.cc: a small commit is written before the values it replaces are known; what is
// left of one whose process was killed then, or that turns out to change less, must not be seen.

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "base/status.h"
#include "db/manifest.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "query/history_records.h"
#include "tests/query/small_history.h"

namespace lutdb {
namespace {

using testing::At;
using testing::SmallStore;
using testing::SpecOf;
using testing::Writing;

class QuickCommitTest : public ::testing::Test {
 protected:
  // Takes away the values that a commit replaced, as a kill leaves it.
  void Strip(const std::string& id) {
    auto opened = db::OpenStore(store_.path(), db::Access::kWrite, db::OpenOptions());
    ASSERT_TRUE(opened.ok());
    ASSERT_TRUE(opened->rocks->Get(db::Family::kHistory, ValuesBeforeKey(id)).ok());
    ASSERT_TRUE(
        opened->rocks->Apply({{{db::Family::kHistory, ValuesBeforeKey(id), "", true}}}).ok());
  }
  const SmallStore store_{"history_quick", {SpecOf({})}};
};

TEST_F(QuickCommitTest, ValuesBeforeAreFoundAtTheParent) {
  std::vector<CommitInfo> commits;
  std::vector<std::vector<EntryChange>> changes;
  {
    auto history = Writing(store_);
    for (int i = 0; i < 3; ++i) {
      const auto commit =
          history->Commit("main", {{0, 3, 1, 2, 50 + i}, {0, 60u + i, 4, 1, 9}}, {});
      ASSERT_TRUE(commit.ok());
      commits.push_back(*commit);
      changes.push_back(*history->Changes(commit->id));
      EXPECT_EQ(changes.back().size(), 2u);
    }
  }
  const auto reader = At(store_, "main");
  Strip(commits.back().id);
  {
    const auto history = History::Open(store_.path(), {});
    EXPECT_EQ(*(*history)->Changes(commits[2].id), changes[2]);
    EXPECT_EQ((*history)->Diff(commits[0].id, "main")->size(), 3u);
    const auto blame = (*history)->Blame("main", {{0, 3, 1, 2}});
    ASSERT_EQ(blame->front().size(), 3u);
    EXPECT_EQ(blame->front()[0].before, 51);
    EXPECT_TRUE((*history)->Check()->problems.empty());
  }
  auto history = Writing(store_);
  const auto head = At(store_, "main");
  int16_t got = 0;
  ASSERT_TRUE(head->GetEntries({{0, 3, 1, 2}}, absl::MakeSpan(&got, 1)).ok());
  EXPECT_EQ(got, 52);
  // The next commit makes it whole, so that a bake can forget the parent.
  ASSERT_TRUE(history->Commit("main", {{0, 3, 1, 2, 7}}, {}).ok());
  ASSERT_TRUE(history->Bake("main", {}, nullptr).ok());
  EXPECT_EQ(*history->Changes(commits[2].id), changes[2]);
  EXPECT_TRUE(history->Revert("main", history->Log("main")->front().id, {}).ok());
  EXPECT_TRUE(history->Revert("main", commits[2].id, {}).ok());
  EXPECT_TRUE(history->Check()->problems.empty());
}

// Commits in a process that dies once the new values are durable.
void CommitAndDie(const SmallStore& store, const std::string& branch,
                  const std::vector<EntryEdit>& edits) {
  ::setenv("LUTDB_CRASH_AT", "write.logged", 1);
  (void)Writing(store)->Commit(branch, edits, {});
}

TEST_F(QuickCommitTest, WhatADeadWriterLeftUnchangedIsNoPartOfTheCommit) {
  ASSERT_TRUE(Writing(store_)->Commit("main", {{0, 3, 1, 2, 50}}, {}).ok());
  EXPECT_EXIT(CommitAndDie(store_, "main", {{0, 3, 1, 2, 50}, {0, 4, 1, 2, 51}}),
              ::testing::KilledBySignal(SIGKILL), "");
  auto history = Writing(store_);
  const std::string id = history->Log("main")->front().id;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(history->Changes(id)->size(), 1u);
    EXPECT_EQ(history->Blame(id, {{0, 3, 1, 2}})->front().size(), 1u);
    // Once more with the values that it replaced in the history.
    ASSERT_TRUE(history->Commit("main", {{0, 9, 1, 2, 70 + i}}, {}).ok());
  }
  EXPECT_TRUE(history->Check()->problems.empty());
}

TEST_F(QuickCommitTest, AReaderFollowsABranchThatLeftADeadWritersCommit) {
  ASSERT_TRUE(Writing(store_)->CreateBranch("dev", "main").ok());
  EXPECT_EXIT(CommitAndDie(store_, "dev", {{0, 3, 1, 2, 50}}), ::testing::KilledBySignal(SIGKILL),
              "");
  const auto reader = At(store_, "dev");
  int16_t before = 0, got = 0, base = 0;
  ASSERT_TRUE(reader->GetEntries({{0, 3, 1, 2}}, absl::MakeSpan(&got, 1)).ok());
  EXPECT_EQ(got, 50);
  ASSERT_TRUE(At(store_, "main")->GetEntries({{0, 3, 1, 2}}, absl::MakeSpan(&base, 1)).ok());
  {
    auto history = Writing(store_);
    ASSERT_TRUE(history->DeleteBranch("dev").ok());
    ASSERT_TRUE(history->CreateBranch("dev", "main").ok());
    ASSERT_TRUE(history->Commit("dev", {{0, 4, 1, 2, 60}}, {}).ok());
  }
  ASSERT_TRUE(reader->GetEntries({{0, 3, 1, 2}}, absl::MakeSpan(&before, 1)).ok());
  EXPECT_EQ(before, base);
  ASSERT_TRUE(reader->GetEntries({{0, 4, 1, 2}}, absl::MakeSpan(&got, 1)).ok());
  EXPECT_EQ(got, 60);
}

TEST_F(QuickCommitTest, WhatChangesNothingIsTakenBack) {
  auto history = Writing(store_);
  ASSERT_TRUE(history->Commit("main", {{0, 3, 1, 2, 50}}, {}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      history->Commit("main", {{0, 3, 1, 2, 50}}, {.message = "same"}).status()));
  const auto part = history->Commit("main", {{0, 3, 1, 2, 50}, {0, 4, 1, 2, 51}}, {});
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->entries, 1u);
  EXPECT_EQ(history->Log("main")->size(), 2u);
  EXPECT_EQ(history->Changes(part->id)->size(), 1u);
  const auto report = history->Gc(true);
  EXPECT_EQ(report->commits, 0u);
  EXPECT_TRUE(history->Check()->problems.empty());
}

}  // namespace
}  // namespace lutdb
