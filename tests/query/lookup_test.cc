#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/status.h"
#include "lutdb/store.h"
#include "tests/query/small_store.h"

namespace lutdb {
namespace {

using ::testing::HasSubstr;
using testing::ManySpecs;
using testing::SmallStore;
using testing::SmallTable;

std::unique_ptr<Store> OpenOrDie(const std::string& path, unsigned threads = 2) {
  auto store = Store::Open(path, {.threads = threads});
  EXPECT_TRUE(store.ok()) << Message(store.status());
  return store.ok() ? *std::move(store) : nullptr;
}

// One store of every kind of table, made once.
class LookupTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { store_ = new SmallStore("lookup", ManySpecs()); }
  static void TearDownTestSuite() {
    delete store_;
    store_ = nullptr;
  }

  static void ExpectRight(const Store& store, const SmallTable& table, const std::string& index) {
    SCOPED_TRACE(table.spec().name + index);
    const auto found = store.Get(table.spec().name + index);
    ASSERT_TRUE(found.ok()) << Message(found.status());
    ASSERT_EQ(found->entries.size(),
              found->neurons.size() * found->chunks.size() * found->codes.size());
    ASSERT_EQ(found->step.size(), found->neurons.size());
    for (size_t n = 0; n < found->neurons.size(); ++n) {
      ASSERT_EQ(found->step[n], table.steps()[found->neurons[n]]);
      for (size_t c = 0; c < found->chunks.size(); ++c) {
        for (size_t k = 0; k < found->codes.size(); ++k) {
          ASSERT_EQ(found->at(n, c, k),
                    table.Expected(found->neurons[n], found->chunks[c], found->codes[k]))
              << "neuron " << found->neurons[n] << " chunk " << found->chunks[c] << " code "
              << found->codes[k];
        }
      }
    }
  }

  static SmallStore* store_;
};
SmallStore* LookupTest::store_ = nullptr;

TEST_F(LookupTest, EveryKindOfTableGivesTheDefinedEntries) {
  const auto store = OpenOrDie(store_->path());
  for (const SmallTable& table : store_->tables()) {
    const bool lists = !table.geometry().uniform();
    ExpectRight(*store, table, lists ? "[:, 0, :]" : "[::7, :, ::3]");
    ExpectRight(*store, table, "[-1, -1, -1]");
    ExpectRight(*store, table, "[::5, :, 1]");
    ExpectRight(*store, table, lists ? "[::-1, 3::-2, 0]" : "[::-1, ::-2, 0]");
    ExpectRight(*store, table, "[0, 0:1, ::-1]");
    ExpectRight(*store, table, "[0:0, 0:1, 1]");
    if (lists) {
      for (uint32_t c = 0; c < table.geometry().chunks(); ++c) {
        ExpectRight(*store, table, fmt::format("[:, {}]", c));
      }
    } else if (table.geometry().raw_bytes() < 100000) {
      ExpectRight(*store, table, "");
    }
  }
}

TEST_F(LookupTest, OneThreadAndMoreAgree) {
  const auto one = OpenOrDie(store_->path(), 1);
  const auto four = OpenOrDie(store_->path(), 4);
  const std::string name = store_->table(4).spec().name;
  const auto a = one->Get(name);
  const auto b = four->Get(name);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->entries, b->entries);
}

