// History against an oracle in memory: every ref is a map from edited entries to values.
#include "lutdb/history.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "base/file.h"
#include "base/status.h"
#include "coding/cell_hash.h"
#include "db/store_files.h"
#include "lutdb/store.h"
#include "query/branch_view.h"
#include "query/row_source.h"
#include "tests/query/small_history.h"

namespace lutdb {
namespace {

using testing::At;
using testing::ManySpecs;
using testing::SmallStore;
using testing::SmallTable;
using testing::SpecOf;
using testing::Writing;

using Key = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;  // table, neuron, chunk, code
using Values = std::map<Key, int16_t>;                           // entries that were ever edited

int16_t ValueOf(const SmallStore& store, const Values& values, const Key& key) {
  if (const auto it = values.find(key); it != values.end()) return it->second;
  const auto& [table, neuron, chunk, code] = key;
  return static_cast<int16_t>(store.table(table).Expected(neuron, chunk, code));
}

Key RandomKey(const SmallStore& store, std::mt19937* random) {
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>((*random)() % n); };
  const uint32_t table = below(static_cast<uint32_t>(store.tables().size()));
  const TableGeometry& geometry = store.table(table).geometry();
  const uint32_t chunk = below(geometry.chunks());
  return {table, below(geometry.neurons()), chunk, below(geometry.codes(chunk))};
}

int16_t RandomValue(const SmallStore& store, const Key& key, std::mt19937* random) {
  const int limit = EntryLimit(store.table(std::get<0>(key)).geometry().entry());
  return static_cast<int16_t>(static_cast<int>((*random)() % (2 * limit + 1)) - limit);
}

std::vector<EntryEdit> RandomEdits(const SmallStore& store, size_t count, Values* values,
                                   std::mt19937* random) {
  std::map<Key, int16_t> chosen;
  while (chosen.size() < count) {
    const Key key = RandomKey(store, random);
    chosen[key] = RandomValue(store, key, random);
  }
  std::vector<EntryEdit> edits;
  for (const auto& [key, value] : chosen) {
    const auto& [table, neuron, chunk, code] = key;
    edits.push_back({table, neuron, chunk, code, value});
    (*values)[key] = value;
  }
  return edits;
}

// Every edited entry and as many others, as a batch of keys and by address.
void ExpectReads(const SmallStore& store, const Values& values, const std::string& ref,
                 std::mt19937* random) {
  const auto opened = At(store, ref);
  std::vector<EntryKey> keys;
  std::vector<int16_t> expected;
  const auto add = [&](const Key& key) {
    const auto& [table, neuron, chunk, code] = key;
    keys.push_back({table, neuron, chunk, code});
    expected.push_back(ValueOf(store, values, key));
  };
  for (const auto& [key, value] : values) add(key);
  for (int i = 0; i < 50; ++i) add(RandomKey(store, random));
  std::vector<int16_t> got(keys.size());
  ASSERT_TRUE(opened->GetEntries(keys, absl::MakeSpan(got)).ok());
  ASSERT_EQ(got, expected) << ref;
  const Key one = values.empty() ? RandomKey(store, random) : values.begin()->first;
  const uint32_t table = std::get<0>(one);
  const auto lookup = opened->Get(store.table(table).spec().name + "[::-1, " +
                                  std::to_string(std::get<2>(one)) + ", :]");
  ASSERT_TRUE(lookup.ok()) << Message(lookup.status());
  for (size_t n = 0; n < lookup->neurons.size(); ++n) {
    for (size_t k = 0; k < lookup->codes.size(); ++k) {
      const Key key = {table, lookup->neurons[n], std::get<2>(one), lookup->codes[k]};
      ASSERT_EQ(lookup->at(n, 0, k), ValueOf(store, values, key));
    }
  }
}

// Sums of rows pinned for random codes, with the arena and without.
void ExpectSums(const SmallStore& store, const Values& values, const std::string& ref,
                std::mt19937* random) {
  auto reader = StoreReader::Open(store.path(), 1 << 20);
  ASSERT_TRUE(reader.ok());
  auto view = BranchView::Open(**reader, ref);
  ASSERT_TRUE(view.ok()) << Message(view.status());
  const auto edits = (*view)->Current();
  ASSERT_TRUE(edits.ok());
  for (const uint64_t arena_bytes : {uint64_t{0}, uint64_t{64} << 20}) {
    auto rows = RowSource::Create(**reader, {.arena_bytes = arena_bytes});
    ASSERT_TRUE(rows.ok());
    PinnedRows pinned;
    for (uint32_t table = 0; table < store.tables().size(); ++table) {
      const TableGeometry& geometry = store.table(table).geometry();
      std::vector<uint16_t> codes(geometry.chunks());
      for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
        codes[chunk] = static_cast<uint16_t>((*random)() % geometry.codes(chunk));
      }
      for (const auto& [key, value] : values) {  // meet edited codes, not only others
        if (std::get<0>(key) == table && (*random)() % 2 == 0) {
          codes[std::get<2>(key)] = static_cast<uint16_t>(std::get<3>(key));
        }
      }
      std::vector<int32_t> acc(geometry.neurons()), expected(geometry.neurons());
      const uint32_t block = (*rows)->ChunksPerPin(table);
      for (uint32_t begin = 0; begin < codes.size(); begin += block) {
        const auto some = absl::MakeConstSpan(codes).subspan(begin, block);
        ASSERT_TRUE((*rows)->Pin(table, begin, some, &pinned, edits->get()).ok());
        for (size_t i = 0; i < pinned.size(); ++i) {
          const int sign = pinned.signs() == nullptr ? 1 : pinned.signs()[i];
          if (pinned.rows()[i] == nullptr) continue;
          for (uint32_t n = 0; n < acc.size(); ++n) {
            acc[n] += sign * (geometry.entry() == EntryType::kI8
                                  ? static_cast<const int8_t*>(pinned.rows()[i])[n]
                                  : static_cast<const int16_t*>(pinned.rows()[i])[n]);
          }
        }
        for (const EntryEditValue& entry : pinned.additions()) {
          acc[entry.neuron] += entry.value - entry.base;
        }
        pinned.Release();
      }
      for (uint32_t n = 0; n < acc.size(); ++n) {
        for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
          expected[n] += ValueOf(store, values, {table, n, chunk, codes[chunk]});
        }
      }
      ASSERT_EQ(acc, expected) << ref << " table " << store.table(table).spec().name;
    }
  }
}

