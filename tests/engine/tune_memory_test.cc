// What training takes at its peak is what TunePeakBytes says: counted by replacing operator new in
// this program.
#include "engine/tune_memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <numeric>

#include "engine/tune_run.h"
#include "lutdb/history.h"
#include "tests/engine/built_models.h"
#include "tests/engine/tune_problem.h"

namespace {
std::atomic<int64_t> live_bytes{0}, peak_bytes{0};
}  // namespace

// Not inlined: the compiler would see malloc and free through the pair and suspect a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  const auto taken = static_cast<int64_t>(malloc_usable_size(memory));
  const int64_t now = live_bytes.fetch_add(taken) + taken;
  int64_t peak = peak_bytes.load();
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  live_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace lutdb {
namespace {

using testing::TwoTables;
using testing::Wave;

constexpr int64_t kBesides = 1 << 20;  // rows, passes, buffers of files

class PeakMeter {
 public:
  PeakMeter() { peak_bytes = live_bytes.load(); }
  int64_t bytes() const { return peak_bytes - before_; }

 private:
  const int64_t before_ = live_bytes;
};

TEST(TuneMemory, TrainingSearchingAndGoingOnTakeWhatIsCounted) {
  constexpr uint32_t kOutputs = 60;
  const Wave wave(200);
  std::vector<float> targets;
  for (const float y : wave.y) targets.insert(targets.end(), kOutputs, y);
  TuneRows rows = wave.rows();
  rows.targets = targets.data();
  std::vector<uint32_t> train(150), valid(50);
  std::iota(train.begin(), train.end(), 0);
  std::iota(valid.begin(), valid.end(), 150);
  ScratchDirectory scratch;
  for (const uint32_t search : {0u, 2u}) {
    SCOPED_TRACE(search);
    TuneOptions options;
    options.search = search;
    options.entries_max = 1;  // so that the commit is not what counts
    options.learning_rate = 0.005;
    options.batch = 50;
    options.epochs = 3;
    options.threads = 1;
    options.checkpoint_seconds = 0;
    options.regularity.smooth = 1;
    const auto run = [&](const std::atomic<bool>* cancel) {
      const PeakMeter meter;
      TuneNetwork network = TwoTables(3, 20, kOutputs, 1000);
      ThreadTeam team(1);
      TuneTrainer trainer(network, team);
      EXPECT_TRUE(trainer.Prepare(rows).ok());
      EXPECT_TRUE(MeasureStored(trainer, &network, valid).ok());
      options.cancel = cancel;
      const auto result =
          RunTraining(trainer, &network, train, valid, options, scratch / "run.ckpt", 1);
      EXPECT_EQ(result.ok(), cancel == nullptr) << result.status();
      TuneSize size;
      for (const TuneTable& table : network.tables) {
        size.trained += table.entries.size();
        for (uint32_t c = 0; c < table.chunks(); ++c) {
          const uint64_t codes = table.chunk_row[c + 1] - table.chunk_row[c];
          size.chunk_max = std::max(size.chunk_max, codes * table.neurons);
        }
      }
      EXPECT_GT(size.trained, 1000000u);
      const auto counted = static_cast<int64_t>(TunePeakBytes(size, options, 1));
      EXPECT_LT(meter.bytes(), counted + kBesides);
      EXPECT_GT(meter.bytes(), counted - counted / 4);
    };
    std::atomic<bool> cancel{false};
    int epochs = 0;
    options.progress = [&](const TuneProgress&) { cancel = ++epochs == 2; };
    run(&cancel);
    options.progress = nullptr;
    run(nullptr);  // goes on
  }
}

TEST(TuneMemory, ACommitTakesWhatIsCounted) {
  ScratchDirectory scratch;
  TinyLlama llama;
  llama.hidden = 64;
  llama.intermediate = 512;
  llama.vocabulary = 2000;
  BuildOptions build;
  build.input_bits = 4;
  BuildOrFail(WriteLlama(scratch, "llama", llama), scratch / "store", build);
  std::vector<EntryEdit> edits;
  const auto store = Store::Open(scratch / "store", {});
  const std::vector<TableInfo>& tables = (*store)->info().tables;
  edits.reserve(4000000);
  uint32_t drawn = 1;
  for (uint32_t t = 0; t < tables.size(); ++t) {
    for (uint32_t chunk = 0; chunk < tables[t].chunks; ++chunk) {
      for (uint32_t code = 0; code < tables[t].codes; ++code) {
        for (uint32_t n = 0; n < tables[t].neurons; ++n) {
          drawn = drawn * 1664525 + 1013904223;
          edits.push_back({t, n, chunk, code, static_cast<int32_t>(drawn >> 18) - 8192});
        }
      }
    }
  }
  const uint64_t count = edits.size();
  ASSERT_GT(count, 1000000u);
  TuneOptions one;  // of a budget of entries, the commit is what counts
  const auto of_commit = [&](uint64_t entries) {
    one.entries_max = entries;
    return static_cast<int64_t>(TunePeakBytes({.trained = entries}, one, 1));
  };
  const PeakMeter meter;
  auto history = History::Open(scratch / "store", {.write = true});
  ASSERT_TRUE(history.ok()) << Message(history.status());
  ASSERT_TRUE((*history)->Commit("main", edits, {.message = "all"}).ok());
  const int64_t edits_bytes = static_cast<int64_t>(count * sizeof(EntryEdit));
  printf("commit: %.1f bytes an edit besides the edits\n",
         static_cast<double>(meter.bytes()) / static_cast<double>(count));
  EXPECT_LT(edits_bytes + meter.bytes(), of_commit(count) + 64 * kBesides);
}

}  // namespace
}  // namespace lutdb
