// Damaged cells: as many as asked for, the same ones for any number of threads, gone afterwards.
#include "engine/fault_model.h"

#include <gtest/gtest.h>

#include "lutdb/explain.h"
#include "lutdb/history.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

class Faults : public testing::Test {
 protected:
  void Build(EntryType entry, bool mirror) {
    TinyLlama llama;
    llama.vocabulary = 300;  // more neurons than one slice
    BuildOptions options;
    options.entry = entry;
    options.mirror = mirror;
    BuildOrFail(WriteLlama(scratch_, "llama", llama), scratch_ / "s", options);
  }
  std::vector<float> Logits(const FaultOptions& faults, unsigned threads = 1) {
    const auto model = OpenOrNull(scratch_ / "s", {.store = {.threads = threads}});
    const absl::Status set = model->SetFaults(faults);
    EXPECT_TRUE(set.ok()) << Message(set);
    return LogitsOf(*model, 6, 300);
  }
  ScratchDirectory scratch_;
};

TEST_F(Faults, EveryDeadCellLeavesNothing) {
  Build(EntryType::kI16, false);
  for (const float logit : Logits({.kind = FaultKind::kDead, .share = 1})) EXPECT_EQ(logit, 0);
  const std::vector<float> sound = Logits({});
  EXPECT_TRUE(SameBits(sound, Logits({.kind = FaultKind::kFlipped, .share = 0})));
  EXPECT_FALSE(SameBits(sound, Logits({.kind = FaultKind::kDead, .share = 0.5})));
}

TEST_F(Faults, SameForAnyThreadsAndOtherForOtherSeeds) {
  for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
    std::filesystem::remove_all(scratch_ / "s");
    std::filesystem::remove_all(scratch_ / "llama");
    Build(entry, true);
    for (const FaultKind kind : {FaultKind::kDead, FaultKind::kFlipped}) {
      const std::vector<float> one = Logits({.kind = kind, .share = 0.2, .seed = 1}, 1);
      EXPECT_TRUE(SameBits(one, Logits({.kind = kind, .share = 0.2, .seed = 1}, 4)));
      EXPECT_FALSE(SameBits(one, Logits({.kind = kind, .share = 0.2, .seed = 2}, 1)));
      EXPECT_FALSE(SameBits(one, Logits({.kind = kind, .share = 0.1, .seed = 1}, 1)));
    }
  }
}

TEST_F(Faults, OnlyTheNamedTables) {
  Build(EntryType::kI16, false);
  const FaultOptions head{.kind = FaultKind::kDead, .share = 1, .tables = {"lm_head"}};
  for (const float logit : Logits(head)) EXPECT_EQ(logit, 0);
  const FaultOptions values{
      .kind = FaultKind::kDead, .share = 1, .tables = {"model.layers.0.self_attn.v_proj"}};
  EXPECT_FALSE(SameBits(Logits(values), Logits({})));
  const auto model = OpenOrNull(scratch_ / "s");
  EXPECT_EQ(model->SetFaults({.share = 0.1, .tables = {"nothing"}}).code(),
            absl::StatusCode::kNotFound);
  for (const double share : {-0.1, 1.1, std::nan("")}) {
    EXPECT_EQ(model->SetFaults({.share = share}).code(), absl::StatusCode::kInvalidArgument);
  }
}