TEST(HistoryTest, RandomCommitsReadBackOnEveryBranch) {
  const SmallStore store("history_random", ManySpecs());
  std::mt19937 random(7);
  std::map<std::string, Values> branches = {{"main", {}}};
  std::map<std::string, Values> commits;
  for (int round = 0; round < 40; ++round) {
    auto history = Writing(store);  // opened anew: nothing lives in memory alone
    auto from = std::next(branches.begin(), random() % branches.size());
    if (round % 9 == 3) {
      const std::string name = "b" + std::to_string(round);
      ASSERT_TRUE(history->CreateBranch(name, from->first).ok());
      branches[name] = from->second;
      continue;
    }
    const size_t count = round % 5 == 0 ? 400 : 8;
    const auto edits = RandomEdits(store, count, &from->second, &random);
    const auto commit = history->Commit(from->first, edits, {.message = "round"});
    ASSERT_TRUE(commit.ok()) << Message(commit.status());
    commits[commit->id] = from->second;
  }
  for (const auto& [branch, values] : branches) {
    ExpectReads(store, values, branch, &random);
    ExpectSums(store, values, branch, &random);
  }
  int checked = 0;
  for (const auto& [id, values] : commits) {
    if (++checked % 4 == 0) ExpectReads(store, values, id.substr(0, 16), &random);
  }
  ASSERT_TRUE(Writing(store)->CreateTag("v1", "main").ok());
  ExpectSums(store, branches["main"], "v1", &random);
}

TEST(HistoryTest, RevertingEverythingGivesTheFreshHash) {
  const SmallStore store("history_revert", ManySpecs());
  std::mt19937 random(8);
  auto history = Writing(store);
  const auto fresh = history->ContentHash("main");
  ASSERT_TRUE(fresh.ok());
  Values values;
  for (int i = 0; i < 12; ++i) {
    const auto edits = RandomEdits(store, 30, &values, &random);
    ASSERT_TRUE(history->Commit("main", edits, {.message = "c"}).ok());
  }
  EXPECT_FALSE(*history->ContentHash("main") == *fresh);
  const auto log = history->Log("main");
  ASSERT_EQ(log->size(), 12u);
  for (const CommitInfo& commit : *log) {
    ASSERT_TRUE(history->Revert("main", commit.id, {.message = "back"}).ok());
  }
  EXPECT_EQ(history->ContentHash("main")->Hex(), fresh->Hex());
  EXPECT_EQ(history->Log("main")->size(), 24u);
  ExpectReads(store, {}, "main", &random);
}

