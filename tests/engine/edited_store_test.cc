// Stores with edits, from the model's side: the same bits before and after a bake, verified and
// mended with the edits in them.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "lutdb/history.h"
#include "lutdb/store.h"
#include "tests/engine/built_models.h"

namespace lutdb {
namespace {

constexpr uint32_t kVocabulary = 37;
constexpr uint32_t kTokens = 10;

struct Kept {
  EntryType entry;
  Layout layout;
  Codec codec;
  bool mirror;
  uint32_t chunk;
};

class EditedStore : public testing::TestWithParam<Kept> {
 protected:
  void SetUp() override {
    TinyLlama llama;
    llama.hidden = 20;
    llama.intermediate = 36;
    llama.heads = 2;
    llama.vocabulary = kVocabulary;
    BuildOptions options;
    options.input_bits = 4;
    options.chunk = GetParam().chunk;
    options.entry = GetParam().entry;
    options.layout = GetParam().layout;
    options.codec = GetParam().codec;
    options.mirror = GetParam().mirror;
    options.threads = 1;
    store_ = scratch_ / "edited.lut";
    BuildOrFail(WriteLlama(scratch_, "model", llama), store_, options);
  }

  std::vector<float> Logits(uint64_t arena_bytes) const {
    ModelOptions options;
    options.store.arena_bytes = arena_bytes;
    const auto model = OpenOrNull(store_, options);
    return LogitsOf(*model, kTokens, kVocabulary);
  }

  // Some entries here and there, and every entry of a few rows.
  std::vector<EntryEdit> Edits() const {
    const auto store = Store::Open(store_, {});
    std::mt19937 random(5);
    std::vector<EntryEdit> edits;
    const std::vector<TableInfo>& tables = (*store)->info().tables;
    for (uint32_t t = 0; t < tables.size(); ++t) {
      for (uint32_t chunk = 0; chunk < tables[t].chunks; ++chunk) {
        const uint32_t code = static_cast<uint32_t>(random() % tables[t].codes);
        const uint32_t step = chunk % 3 == 0 ? 1 : 7;
        for (uint32_t n = 0; n < tables[t].neurons; n += step) {
          edits.push_back({t, n, chunk, code, static_cast<int32_t>(random() % 200) - 100});
        }
      }
    }
    return edits;
  }

  void ExpectClean() const {
    VerifyOptions options;
    options.deep = true;
    options.exact_fraction = 1;
    const auto report = VerifyStore(store_, options);
    ASSERT_TRUE(report.ok()) << Message(report.status());
    EXPECT_TRUE(report->clean) << (report->problems.empty() ? "" : report->problems.front());
  }

  ScratchDirectory scratch_;
  std::string store_;
};

TEST_P(EditedStore, AnswersTheSameAfterABake) {
  const std::vector<float> fresh = Logits(0);
  auto history = History::Open(store_, {.write = true});
  ASSERT_TRUE(history.ok());
  const std::string fresh_hash = (*history)->ContentHash("main")->Hex();
  const auto commit = (*history)->Commit("main", Edits(), {.message = "many"});
  ASSERT_TRUE(commit.ok()) << Message(commit.status());
  const std::vector<float> edited = Logits(0);
  EXPECT_FALSE(SameBits(fresh, edited));
  EXPECT_TRUE(SameBits(Logits(64 << 20), edited));
  ExpectClean();
  ASSERT_TRUE((*history)->Bake("main", {}, nullptr).ok());
  EXPECT_TRUE(SameBits(Logits(0), edited));
  EXPECT_TRUE(SameBits(Logits(64 << 20), edited));
  EXPECT_TRUE(SameBits(Logits(64 << 20), edited));  // from the arena that the last one left
  ExpectClean();
  ASSERT_TRUE((*history)->Revert("main", commit->id, {}).ok());
  EXPECT_EQ((*history)->ContentHash("main")->Hex(), fresh_hash);
  EXPECT_TRUE(SameBits(Logits(64 << 20), fresh));
}

// A preview holds nobody back. What it found is put over whatever the branch is when the model
// opens.
TEST_P(EditedStore, PendingChangesGoOverCommitsMadeSinceThePreview) {
  const std::vector<EntryEdit> edits = Edits();
  auto history = History::Open(store_, {.write = true});
  ASSERT_TRUE(history.ok());
  const auto previewed = (*history)->Preview("main", edits);
  ASSERT_TRUE(previewed.ok()) << Message(previewed.status());
  // Others set half of the same entries to something else; after the bake that is the base.
  std::vector<EntryEdit> others = edits;
  for (EntryEdit& edit : others) edit.value += edit.value > 0 ? -90 : 90;
  std::erase_if(others, [](const EntryEdit& edit) { return edit.neuron % 2 == 1; });
  ASSERT_TRUE((*history)->Commit("main", others, {}).ok());
  ASSERT_TRUE((*history)->Bake("main", {}, nullptr).ok());
  ModelOptions options;
  options.pending = &*previewed;
  const auto model = OpenOrNull(store_, options);
  ASSERT_NE(model, nullptr);
  const std::vector<float> pending = LogitsOf(*model, kTokens, kVocabulary);
  std::vector<EntryEdit> shown;  // a preview leaves out what kept its value
  for (const EntryChange& c : *previewed) {
    shown.push_back({c.table, c.neuron, c.chunk, c.code, c.after});
  }
  ASSERT_TRUE((*history)->Commit("main", shown, {}).ok());
  EXPECT_TRUE(SameBits(Logits(0), pending));
}

TEST_P(EditedStore, RepairKeepsWhatWasBaked) {
  std::string hash;
  {
    auto history = History::Open(store_, {.write = true});
    ASSERT_TRUE((*history)->Commit("main", Edits(), {}).ok());
    ASSERT_TRUE((*history)->Bake("main", {}, nullptr).ok());
    hash = (*history)->ContentHash("main")->Hex();
  }
  const std::vector<float> edited = Logits(0);
  for (const auto& file : std::filesystem::directory_iterator(store_ + "/db.2")) {
    if (file.path().extension() != ".sst") continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(200);
    const int byte = bytes.get();
    bytes.seekp(200);
    bytes.put(static_cast<char>(byte ^ 0x40));
    bytes.close();
    VerifyOptions deep;
    deep.deep = true;
    const auto found = VerifyStore(store_, deep);
    ASSERT_TRUE(found.ok()) << Message(found.status());
    EXPECT_FALSE(found->clean) << file.path();
    const auto repaired = RepairStore(store_, {});
    if (!repaired.ok() || !repaired->unrecoverable.empty()) {
      // Weights or history: put back what was there.
      bytes.open(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp(200);
      bytes.put(static_cast<char>(byte));
      bytes.close();
    }
  }
  ExpectClean();
  EXPECT_TRUE(SameBits(Logits(0), edited));
  EXPECT_EQ((*Store::Open(store_, {}))->ContentHash()->Hex(), hash);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, EditedStore,
    testing::Values(Kept{EntryType::kI16, Layout::kTile, Codec::kSmallest, false, 1},
                    Kept{EntryType::kI8, Layout::kTile, Codec::kProduct, true, 2},
                    Kept{EntryType::kI16, Layout::kTile, Codec::kDelta, true, 1},
                    Kept{EntryType::kI16, Layout::kRow, Codec::kSmallest, false, 2},
                    Kept{EntryType::kI8, Layout::kRow, Codec::kSmallest, true, 1}));

}  // namespace
}  // namespace lutdb
