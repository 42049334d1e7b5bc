// Samples of every campaign, in seconds; `./dev soak` runs them at length. A failure prints the
// place and the seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/lost_mapping.h"
#include "base/status.h"
#include "lutdb/build.h"
#include "query/row_source.h"
#include "tests/fault/campaigns.h"
#include "tests/fault/disk_replay.h"
#include "tests/fault/faulty_calls.h"
#include "tests/fault/flips.h"
#include "tests/fault/in_child.h"
#include "tests/scratch_directory.h"

namespace lutdb::fault {
namespace {

using ::testing::IsEmpty;

// LUTDB_FAULT_SEED repeats a run; otherwise every run tries other places.
uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("LUTDB_FAULT_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device()();
  }();
  return seed;
}

class FaultTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // In memory, where syncs cost nothing; what is not synced is lost by the harness, not the disk.
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", /*overwrite=*/0);
    scratch_ = new ScratchDirectory;
    workloads_ = new Workloads(*scratch_ / "w", /*seed=*/1);
  }
  static void TearDownTestSuite() {
    delete workloads_;
    delete scratch_;
  }
  void Expect(const Tally& tally) {
    EXPECT_THAT(tally.violations, IsEmpty()) << "LUTDB_FAULT_SEED=" << Seed();
    EXPECT_GT(tally.cases, 0);
  }
  static ScratchDirectory* scratch_;
  static Workloads* workloads_;
};
ScratchDirectory* FaultTest::scratch_ = nullptr;
Workloads* FaultTest::workloads_ = nullptr;

TEST_F(FaultTest, FailedCallsAreErrorsAndLoseNothing) {
  for (const Workload& workload : workloads_->all()) {
    Tally tally = FailEveryCall(*workloads_, workload.name, Effect::kFail, 97, Seed());
    EXPECT_GT(tally.errors, 0) << workload.name;
    Expect(tally);
  }
  Expect(FailEveryCall(*workloads_, "commit", Effect::kTear, 31, Seed()));
}

TEST_F(FaultTest, WrongReadsGiveNoWrongValue) {
  for (const char* name : {"build", "bake", "repair"}) {
    Expect(FailEveryCall(*workloads_, name, Effect::kFlip, 41, Seed()));
  }
}

// What repair could not read for want of files or of the disk's answer is not made again: it ends,
// or what it rebuilt is what it rebuilds without faults.
TEST_F(FaultTest, RepairTakesNoFailedReadForDamage) {
  const std::string room = *scratch_ / "unread", store = room + "/s";
  const auto rebuilt = [&](int64_t nth, int error) {
    CopyFolder(workloads_->Get("repair").start, room);
    Watch(store);
    if (nth > 0) Arm(Effect::kFail, Call::kRead, nth, /*sticky=*/false, error);
    const Ending ending = InChild([&] {
      VerifyOptions options;
      options.threads = 1;
      const auto report = RepairStore(store, options);
      if (!report.ok()) return "error: " + Message(report.status());
      return fmt::format("{} files, {} unrecoverable", report->files_rebuilt,
                         report->unrecoverable.size());
    });
    EXPECT_TRUE(ending.exited) << "signal " << ending.signal;
    return ending.message;
  };
  const std::string clean = rebuilt(0, 0);
  EXPECT_THAT(clean, ::testing::EndsWith(" files, 0 unrecoverable"));
  const int64_t reads = ThePlan().count[static_cast<int>(Call::kRead)];
  int errors = 0;
  for (int64_t i = 1; i <= reads; ++i) {
    const std::string ending = rebuilt(i, i % 2 ? EMFILE : EIO);
    Unwatch();
    if (ending == clean) continue;
    EXPECT_THAT(ending, ::testing::StartsWith("error: ")) << "read " << i;
    ++errors;
  }
  EXPECT_GT(errors, 0);
}

TEST_F(FaultTest, ASlowDiskIsOnlySlow) {
  const Tally tally = FailEveryCall(*workloads_, "commit", Effect::kSlow, 1000, Seed());
  EXPECT_THAT(tally.violations, IsEmpty());
  EXPECT_EQ(tally.errors, 0);
}

TEST_F(FaultTest, KilledAtAnyCall) {
  for (const Workload& workload : workloads_->all()) {
    const Tally tally = KillAtCalls(*workloads_, workload.name, 4, Seed());
    EXPECT_GT(tally.killed, 0) << workload.name;
    Expect(tally);
  }
}

TEST_F(FaultTest, KilledAtAnyMoment) {
  for (const Workload& workload : workloads_->all()) {
    Expect(KillAtRandom(*workloads_, workload.name, 3, Seed()));
  }
}

TEST_F(FaultTest, KilledAtEveryCrashPoint) {
  std::set<std::string> reached;
  for (const char* name : {"build", "bake", "repair", "backup"}) {
    Expect(DieAtCrashPoints(*workloads_, name, /*times=*/1, &reached));
  }
  for (const char* point : CrashPoints()) {
    EXPECT_TRUE(reached.contains(point)) << "no workload comes by " << point;
  }
}

TEST_F(FaultTest, ThePowerCutAtAnyMoment) {
  for (const Workload& workload : workloads_->all()) {
    if (workload.name == "arena") continue;  // nothing of it is promised to last
    Expect(CutPower(*workloads_, workload.name, 12, /*obeys_syncs=*/true, Seed()));
  }
}