// The hash after edits against the sum over all cells, made from the oracle.
TEST(HistoryTest, ContentHashCoversTheEditedEntries) {
  const SmallStore store("history_hash", ManySpecs());
  std::mt19937 random(9);
  Values values;
  auto history = Writing(store);
  ASSERT_TRUE(history->Commit("main", RandomEdits(store, 300, &values, &random), {}).ok());
  const auto sum_of_cells = [&](const Values& edited) {
    Hash128 sum;
    for (uint32_t t = 0; t < store.tables().size(); ++t) {
      const SmallTable& table = store.table(t);
      const TableGeometry& geometry = table.geometry();
      CellHasher hasher(table.spec(), geometry);
      for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
        for (uint32_t first = 0; first < geometry.neurons(); first += kBlockNeurons) {
          const uint32_t lanes = std::min(kBlockNeurons, geometry.neurons() - first);
          hasher.Begin(chunk, first / kBlockNeurons,
                       absl::MakeConstSpan(table.steps()).subspan(first, lanes));
          for (uint32_t code = 0; code < geometry.codes(chunk); ++code) {
            int16_t wide[kBlockNeurons] = {};
            int8_t narrow[kBlockNeurons] = {};
            for (uint32_t n = 0; n < lanes; ++n) {
              wide[n] = ValueOf(store, edited, {t, first + n, chunk, code});
              narrow[n] = static_cast<int8_t>(wide[n]);
            }
            const bool bytes = geometry.entry() == EntryType::kI8;
            hasher.Update(bytes ? static_cast<const void*>(narrow) : wide,
                          bytes ? sizeof(narrow) : sizeof(wide));
          }
          sum += hasher.Finish();
        }
      }
    }
    return sum;
  };
  Hash128 expected = At(store, "main")->info().content_hash;  // of a made-up base
  expected -= sum_of_cells({});
  expected += sum_of_cells(values);
  EXPECT_EQ(history->ContentHash("main")->Hex(), expected.Hex());
  EXPECT_EQ(At(store, "main")->ContentHash()->Hex(), expected.Hex());
}

TEST(HistoryTest, MergeOfDisjointBranchesEqualsBothPatches) {
  const SmallStore store("history_merge", {SpecOf({.neurons = 100, .bits = 5})});
  std::mt19937 random(10);
  auto history = Writing(store);
  Values base, left, right;
  ASSERT_TRUE(history->Commit("main", RandomEdits(store, 50, &base, &random), {}).ok());
  ASSERT_TRUE(history->CreateBranch("side", "main").ok());
  ASSERT_TRUE(history->CreateBranch("both", "main").ok());
  std::vector<EntryEdit> mine, theirs;
  for (uint32_t n = 0; n < 100; ++n) (n % 2 ? mine : theirs).push_back({0, n, 3, n % 31, 77});
  ASSERT_TRUE(history->Commit("main", mine, {}).ok());
  ASSERT_TRUE(history->Commit("side", theirs, {}).ok());
  ASSERT_TRUE(history->Commit("both", mine, {}).ok());
  ASSERT_TRUE(history->Commit("both", theirs, {}).ok());
  std::vector<EntryChange> conflicts;
  const auto merged = history->Merge("main", "side", MergeChoice::kRefuse, {}, &conflicts);
  ASSERT_TRUE(merged.ok()) << Message(merged.status());
  EXPECT_EQ(merged->parents.size(), 2u);
  EXPECT_TRUE(conflicts.empty());
  EXPECT_EQ(history->ContentHash("main")->Hex(), history->ContentHash("both")->Hex());
  EXPECT_TRUE(history->Diff("main", "both")->empty());
  // Again there is nothing to merge; and the other side is moved forward.
  EXPECT_TRUE(absl::IsFailedPrecondition(
      history->Merge("main", "side", MergeChoice::kRefuse, {}, &conflicts).status()));
  const std::string moved = "somewhere else";
  EXPECT_TRUE(absl::IsAborted(
      history->Merge("side", "main", MergeChoice::kRefuse, {.parent = &moved}, &conflicts)
          .status()));
  const auto forward = history->Merge("side", "main", MergeChoice::kRefuse, {}, &conflicts);
  ASSERT_TRUE(forward.ok());
  EXPECT_EQ(forward->id, merged->id);
}

