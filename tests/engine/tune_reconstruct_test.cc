// Fitting a language model layer by layer: it comes closer to the f32 network, and a walk that was
// cancelled between any two tables goes on to the same entries.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "base/file.h"
#include "coding/hash.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "lutdb/tune.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

constexpr uint32_t kVocabulary = 24;
constexpr uint32_t kWindow = 32;

class TuneReconstruct : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyLlama llama;
    llama.hidden = 16;
    llama.intermediate = 24;
    llama.vocabulary = kVocabulary;
    llama.context = kWindow;
    BuildOptions options;
    options.input_bits = 3;
    BuildOrFail(WriteLlama(scratch_, "tiny", llama), scratch_ / "start.lut", options);
    DrawTokens(12 * kWindow);
  }

  // A text that the f32 network finds likely: each token drawn among the likeliest.
  void DrawTokens(size_t count) {
    ModelOptions reference;
    reference.reference = true;
    const auto model = OpenOrNull(scratch_ / "start.lut", reference);
    ASSERT_NE(model, nullptr);
    std::mt19937 random(5);
    std::vector<float> logits(kVocabulary);
    int32_t token = 1;
    for (size_t i = 0; i < count; ++i) {
      if (i % kWindow == 0) model->Reset(), token = static_cast<int32_t>(i / kWindow % kVocabulary);
      ids_.push_back(token);
      ASSERT_TRUE(model->Feed(token, absl::MakeSpan(logits)).ok());
      const float largest = *std::max_element(logits.begin(), logits.end());
      std::vector<double> shares;
      for (const float logit : logits) shares.push_back(std::exp(double{logit} - largest));
      token = static_cast<int32_t>(
          std::discrete_distribution<int>(shares.begin(), shares.end())(random));
    }
  }

  static TuneOptions OneThread() {
    TuneOptions options;
    options.threads = 1;
    return options;
  }

  std::string Fresh(const std::string& name) {
    std::filesystem::copy(scratch_ / "start.lut", scratch_ / name,
                          std::filesystem::copy_options::recursive);
    return scratch_ / name;
  }

  // Every entry of every table, as of now.
  static std::map<std::string, std::vector<int32_t>> Entries(const std::string& path) {
    std::map<std::string, std::vector<int32_t>> all;
    const auto store = Store::Open(path, {});
    EXPECT_TRUE(store.ok()) << Message(store.status());
    if (!store.ok()) return all;
    for (const auto& table : (*store)->info().tables) {
      const auto found = (*store)->Get(table.name);
      EXPECT_TRUE(found.ok()) << Message(found.status());
      if (found.ok()) all[table.name] = {found->entries.begin(), found->entries.end()};
    }
    return all;
  }

  ScratchDirectory scratch_;
  std::vector<int32_t> ids_;
  const ReconstructOptions reconstruct_{.window = kWindow, .valid_fraction = 0.25};
};

TEST_F(TuneReconstruct, ComesCloserToTheF32NetworkAndIsCommitted) {
  const std::string store = Fresh("whole.lut");
  const auto report = ReconstructTokens(store, ids_, reconstruct_, OneThread());
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_LT(report->valid_after.loss, report->valid_before.loss);
  EXPECT_FALSE(report->commit.empty());
  EXPECT_NE(Entries(store), Entries(scratch_ / "start.lut"));
}

TEST_F(TuneReconstruct, InterruptedAnywhereItGoesOnToTheSameEntries) {
  const std::string whole = Fresh("whole.lut"), cut = Fresh("cut.lut");
  ASSERT_TRUE(ReconstructTokens(whole, ids_, reconstruct_, OneThread()).ok());
  const auto start = Entries(cut);
  // Stopped after one table, then after one more, ..., with both kinds of targets on the way.
  int interruptions = 0;
  for (;; ++interruptions) {
    ASSERT_LT(interruptions, 100);
    std::atomic<bool> cancel = false;
    TuneOptions options;
    options.threads = 1 + interruptions % 2;
    options.cancel = &cancel;
    options.progress = [&](const TuneProgress& progress) {
      if (progress.stage == std::string("fit")) cancel = true;
    };
    const auto report = ReconstructTokens(cut, ids_, reconstruct_, options);
    if (report.ok()) {
      EXPECT_TRUE(report->resumed);
      EXPECT_FALSE(report->commit.empty());
      break;
    }
    ASSERT_TRUE(absl::IsCancelled(report.status())) << Message(report.status());
    ASSERT_EQ(Entries(cut), start);
  }
  EXPECT_GT(interruptions, 15);
  EXPECT_EQ(Entries(cut), Entries(whole));
  EXPECT_TRUE(std::filesystem::is_empty(cut + "/tune"));
}