// A disk that forgets its syncs does lose, or the campaign above would be blind.
TEST_F(FaultTest, WithoutSyncsAPowerCutLoses) {
  for (const char* name : {"build", "commit", "merge", "bake"}) {
    const Tally tally = CutPower(*workloads_, name, 16, /*obeys_syncs=*/false, Seed());
    EXPECT_GT(tally.lost, 0) << name << ", LUTDB_FAULT_SEED=" << Seed();
  }
}

TEST_F(FaultTest, OutOfMemory) {
  for (const char* name : {"build", "commit", "bake"}) {
    Expect(ExhaustMemory(*workloads_, name, 8, Seed()));
  }
}

TEST_F(FaultTest, ASpoiltBitIsFoundAndNeverRead) {
  const FlipTally tally = FlipBits(*workloads_, 40, Seed());
  EXPECT_THAT(tally.violations, IsEmpty()) << "LUTDB_FAULT_SEED=" << Seed();
  int64_t found = 0;
  for (const auto& [kind, counts] : tally.kinds) found += counts.found;
  EXPECT_GT(found, 0);
}

TEST_F(FaultTest, APlainCopyBesideAWriterIsOfSomeMomentOrRefused) {
  const Tally tally = CopyMeanwhile(*workloads_, 6, Seed());
  Expect(tally);
  EXPECT_EQ(tally.cases, tally.successes + tally.errors);
}

TEST_F(FaultTest, ReadersBesideAWriter) { Expect(ReadMeanwhile(*workloads_, Seed())); }

// Cut short while it is mapped: one line and an exit, no made-up value; the next process is right.
TEST_F(FaultTest, AnArenaFileCutWhileItIsInUse) {
  const std::string room = *scratch_ / "cut_arena", store = room + "/s";
  CopyFolder(workloads_->Get("arena").start, room);
  const Ending ending = InChild([&]() -> std::string {
    ExitWhenAMappingIsLost();
    (void)!::freopen("/dev/null", "w", stderr);  // where the line goes
    auto reader = StoreReader::Open(store, 1 << 20);
    if (!reader.ok()) return Message(reader.status());
    auto rows = RowSource::Create(**reader, {.arena_bytes = 1 << 20, .threads = 1});
    if (!rows.ok()) return Message(rows.status());
    PinnedRows pinned;
    const std::vector<uint16_t> codes((*rows)->ChunksPerPin(0) > 13 ? 13 : 1, 2);
    for (int i = 0; i < 2; ++i) {
      if (const absl::Status status = (*rows)->Pin(0, 0, codes, &pinned); !status.ok()) {
        return Message(status);
      }
    }
    for (const auto& file : std::filesystem::directory_iterator(store + "/arena")) {
      if (file.path().extension() == ".rows") std::filesystem::resize_file(file.path(), 0);
    }
    const volatile auto* row = static_cast<const volatile int16_t*>(pinned.rows()[0]);
    return fmt::format("entry {}", int{row[0]});
  });
  EXPECT_TRUE(ending.exited) << "signal " << ending.signal;
  EXPECT_EQ(ending.message, "");
  const Ending after = InChild([&] { return workloads_->Get("arena").check(store, 0, true); });
  EXPECT_TRUE(after.ok) << after.message;
}

// What the model of a power cut itself keeps and loses.
TEST(ReplayedDisk, KeepsWhatWasSynced) {
  const ScratchDirectory scratch;
  ASSERT_TRUE(MakeDirectory(scratch / "start").ok());
  ASSERT_TRUE(MakeDirectory(scratch / "start/s").ok());
  ASSERT_TRUE(WriteFileAtomically(scratch / "start/s/old", "old").ok());
  ReplayedDisk disk("/x/s", scratch / "start/s", true);
  disk.Apply({.change = Change::kCreate, .file = 1, .path = "/x/s/new"});
  disk.Apply({.change = Change::kWrite, .file = 1, .offset = 0, .bytes = "first"});
  disk.Apply({.change = Change::kSync, .file = 1});
  disk.Apply({.change = Change::kWrite, .file = 1, .offset = 5, .bytes = "second"});
  std::mt19937_64 random(1);
  const auto after = [&](const char* name) {
    disk.WriteAfter(Cut::kNothingUnsynced, &random, scratch / name);
    return std::string(scratch / name);
  };
  // The file is safe, its name is not.
  EXPECT_FALSE(PathExists(after("a") + "/new"));
  disk.Apply({.change = Change::kSyncDirectory, .path = "/x/s"});
  EXPECT_EQ(*ReadFile(after("b") + "/new", 100), "first");
  disk.Apply({.change = Change::kRename, .path = "/x/s/new", .to = "/x/s/old"});
  EXPECT_EQ(*ReadFile(after("c") + "/old", 100), "old");
  disk.Apply({.change = Change::kSyncDirectory, .path = "/x/s"});
  const std::string d = after("d");
  EXPECT_EQ(*ReadFile(d + "/old", 100), "first");
  EXPECT_FALSE(PathExists(d + "/new"));
  disk.WriteAfter(Cut::kEverything, &random, scratch / "e");
  EXPECT_EQ(*ReadFile(scratch / "e/old", 100), "firstsecond");
}

TEST(InChild, TellsHowWorkEnds) {
  EXPECT_TRUE(InChild([] { return std::string(); }).ok);
  EXPECT_EQ(InChild([] { return std::string("no"); }).message, "no");
  EXPECT_EQ(InChild([] { return std::abort(), std::string(); }).signal, SIGABRT);
  EXPECT_TRUE(InChild(
                  [] {
                    for (;;) ::usleep(1000);
                    return std::string();
                  },
                  0.05)
                  .hung);
}

}  // namespace
}  // namespace lutdb::fault