TEST(HistoryTest, ConflictsAreListedAndResolved) {
  const SmallStore store("history_conflict", {SpecOf({})});
  auto history = Writing(store);
  ASSERT_TRUE(history->CreateBranch("side", "main").ok());
  const int32_t old = store.table(0).Expected(1, 2, 3);
  const std::vector<EntryEdit> mine = {{0, 1, 2, 3, old + 5}, {0, 1, 2, 4, 9}};
  const std::vector<EntryEdit> theirs = {{0, 1, 2, 3, old + 6}, {0, 1, 2, 5, 9}};
  ASSERT_TRUE(history->Commit("main", mine, {}).ok());
  ASSERT_TRUE(history->Commit("side", theirs, {}).ok());
  std::vector<EntryChange> conflicts;
  const auto refused = history->Merge("main", "side", MergeChoice::kRefuse, {}, &conflicts);
  EXPECT_TRUE(absl::IsAborted(refused.status()));
  ASSERT_EQ(conflicts.size(), 1u);
  EXPECT_EQ(conflicts[0].before, old + 5);
  EXPECT_EQ(conflicts[0].after, old + 6);
  ASSERT_TRUE(history->CreateBranch("ours", "main").ok());
  ASSERT_TRUE(history->Merge("ours", "side", MergeChoice::kOurs, {}, &conflicts).ok());
  ASSERT_TRUE(history->Merge("main", "side", MergeChoice::kTheirs, {}, &conflicts).ok());
  const auto diff = history->Diff("ours", "main");
  ASSERT_EQ(diff->size(), 1u);
  EXPECT_EQ((*diff)[0].before, old + 5);
  EXPECT_EQ((*diff)[0].after, old + 6);
  const auto blame = history->Blame("main", {{0, 1, 2, 5}, {0, 9, 2, 5}});
  ASSERT_EQ(blame->size(), 2u);
  EXPECT_FALSE((*blame)[0].empty());
  EXPECT_TRUE((*blame)[1].empty());
}

TEST(HistoryTest, WrongRequestsChangeNothing) {
  const SmallStore store("history_wrong", {SpecOf({.entry = EntryType::kI8})});
  auto history = Writing(store);
  ASSERT_TRUE(history->Commit("main", {{0, 0, 0, 0, 1}}, {.message = "first"}).ok());
  const auto before = history->ContentHash("main");
  const auto commit = [&](std::vector<EntryEdit> edits) {
    return history->Commit("main", edits, {}).status();
  };
  EXPECT_TRUE(absl::IsOutOfRange(commit({{1, 0, 0, 0, 1}})));
  EXPECT_TRUE(absl::IsOutOfRange(commit({{0, 70, 0, 0, 1}})));
  EXPECT_TRUE(absl::IsOutOfRange(commit({{0, 0, 10, 0, 1}})));
  EXPECT_TRUE(absl::IsOutOfRange(commit({{0, 0, 0, 15, 1}})));
  EXPECT_TRUE(absl::IsInvalidArgument(commit({{0, 0, 0, 0, 128}})));
  EXPECT_TRUE(absl::IsInvalidArgument(commit({{0, 0, 0, 0, 2}, {0, 0, 0, 0, 3}})));
  EXPECT_TRUE(absl::IsFailedPrecondition(commit({{0, 0, 0, 0, 1}})));
  EXPECT_TRUE(absl::IsNotFound(history->Commit("nowhere", {{0, 0, 0, 0, 2}}, {}).status()));
  const std::string elsewhere;
  EXPECT_TRUE(
      absl::IsAborted(history->Commit("main", {{0, 0, 0, 0, 2}}, {.parent = &elsewhere}).status()));
  for (const char* name : {"", "a/b", "../x", "-x", ".x", "a b", "main"}) {
    EXPECT_FALSE(history->CreateBranch(name, "main").ok()) << name;
    EXPECT_FALSE(history->CreateTag(name, "main").ok()) << name;
  }
  EXPECT_FALSE(history->CreateBranch(std::string(32, 'a'), "main").ok());
  EXPECT_TRUE(absl::IsNotFound(history->CreateBranch("x", "nowhere")));
  EXPECT_TRUE(absl::IsInvalidArgument(history->DeleteBranch("main")));
  EXPECT_TRUE(absl::IsNotFound(history->DeleteBranch("nowhere")));
  EXPECT_TRUE(absl::IsNotFound(history->DeleteTag("nowhere")));
  EXPECT_TRUE(absl::IsNotFound(history->Resolve("0123abcd").status()));
  EXPECT_EQ(history->ContentHash("main")->Hex(), before->Hex());
  const auto reading = History::Open(store.path(), {});
  ASSERT_TRUE(reading.ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition((*reading)->Commit("main", {{0, 0, 0, 0, 2}}, {}).status()));
  EXPECT_EQ((*reading)->Log("main")->size(), 1u);
}