TEST_F(LookupTest, BatchesOfEntriesInAnyOrder) {
  const auto store = OpenOrDie(store_->path());
  std::mt19937 random(3);
  std::vector<EntryKey> keys;
  for (int i = 0; i < 20000; ++i) {
    EntryKey key;
    key.table = static_cast<uint32_t>(random() % store_->tables().size());
    const TableGeometry& geometry = store_->table(key.table).geometry();
    key.neuron = static_cast<uint32_t>(random() % geometry.neurons());
    key.chunk = static_cast<uint32_t>(random() % geometry.chunks());
    key.code = static_cast<uint32_t>(random() % geometry.codes(key.chunk));
    keys.push_back(key);
    if (i % 5 == 0) keys.push_back(key);
  }
  std::vector<int16_t> entries(keys.size());
  const absl::Status status = store->GetEntries(keys, absl::MakeSpan(entries));
  ASSERT_TRUE(status.ok()) << Message(status);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(entries[i],
              store_->table(keys[i].table).Expected(keys[i].neuron, keys[i].chunk, keys[i].code))
        << i << " " << store_->table(keys[i].table).spec().name;
  }
  EXPECT_TRUE(store->GetEntries({}, {}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(store->GetEntries(keys, {})));
  const EntryKey beyond = {.table = 0, .neuron = 70, .chunk = 0, .code = 0};
  EXPECT_TRUE(absl::IsOutOfRange(store->GetEntries({beyond}, absl::MakeSpan(entries).first(1))));
}

TEST_F(LookupTest, LevelsAreRealNumbersOfTheFirstChunk) {
  const auto store = OpenOrDie(store_->path());
  const SmallTable& table = store_->table(0);  // chunk 2, 3 bits signed: levels -3 to 3
  const auto found = store->Get(table.spec().name + "[0, 1, :]");
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->levels.size(), 49u);
  EXPECT_EQ(found->levels.front(), (std::vector<double>{-3, -3}));
  EXPECT_EQ(found->levels[1], (std::vector<double>{-3, -2}));
  EXPECT_EQ(found->levels.back(), (std::vector<double>{3, 3}));
}

TEST_F(LookupTest, ErrorsSayWhatToDo) {
  const auto store = OpenOrDie(store_->path());
  const std::string name = store_->table(0).spec().name;
  auto status = store->Get(name.substr(0, name.size() - 1)).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(Message(status), HasSubstr(name));
  EXPECT_TRUE(absl::IsOutOfRange(store->Get(name + "[70]").status()));
  EXPECT_TRUE(absl::IsOutOfRange(store->Get(name + "[0, 6]").status()));
  EXPECT_TRUE(absl::IsOutOfRange(store->Get(name + "[0, 0, 49]").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store->Get(name + "[0, 0, 0, 0]").status()));
  status = store->Get("lists.product.plain").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(Message(status), HasSubstr("same number"));
  EXPECT_TRUE(absl::IsInvalidArgument(store->Get("lists.product.plain[0, :, -1]").status()));
  EXPECT_TRUE(absl::IsOutOfRange(store->Get("lists.product.plain[0, :, 100]").status()));
  EXPECT_TRUE(absl::IsNotFound(Store::Open(store_->path(), {.at = "elsewhere"}).status()));
  EXPECT_TRUE(absl::IsNotFound(Store::Open(store_->path() + "x", {}).status()));
}

TEST_F(LookupTest, InfoDescribesTheTables) {
  const auto store = OpenOrDie(store_->path());
  const StoreInfo& info = store->info();
  ASSERT_EQ(info.tables.size(), store_->tables().size());
  EXPECT_EQ(info.architecture, "feed-forward");
  EXPECT_FALSE(info.has_tokenizer);
  EXPECT_EQ(info.branches, std::vector<std::string>{"main"});
  uint64_t raw_bytes = 0;
  for (size_t i = 0; i < info.tables.size(); ++i) {
    EXPECT_EQ(info.tables[i].name, store_->table(i).spec().name);
    EXPECT_EQ(info.tables[i].raw_bytes, store_->table(i).geometry().raw_bytes());
    raw_bytes += info.tables[i].raw_bytes;
  }
  EXPECT_EQ(info.raw_bytes, raw_bytes);
  EXPECT_EQ(info.tables.back().coding, "lists");
  EXPECT_EQ(info.tables.back().chunk, 0u);
  EXPECT_EQ(info.tables.front().coding, "signed");
}

}  // namespace
}  // namespace lutdb
