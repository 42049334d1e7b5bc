// A build killed at any moment goes on where it was. The library is used in child processes only,
// so that each starts as a program does.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "db/manifest.h"
#include "db/store_files.h"
#include "ingest/journal.h"
#include "tests/ingest/built_stores.h"

namespace lutdb {
namespace {

pid_t InChild(const std::function<bool()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work() ? 0 : 1);
  return child;
}

// True when the child ended by itself, and well.
bool Succeeds(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "the build failed";
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool Build(const std::string& model, const std::string& store) {
  const auto built = BuildStore(model, store, {});
  if (!built.ok()) fprintf(stderr, "%s\n", Message(built.status()).c_str());
  return built.ok();
}

std::map<uint64_t, RangeResult> SealedRanges(const std::string& store) {
  const auto state = ReadJournal(db::JournalPath(db::PartialPath(store)));
  EXPECT_TRUE(state.ok()) << state.status();
  return state.ok() ? state->sealed : std::map<uint64_t, RangeResult>();
}

class Killer {
 public:
  Killer(std::string model, std::string store, uint32_t seed)
      : model_(std::move(model)), store_(std::move(store)), random_(seed) {}

  // Runs the build until it is killed or done; true when done. A range that was sealed before is
  // never made again: it would be sealed twice, and the journal's line count shows it.
  bool RunAndKill(int longest_us) {
    const auto before = SealedRanges(store_);
    const pid_t child = InChild([&] { return Build(model_, store_); });
    const int delay = std::uniform_int_distribution<int>(0, longest_us)(random_);
    std::this_thread::sleep_for(std::chrono::microseconds(delay));
    kill(child, SIGKILL);
    if (Succeeds(child)) return true;
    if (std::filesystem::exists(store_)) return true;  // killed after its last step
    const auto after = SealedRanges(store_);
    for (const auto& [range, result] : before) {
      const auto found = after.find(range);
      EXPECT_TRUE(found != after.end() && found->second == result)
          << "range " << range << " was lost or made again";
    }
    return false;
  }

 private:
  std::string model_, store_;
  std::mt19937 random_;
};

TEST(ResumeTest, KilledAtFiftyMomentsEndsTheSame) {
  constexpr int kKills = 50;
  const TestDirectory directory;
  const std::string model =
      WriteTinyLlama(directory, {.hidden = 128, .intermediate = 256, .layers = 6});
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Succeeds(InChild([&] { return Build(model, directory.At("whole")); })));
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  const auto seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  int kills = 0, rounds = 0;
  while (kills < kKills) {
    ASSERT_LT(rounds, 2 * kKills) << "builds end before they can be killed";
    const std::string store = directory.At(fmt::format("round{}", rounds++));
    Killer killer(model, store, static_cast<uint32_t>(seed + rounds));
    while (kills < kKills && !killer.RunAndKill(static_cast<int>(took.count() / 2))) ++kills;
    ASSERT_TRUE(Succeeds(InChild([&] { return Build(model, store); })));
    const bool same = Succeeds(InChild([&] {
      VerifyOptions options;
      options.deep = true;
      const auto report = VerifyStore(store, options);
      const auto killed = db::OpenStore(store, db::Access::kRead, {});
      const auto whole = db::OpenStore(directory.At("whole"), db::Access::kRead, {});
      return report.ok() && report->clean && killed.ok() && whole.ok() &&
             killed->manifest.content_hash == whole->manifest.content_hash &&
             killed->manifest.graph_hash == whole->manifest.graph_hash &&
             killed->manifest.ranges == whole->manifest.ranges;
    }));
    ASSERT_TRUE(same) << store;
    std::filesystem::remove_all(store);
  }
}

// Lines with good checksums, from another hand.
TEST(ResumeTest, RangesBeyondThePlanAreNotFollowed) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {});
  const std::string store = directory.At("s");
  ASSERT_TRUE(Succeeds(InChild([&] {
    std::atomic<bool> cancel{false};
    BuildOptions options;
    options.threads = 1;
    options.cancel = &cancel;
    options.progress = [&](const Progress& p) { cancel = std::string(p.stage) == "records"; };
    const auto built = BuildStore(model, store, options);
    return built.ok() || built.status().code() == absl::StatusCode::kCancelled;
  })));
  if (std::filesystem::exists(store))
    GTEST_SKIP() << "the build was done before it could be stopped";
  const std::string journal = db::JournalPath(db::PartialPath(store));
  auto state = ReadJournal(journal);
  ASSERT_TRUE(state.ok() && state->has_plan);
  const size_t sealed = state->sealed.size();
  for (const uint64_t beyond : {uint64_t{5000}, UINT64_MAX}) state->sealed[beyond] = {};
  ASSERT_TRUE(JournalWriter::Resume(journal, *state).ok());
  ASSERT_TRUE(Succeeds(InChild([&] {
    const auto built = BuildStore(model, store, {});
    return built.ok() && built->ranges_resumed == sealed;
  })));
}

TEST(ResumeTest, CountsFinishedRangesAndIgnoresATornLine) {
  const TestDirectory directory;
  const std::string model = WriteTinyLlama(directory, {});
  const std::string store = directory.At("s");
  // Stop a build in the middle, by its progress function.
  ASSERT_TRUE(Succeeds(InChild([&] {
    BuildOptions options;
    options.threads = 1;
    int made = 0;
    std::atomic<bool> cancel{false};
    options.cancel = &cancel;
    options.progress = [&](const Progress& p) {
      if (std::string(p.stage) == "records" && ++made == 1) {
        std::thread([&] {
          while (SealedRanges(store).size() < 3) std::this_thread::yield();
          cancel = true;
        }).detach();
      }
    };
    const auto built = BuildStore(model, store, options);
    return built.ok() || built.status().code() == absl::StatusCode::kCancelled;
  })));
  if (std::filesystem::exists(store))
    GTEST_SKIP() << "the build was done before it could be stopped";
  const size_t sealed = SealedRanges(store).size();
  ASSERT_GE(sealed, 3u);
  const std::string journal = db::JournalPath(db::PartialPath(store));
  std::string bytes = FileBytes(journal);
  std::ofstream(journal, std::ios::binary) << bytes << "sealed 5 123 45";
  EXPECT_EQ(SealedRanges(store).size(), sealed);
  ASSERT_TRUE(Succeeds(InChild([&] {
    const auto built = BuildStore(model, store, {});
    return built.ok() && built->ranges_resumed == sealed;
  })));
}

}  // namespace
}  // namespace lutdb