TEST(HistoryTest, RevertIsRefusedWhereALaterCommitWent) {
  const SmallStore store("history_refused", {SpecOf({})});
  auto history = Writing(store);
  const auto first = history->Commit("main", {{0, 0, 0, 0, 1}, {0, 1, 0, 0, 1}}, {});
  const auto second = history->Commit("main", {{0, 0, 0, 0, 2}}, {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(history->Revert("main", first->id, {}).status()));
  ASSERT_TRUE(history->Revert("main", second->id, {}).ok());
  EXPECT_TRUE(history->Revert("main", first->id, {}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(history->Revert("main", "main~1", {}).status()) ||
              absl::IsNotFound(history->Revert("main", "main~1", {}).status()));
}

TEST(HistoryTest, ALongHistoryIsReadThroughSnapshots) {
  const SmallStore store("history_long", {SpecOf({})});
  auto history = Writing(store);
  for (int i = 0; i < 600; ++i) {
    const std::vector<EntryEdit> edits = {{0, static_cast<uint32_t>(i % 70), 1, 2, i - 300}};
    ASSERT_TRUE(history->Commit("main", edits, {}).ok()) << i;
  }
  std::mt19937 random(11);
  Values values;
  for (int i = 530; i < 600; ++i) {
    values[{0u, static_cast<uint32_t>(i % 70), 1u, 2u}] = static_cast<int16_t>(i - 300);
  }
  history.reset();
  ExpectReads(store, values, "main", &random);
  EXPECT_EQ(Writing(store)->Log("main")->size(), 600u);
}

// Commits, patches and snapshots changed behind the history's back are all found.
TEST(HistoryTest, CheckFindsWhatWasTamperedWith) {
  const SmallStore store("history_check", {SpecOf({})});
  {
    auto history = Writing(store);
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(history->Commit("main", {{0, 3, 1, 2, i - 150}}, {.message = "m"}).ok());
    }
    const auto report = history->Check();
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->commits, 300u);
    EXPECT_TRUE(report->problems.empty());
  }
  for (const std::string prefix : {"c", "p", "s"}) {
    db::OpenOptions options;
    auto opened = db::OpenStore(store.path(), db::Access::kWrite, options);
    ASSERT_TRUE(opened.ok());
    db::Write old;
    {
      db::Cursor cursor = opened->rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
      ASSERT_TRUE(cursor.Valid()) << prefix;
      old = {db::Family::kHistory, std::string(cursor.key()), std::string(cursor.value())};
    }
    db::Write wrong = old;
    if (prefix == "c") {
      wrong.value.replace(wrong.value.find("\"m\""), 3, "\"n\"");
    } else {
      EncodePatch({{5, 1, 2}}, PatchValues::kBeforeAndAfter, &wrong.value);
    }
    ASSERT_TRUE(opened->rocks->Apply({wrong}).ok());
    opened->rocks.reset();
    opened->lock.reset();
    const auto report = Writing(store)->Check();
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->problems.size(), 1u) << prefix;
    auto again = db::OpenStore(store.path(), db::Access::kWrite, options);
    ASSERT_TRUE(again->rocks->Apply({old}).ok());
  }
  EXPECT_TRUE(Writing(store)->Check()->problems.empty());
}

