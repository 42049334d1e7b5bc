// Whole runs of training: seeds, interruption and resumption, searches, runs that diverge.
#include "engine/tune_run.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "engine/tune_start.h"
#include "tests/engine/tune_problem.h"

namespace lutdb {
namespace {

using testing::TwoTables;
using testing::Wave;

class TuneRun : public ::testing::Test {
 protected:
  TuneRun() {
    train_.resize(500);
    std::iota(train_.begin(), train_.end(), 0);
    valid_.resize(100);
    std::iota(valid_.begin(), valid_.end(), 500);
    options_.batch = 50;
    options_.epochs = 12;
    options_.threads = 1;
    options_.checkpoint_seconds = 0;
    folder_ =
        std::filesystem::temp_directory_path() / ("lutdb_tune_run_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    checkpoint_ = folder_ / "run.ckpt";
  }
  ~TuneRun() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<TuneRunResult> Run(const std::string& checkpoint, uint64_t fingerprint = 1) {
    TuneNetwork network = TwoTables(3, 4, 1, 15);
    StartEmptyTables(&network, 1, options_.seed);
    ThreadTeam team(options_.threads);
    TuneTrainer trainer(network, team);
    EXPECT_TRUE(trainer.Prepare(wave_.rows()).ok());
    return RunTraining(trainer, &network, train_, valid_, options_, checkpoint, fingerprint);
  }

  const Wave wave_{600};
  std::vector<uint32_t> train_, valid_;
  TuneOptions options_;
  std::filesystem::path folder_;
  std::string checkpoint_;
};

TEST_F(TuneRun, ASeedGivesOneResultForAnyNumberOfThreads) {
  const auto first = Run("");
  ASSERT_TRUE(first.ok()) << first.status();
  options_.threads = 2;
  EXPECT_EQ(Run("")->entries, first->entries);
  options_.seed = 2;
  EXPECT_NE(Run("")->entries, first->entries);
}

TEST_F(TuneRun, AnInterruptedRunGoesOnToTheSameResult) {
  for (const uint32_t search : {0u, 3u}) {
    options_.search = search;
    const auto whole = Run("");
    ASSERT_TRUE(whole.ok()) << whole.status();
    int pieces = 0;
    for (;; ++pieces) {
      std::atomic<bool> cancel{false};
      int epochs = 0;
      options_.cancel = &cancel;
      options_.progress = [&](const TuneProgress&) { cancel = ++epochs == 5; };
      const auto result = Run(checkpoint_);
      if (absl::IsCancelled(result.status())) continue;
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_TRUE(result->resumed);
      EXPECT_EQ(result->entries, whole->entries);
      EXPECT_EQ(result->learning_rate, whole->learning_rate);
      break;
    }
    EXPECT_GE(pieces, 2);
    options_.cancel = nullptr;
    options_.progress = nullptr;
    std::filesystem::remove(checkpoint_);
  }
}

TEST_F(TuneRun, CheckpointsOfOtherRunsAndDamagedOnesAreNotUsed) {
  ASSERT_TRUE(Run(checkpoint_, 1).ok());
  options_.epochs = 3;
  const auto fresh = Run("");
  // The finished run's checkpoint would end this one at once.
  const auto other = Run(checkpoint_, 2);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE(other->resumed);
  EXPECT_EQ(other->entries, fresh->entries);
  std::string bytes = *ReadFile(checkpoint_, 1 << 30);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  ASSERT_TRUE(WriteFileAtomically(checkpoint_, bytes).ok());
  const auto damaged = Run(checkpoint_, 2);
  ASSERT_TRUE(damaged.ok()) << damaged.status();
  EXPECT_FALSE(damaged->resumed);
  EXPECT_EQ(damaged->entries, fresh->entries);
}

// Whatever lies where the checkpoint goes is replaced: a file larger than any checkpoint, and one
// with the right fingerprint and hash whose arrays are not this network's.
TEST_F(TuneRun, FilesThatAreNoCheckpointsAreReplaced) {
  options_.epochs = 3;
  const auto fresh = Run("");
  ASSERT_TRUE(WriteFileAtomically(checkpoint_, kStateMagic).ok());
  std::filesystem::resize_file(checkpoint_, uintmax_t{17} << 30);  // holes: it takes no room
  const auto after_large = Run(checkpoint_);
  ASSERT_TRUE(after_large.ok()) << after_large.status();
  EXPECT_FALSE(after_large->resumed);
  EXPECT_LT(std::filesystem::file_size(checkpoint_), 1u << 20);

  const TuneNetwork network = TwoTables(3, 4, 1, 15);
  const std::vector<TuneMoments> none(network.tables.size());  // not a number for any entry
  const auto write = [&](CheckpointWriter& writer) { WriteState({}, network, none, writer); };
  ASSERT_TRUE(WriteCheckpoint(checkpoint_, kStateMagic, 1, write).ok());
  const auto after_crafted = Run(checkpoint_);
  ASSERT_TRUE(after_crafted.ok()) << after_crafted.status();
  EXPECT_FALSE(after_crafted->resumed);
  EXPECT_EQ(after_crafted->entries, fresh->entries);
}

TEST_F(TuneRun, CheckpointsOfCommitsThatTheBranchLeftAreRemoved) {
  const std::string a(32, 'a'), b(32, 'b');
  std::vector<std::string> paths;
  for (const auto& [branch, head] : {std::pair("main", ""), {"main-2", ""}, {"main", a.c_str()}}) {
    const auto path = CheckpointPath(folder_, branch, head, 7);
    ASSERT_TRUE(path.ok()) << path.status();
    ASSERT_TRUE(WriteFileAtomically(*path, "x").ok());
    paths.push_back(*path);
  }
  EXPECT_FALSE(PathExists(paths[0]));
  ASSERT_TRUE(CheckpointPath(folder_, "main", a, 8).ok());
  EXPECT_TRUE(PathExists(paths[2]));
  ASSERT_TRUE(WriteFileAtomically(paths[2] + ".tmp.tmp", "mine").ok());
  ASSERT_TRUE(CopyFile(paths[2], paths[2] + ".tmp").ok());
  ASSERT_TRUE(CheckpointPath(folder_, "main", b, 7).ok());
  EXPECT_FALSE(PathExists(paths[2]));
  EXPECT_FALSE(PathExists(paths[2] + ".tmp"));
  EXPECT_TRUE(PathExists(paths[2] + ".tmp.tmp"));
  EXPECT_TRUE(PathExists(paths[1]));
}

TEST_F(TuneRun, ASearchIsNeverWorseThanTheSettingsGiven) {
  const auto given = Run("");
  options_.search = 6;
  const auto found = Run("");
  ASSERT_TRUE(given.ok() && found.ok());
  const auto loss = [&](const TuneRunResult& result) {
    TuneNetwork network = TwoTables(3, 4, 1, 15);
    PutEntries(result.entries, &network);
    ThreadTeam team(1);
    TuneTrainer trainer(network, team);
    EXPECT_TRUE(trainer.Prepare(wave_.rows()).ok());
    return MeasureStored(trainer, &network, valid_)->loss;
  };
  EXPECT_LE(loss(*found), loss(*given));
}

TEST_F(TuneRun, ABudgetOfStepsIsKept) {
  options_.steps_max = 17;
  const auto result = Run("");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps, 17u);
  EXPECT_EQ(result->stopped, "steps");
}

TEST_F(TuneRun, ADivergingRunIsStoppedAndReported) {
  options_.learning_rate = 1e30;
  const auto result = Run("");
  EXPECT_TRUE(absl::IsFailedPrecondition(result.status())) << result.status();
  EXPECT_NE(result.status().ToString().find("diverged"), std::string::npos);
}

}  // namespace
}  // namespace lutdb