// Rows as the engine pins them, corrected cell by cell.
TEST_F(Faults, CountsBitsAndEdits) {
  Build(EntryType::kI16, false);
  const auto store = StoreReader::Open(scratch_ / "s", 1 << 20);
  ASSERT_TRUE(store.ok());
  const auto head = (*store)->FindTable("lm_head");
  ASSERT_TRUE(head.ok());
  const TableGeometry& geometry = (*store)->geometry(*head);
  constexpr uint32_t kNeurons = 300;
  std::vector<int16_t> row(320, 1000);
  const std::vector<uint16_t> codes(geometry.chunks(), 5);
  std::vector<const void*> rows(codes.size(), row.data());
  const auto corrected = [&](FaultKind kind, double share, uint64_t seed) {
    const auto faults = FaultModel::Create(**store, {.kind = kind, .share = share, .seed = seed});
    EXPECT_TRUE(faults.ok());
    std::vector<std::vector<int32_t>> all;  // per chunk
    for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
      std::vector<int32_t> acc(kNeurons, 0);
      (*faults)->Correct({.table = *head,
                          .geometry = geometry,
                          .chunk_begin = chunk,
                          .codes = absl::MakeConstSpan(codes).subspan(0, 1),
                          .rows = rows.data(),
                          .signs = nullptr,
                          .edits = nullptr},
                         0, kNeurons, acc.data());
      all.push_back(std::move(acc));
    }
    return all;
  };
  double failed = 0, cells = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto small = corrected(FaultKind::kDead, 0.1, seed);
    const auto large = corrected(FaultKind::kDead, 0.3, seed);
    const auto flipped = corrected(FaultKind::kFlipped, 0.1, seed);
    for (size_t c = 0; c < small.size(); ++c) {
      for (uint32_t n = 0; n < kNeurons; ++n) {
        EXPECT_TRUE(small[c][n] == 0 || small[c][n] == -1000);
        EXPECT_TRUE(small[c][n] == 0 || large[c][n] != 0);
        // One bit of 1000 is another: a power of two more or less, or the sign bit.
        const auto size = static_cast<uint32_t>(std::abs(flipped[c][n]));
        EXPECT_EQ(size & (size - 1), 0u);
        EXPECT_EQ(flipped[c][n] != 0, small[c][n] != 0);
        failed += small[c][n] != 0;
        ++cells;
      }
    }
  }
  EXPECT_NEAR(failed / cells, 0.1, 4 * std::sqrt(0.09 / cells));
}

TEST_F(Faults, StudyMeasuresEveryPointAndMendsTheModel) {
  Build(EntryType::kI16, false);
  const auto model = OpenOrNull(scratch_ / "s");
  const std::vector<float> sound = LogitsOf(*model, 6, 300);
  const std::vector<int32_t> ids = {1, 5, 9, 200, 3, 4};
  uint32_t calls = 0;
  const EvaluateFn evaluate = [&](Model& damaged) {
    ++calls;
    return EvalTokens(damaged, ids, {});
  };
  const auto points =
      StudyFaults(*model, evaluate, {.kind = FaultKind::kDead, .shares = {0, 0.5, 1}, .seeds = 2});
  ASSERT_TRUE(points.ok()) << Message(points.status());
  ASSERT_EQ(points->size(), 5u);
  EXPECT_EQ(calls, 5u);
  EXPECT_NE((*points)[1].report.nll, (*points)[2].report.nll);
  EXPECT_NEAR((*points)[3].report.nll, std::log(300.0), 1e-9);  // all logits alike
  EXPECT_TRUE(SameBits(sound, LogitsOf(*model, 6, 300)));
  EXPECT_FALSE(StudyFaults(*model, evaluate, {.shares = {}}).ok());
  EXPECT_FALSE(StudyFaults(*model, evaluate, {.shares = {2}}).ok());
}

// A cell that was edited fails like any other, also where the edit is added to a row instead of
// being in it.
TEST_F(Faults, DeadCellsHideEdits) {
  Build(EntryType::kI16, false);
  {
    const auto history = History::Open(scratch_ / "s", {.write = true});
    ASSERT_TRUE(history.ok()) << Message(history.status());
    std::vector<EntryEdit> edits;
    const auto store = Store::Open(scratch_ / "s", {});
    const auto& tables = (*store)->info().tables;
    for (uint32_t t = 0; t < tables.size(); ++t) {
      if (tables[t].name != "lm_head") continue;
      for (uint32_t code = 0; code < 255; ++code) {
        edits.push_back({.table = t, .neuron = 7, .chunk = 2, .code = code, .value = 20000});
        for (uint32_t n = 0; n < 300; ++n) {
          edits.push_back({.table = t, .neuron = n, .chunk = 3, .code = code, .value = 9000});
        }
      }
    }
    CommitOptions options;
    options.message = "m";
    ASSERT_TRUE((*history)->Commit("main", edits, options).ok());
  }
  for (const float logit : Logits({.kind = FaultKind::kDead, .share = 1})) EXPECT_EQ(logit, 0);
}

}  // namespace
}  // namespace lutdb