TEST(HistoryTest, ADigitTooFewIsAmbiguous) {
  const SmallStore store("history_ambiguous", {SpecOf({})});
  const std::string rest(27, '0');
  {
    auto opened = db::OpenStore(store.path(), db::Access::kWrite, db::OpenOptions());
    ASSERT_TRUE(opened.ok());
    for (const char* begin : {"abcd1", "abcd2"}) {
      CommitRecord commit;
      commit.info.id = begin + rest;
      ASSERT_TRUE(opened->rocks
                      ->Apply({{{db::Family::kHistory, CommitKey(commit.info.id),
                                 SerializeCommit(commit)}}})
                      .ok());
    }
  }
  const auto history = History::Open(store.path(), {});
  ASSERT_TRUE(history.ok());
  EXPECT_TRUE(absl::IsInvalidArgument((*history)->Resolve("abcd").status()));
  EXPECT_EQ(*(*history)->Resolve("abcd2"), "abcd2" + rest);
  EXPECT_TRUE(absl::IsNotFound((*history)->Resolve("abce").status()));
  const auto store_at = Store::Open(store.path(), {.at = "abcd"});
  EXPECT_TRUE(absl::IsInvalidArgument(store_at.status()));
}

TEST(HistoryTest, ACommitIsInTheNextBatchOfOpenReaders) {
  const SmallStore store("history_visible", {SpecOf({})});
  const auto reader = At(store, "main");
  const auto fixed = At(store, "main");
  auto history = Writing(store);
  for (int i = 1; i <= 200; ++i) {
    ASSERT_TRUE(history->Commit("main", {{0, 5, 1, 2, i}}, {}).ok());
    if (i % 90 == 0) {
      ASSERT_TRUE(history->CreateBranch("b" + std::to_string(i), "main").ok());
    }
    int16_t got = 0;
    ASSERT_TRUE(reader->GetEntries({{0, 5, 1, 2}}, absl::MakeSpan(&got, 1)).ok());
    ASSERT_EQ(got, i);
  }
  int16_t got = 0;  // a reader that looks for the first time after more than the feed remembers
  ASSERT_TRUE(fixed->GetEntries({{0, 5, 1, 2}}, absl::MakeSpan(&got, 1)).ok());
  EXPECT_EQ(got, 200);
}

TEST(HistoryTest, BakingKeepsEveryRefAndGcFreesTheRest) {
  const SmallStore store("history_bake", ManySpecs());
  std::mt19937 random(12);
  auto history = Writing(store);
  Values main, side;
  ASSERT_TRUE(history->Commit("main", RandomEdits(store, 200, &main, &random), {}).ok());
  side = main;
  ASSERT_TRUE(history->CreateBranch("side", "main").ok());
  ASSERT_TRUE(history->Commit("side", RandomEdits(store, 20, &side, &random), {}).ok());
  const auto first = history->Commit("main", RandomEdits(store, 300, &main, &random), {});
  ASSERT_TRUE(first.ok());
  const std::string main_hash = history->ContentHash("main")->Hex();
  const std::string side_hash = history->ContentHash("side")->Hex();
  const auto reader = At(store, "main");  // of the old generation, and still right after
  ASSERT_TRUE(history->Bake("main", {}, nullptr).ok());
  EXPECT_EQ(At(store, "main")->info().generation, 2u);
  EXPECT_EQ(At(store, "main")->info().content_hash.Hex(), main_hash);
  EXPECT_EQ(At(store, "main")->head()->edited_entries, 0u);
  EXPECT_EQ(history->ContentHash("main")->Hex(), main_hash);
  EXPECT_EQ(history->ContentHash("side")->Hex(), side_hash);
  EXPECT_EQ(reader->ContentHash()->Hex(), main_hash);
  ExpectReads(store, main, "main", &random);
  ExpectSums(store, main, "main", &random);
  ExpectReads(store, side, "side", &random);
  ExpectSums(store, side, "side", &random);
  // Committing goes on, on top of the new base; old readers see it.
  EXPECT_TRUE(absl::IsFailedPrecondition(history->Bake("main", {}, nullptr)));
  ASSERT_TRUE(history->Commit("main", RandomEdits(store, 50, &main, &random), {}).ok());
  EXPECT_EQ(reader->ContentHash()->Hex(), history->ContentHash("main")->Hex());
  ExpectReads(store, main, "main", &random);
  const auto log = history->Log("main");
  ASSERT_EQ(log->size(), 3u);
  // What no ref leads to goes, and so does the old generation once nobody reads it.
  ASSERT_TRUE(history->DeleteBranch("side").ok());
  EXPECT_EQ(history->Gc(/*dry_run=*/true)->kept.size(), 1u);
  const auto kept = history->Gc(/*dry_run=*/false);
  ASSERT_TRUE(kept.ok()) << Message(kept.status());
  EXPECT_EQ(kept->commits, 1u);
  EXPECT_EQ(kept->generations, 0u);
  ASSERT_EQ(reader->ContentHash()->Hex(), history->ContentHash("main")->Hex());
}