// A checkpoint that lost a byte is not believed; the walk begins again.
TEST_F(TuneReconstruct, DamagedCheckpointsAreNotUsed) {
  const std::string whole = Fresh("whole.lut"), cut = Fresh("cut.lut");
  ASSERT_TRUE(ReconstructTokens(whole, ids_, reconstruct_, OneThread()).ok());
  std::atomic<bool> cancel = false;
  TuneOptions options;
  options.threads = 1;
  options.cancel = &cancel;
  int tables = 0;
  options.progress = [&](const TuneProgress&) { cancel = ++tables == 5; };
  ASSERT_TRUE(absl::IsCancelled(ReconstructTokens(cut, ids_, reconstruct_, options).status()));
  for (const auto& file : std::filesystem::directory_iterator(cut + "/tune")) {
    std::fstream stream(file.path(), std::ios::binary | std::ios::in | std::ios::out);
    stream.seekg(100);
    const int byte = stream.get();
    stream.seekp(100);
    stream.put(static_cast<char>(byte ^ 1));
  }
  const auto report = ReconstructTokens(cut, ids_, reconstruct_, OneThread());
  ASSERT_TRUE(report.ok()) << Message(report.status());
  EXPECT_FALSE(report->resumed);
  EXPECT_EQ(Entries(cut), Entries(whole));
}

// One with a good hash, whose first edit is of a neuron, chunk or code that its table has not, or
// whose tables are others'.
TEST_F(TuneReconstruct, CheckpointsOfEntriesThatDoNotExistAreNotUsed) {
  constexpr size_t kTableAt = 13 + 8 + 8, kEditAt = kTableAt + 4 + 8;
  const std::string whole = Fresh("whole.lut");
  ASSERT_TRUE(ReconstructTokens(whole, ids_, reconstruct_, OneThread()).ok());
  for (const size_t at : {kTableAt, kEditAt, kEditAt + 4, kEditAt + 8, kEditAt + 12}) {
    const std::string cut = Fresh("cut" + std::to_string(at) + ".lut");
    std::atomic<bool> cancel = false;
    TuneOptions options = OneThread();
    options.cancel = &cancel;
    options.progress = [&](const TuneProgress&) { cancel = true; };
    ASSERT_TRUE(absl::IsCancelled(ReconstructTokens(cut, ids_, reconstruct_, options).status()));
    for (const auto& file : std::filesystem::directory_iterator(cut + "/tune")) {
      std::string bytes = *ReadFile(file.path(), 1 << 30);
      ASSERT_GT(bytes.size(), kEditAt + 16 + 8);
      bytes[at + 2] = 0x55;  // millions
      bytes.resize(bytes.size() - 8);
      AppendLittle(Hash64Of(bytes.data(), bytes.size()), &bytes);
      ASSERT_TRUE(WriteFileAtomically(file.path(), bytes).ok());
    }
    const auto report = ReconstructTokens(cut, ids_, reconstruct_, OneThread());
    ASSERT_TRUE(report.ok()) << Message(report.status());
    EXPECT_FALSE(report->resumed) << at;
    EXPECT_EQ(Entries(cut), Entries(whole)) << at;
  }
}

// Nothing goes on from the checkpoints of a branch that moved.
TEST_F(TuneReconstruct, ABranchThatMovedKeepsNoCheckpoint) {
  const std::string store = Fresh("moved.lut");
  TuneOptions options = OneThread();
  bool moved = false;
  options.progress = [&](const TuneProgress&) {
    if (std::exchange(moved, true)) return;
    auto history = History::Open(store, {.write = true});
    ASSERT_TRUE(history.ok()) << Message(history.status());
    ASSERT_TRUE((*history)->Commit("main", {{.value = 17}}, {.message = "by hand"}).ok());
  };
  const auto report = ReconstructTokens(store, ids_, reconstruct_, options);
  EXPECT_TRUE(absl::IsAborted(report.status())) << report.status();
  EXPECT_TRUE(std::filesystem::is_empty(store + "/tune"));
}

}  // namespace
}  // namespace lutdb