TEST(HistoryTest, GcRemovesOldGenerations) {
  const SmallStore store("history_gc", ManySpecs());
  std::mt19937 random(13);
  auto history = Writing(store);
  Values values;
  for (int generation = 2; generation < 5; ++generation) {
    ASSERT_TRUE(history->Commit("main", RandomEdits(store, 60, &values, &random), {}).ok());
    ASSERT_TRUE(history->Bake("main", {}, nullptr).ok());
  }
  const auto would = history->Gc(/*dry_run=*/true);
  ASSERT_TRUE(would.ok());
  EXPECT_EQ(would->generations, 3u);
  EXPECT_GT(would->bytes, 0u);
  EXPECT_EQ(history->Gc(/*dry_run=*/false)->generations, 3u);
  EXPECT_EQ(history->Gc(/*dry_run=*/true)->generations, 0u);
  ExpectReads(store, values, "main", &random);
  ExpectSums(store, values, "main", &random);
  const auto log = history->Log("main");
  for (const CommitInfo& commit : *log) {
    ASSERT_TRUE(history->Revert("main", commit.id, {}).ok());
  }
  ExpectReads(store, {}, "main", &random);
}

TEST(HistoryTest, AnInterruptedBakeLeavesTheStoreAsItWas) {
  const SmallStore store("history_cut", ManySpecs());
  auto history = Writing(store);
  ASSERT_TRUE(history->Commit("main", {{0, 0, 0, 0, 1}}, {}).ok());
  const std::string hash = history->ContentHash("main")->Hex();
  const std::atomic<bool> cancel{true};
  EXPECT_TRUE(absl::IsCancelled(history->Bake("main", {}, &cancel)));
  EXPECT_EQ(At(store, "main")->info().generation, 1u);
  EXPECT_EQ(history->ContentHash("main")->Hex(), hash);
  EXPECT_TRUE(history->Bake("main", {}, nullptr).ok());
  EXPECT_EQ(history->ContentHash("main")->Hex(), hash);
}

// Each commit writes its number to several entries at once; a batch that mixed two would show it.
TEST(HistoryTest, NoOtherWriterComesBetweenABakeAndItsStore) {
  const SmallStore store("history_bake_lock", {SpecOf({})});
  auto history = Writing(store);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) EXPECT_FALSE(FileLock::Acquire(db::LockPath(store.path()), 0).ok());
  });
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(history->Commit("main", {{0, 1, 1, 1, 100 + i}}, {}).ok());
    EXPECT_TRUE(history->Bake("main", {}, nullptr).ok());
  }
  stop = true;
  other.join();
}

TEST(HistoryTest, EightThreadsCommitAndEveryBatchIsOfOneCommit) {
  const SmallStore store("history_threads", {SpecOf({})});
  constexpr int kThreads = 8, kCommits = 12;
  auto history = Writing(store);
  std::atomic<bool> done{false};
  std::vector<std::thread> readers, writers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      const auto reader = At(store, "main");
      std::vector<EntryKey> keys;
      for (uint32_t n = 0; n < 70; n += 7) keys.push_back({0, n, n % 10, 3});
      std::vector<int16_t> got(keys.size());
      while (!done) {
        const absl::Status read = reader->GetEntries(keys, absl::MakeSpan(got));
        ASSERT_TRUE(read.ok()) << Message(read);
        const bool fresh = got[0] == store.table(0).Expected(0, 0, 3);
        for (const int16_t value : got) ASSERT_TRUE(fresh || value == got[0]);
      }
    });
  }
  for (int w = 0; w < kThreads; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kCommits; ++i) {
        std::vector<EntryEdit> edits;
        for (uint32_t n = 0; n < 70; n += 7) edits.push_back({0, n, n % 10, 3, w * 100 + i});
        const auto commit = history->Commit("main", edits, {.message = std::to_string(w)});
        ASSERT_TRUE(commit.ok()) << Message(commit.status());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  for (std::thread& reader : readers) reader.join();
  const auto log = history->Log("main");
  ASSERT_EQ(log->size(), size_t{kThreads} * kCommits);
  for (size_t i = 0; i + 1 < log->size(); ++i) {
    ASSERT_EQ((*log)[i].parents, std::vector<std::string>{(*log)[i + 1].id});
  }
}

}  // namespace
}  // namespace lutdb
