// The parts of the builder by themselves: slopes, ranges, the journal, workers.

#include <malloc.h>

#include <atomic>
#include <random>
#include <set>

#include "coding/entry.h"
#include "db/keys.h"
#include "ingest/build_job.h"
#include "ingest/journal.h"
#include "ingest/parallel.h"
#include "ingest/short_slopes.h"
#include "ingest/slope_block.h"
#include "ingest/store_layout.h"
#include "tests/coding/sample_tables.h"
#include "tests/ingest/model_files.h"

namespace lutdb {
namespace {

TEST(SlopesTest, AreThoseOfOneWeightAtATime) {
  std::mt19937 random(5);
  std::vector<float> weights, steps;
  for (int i = 0; i < 20000; ++i) {
    const float step = std::ldexp(1.0f + static_cast<float>(random() % 1000) / 999,
                                  static_cast<int>(random() % 60) - 40);
    // Up to the largest ratio a step allows, exact ties among them.
    const double ratio = static_cast<double>(random()) / 4294967295.0 * 2 - 1;
    weights.push_back(i % 7 == 0 ? step * 1.5f : static_cast<float>(step * ratio * 28671));
    steps.push_back(step);
  }
  std::vector<int32_t> narrow(weights.size());
  std::vector<int64_t> wide(weights.size());
  SlopesOf(weights.data(), steps.data(), weights.size(), 16, narrow.data());
  SlopesOf(weights.data(), steps.data(), weights.size(), 32, wide.data());
  for (size_t i = 0; i < weights.size(); ++i) {
    ASSERT_EQ(narrow[i], SlopeOf(weights[i], steps[i], 16)) << weights[i] << " / " << steps[i];
    ASSERT_EQ(wide[i], SlopeOf(weights[i], steps[i], 32)) << weights[i] << " / " << steps[i];
  }
  const float weight = 1.0f, step = 1.0f / 127;
  SlopesOf(&weight, &step, 1, 24, narrow.data());
  EXPECT_EQ(narrow[0], SlopeOf(weight, step, 24));
}

SourceTensor TensorOf(const SampleTable& table) {
  return {.name = table.spec.name,
          .dtype = DType::kF32,
          .rows = table.spec.neurons,
          .cols = table.spec.inputs,
          .data = reinterpret_cast<const uint8_t*>(table.weights.data())};
}

// Of every kind of table, in runs of several lengths with one scratch for all.
TEST(SlopeBlockTest, GivesTheSlopesOfEveryRunOfChunks) {
  SlopeScratch scratch;
  for (const SampleTable& table : SampleTables()) {
    const PlannedTable planned{table.spec, table.geometry, {}};
    const SourceTensor weights = TensorOf(table);
    const TableGeometry& geometry = table.geometry;
    SlopeBlock slopes(planned, weights, table.steps);
    for (const uint64_t positions_max : {uint64_t{1}, uint64_t{5}, uint64_t{1000}}) {
      for (uint32_t begin = 0; begin < geometry.chunks();) {
        const uint32_t end = RunEnd(geometry, begin, geometry.chunks(), positions_max);
        ASSERT_GT(end, begin);
        const uint32_t block = begin % geometry.neuron_blocks();
        slopes.Load(begin, end, block, &scratch);
        for (; begin < end; ++begin) {
          const Slopes of_chunk = slopes.At(begin);
          for (uint32_t p = 0; p < geometry.positions(begin).size(); ++p) {
            for (uint32_t n = 0; n < kBlockNeurons; ++n) {
              const size_t at = p * kBlockNeurons + n;
              const int64_t slope =
                  geometry.wide_slopes() ? of_chunk.wide[at] : of_chunk.narrow[at];
              ASSERT_EQ(slope, table.Slope(begin, p, block * kBlockNeurons + n))
                  << table.spec.name << " chunk " << begin << " position " << p;
            }
          }
        }
      }
    }
  }
}

// Lists take inputs from anywhere in a row, but what is kept of a run is its own positions.
TEST(SlopeBlockTest, ARunOfListsTakesTheMemoryOfItsPositions) {
  constexpr uint32_t kInputs = 8192, kRun = 16;
  TableSpec spec;
  spec.name = "lists";
  spec.inputs = kInputs;
  spec.neurons = 64 * kBlockNeurons;
  for (uint32_t i = 0; i < kInputs; ++i) {
    spec.chunks.push_back(
        {.inputs = {i * 5 % kInputs}, .levels = {GridLevels{.grid = Grid::kSigned, .bits = 4}}});
  }
  const PlannedTable planned{spec, TableGeometry::Create(spec).value(), {}};
  const std::vector<float> zeros(uint64_t{spec.neurons} * kInputs);
  const SourceTensor weights{.name = "w",
                             .dtype = DType::kF32,
                             .rows = spec.neurons,
                             .cols = kInputs,
                             .data = reinterpret_cast<const uint8_t*>(zeros.data())};
  const std::vector<float> steps(spec.neurons, 1.0f);
  const auto held = [] {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const uint64_t before = held();
  SlopeScratch scratch;
  std::vector<SlopeBlock> blocks;
  for (uint32_t b = 0; b < planned.geometry.neuron_blocks(); ++b) {
    blocks.emplace_back(planned, weights, steps);
    blocks.back().Load(0, kRun, b, &scratch);
  }
  const uint64_t slopes = blocks.size() * kRun * SlopeBlock::BytesPerPosition(planned.geometry);
  EXPECT_LT(held() - before, slopes * 2);
}

// Of every kind of table, the last tile included: other slopes, the same entries, fewer bytes.
TEST(ShortSlopesTest, MakeTheSameEntriesInFewerBytes) {
  ShortSlopes shortener;
  TileDecoder decoder;
  for (const SampleTable& table : SampleTables()) {
    const TableGeometry& geometry = table.geometry;
    for (uint32_t group = 0; group < geometry.chunk_groups(); ++group) {
      const TileId tile{0, group, geometry.neuron_blocks() - 1};
      const std::string record = table.ProductRecord(tile);
      ASSERT_TRUE(decoder.Open(geometry, tile, record).ok());
      const Slopes slopes = shortener.Of(geometry, tile, decoder.slopes());
      if (geometry.wide_slopes()) {
        EXPECT_EQ(slopes.wide, decoder.slopes().wide);
        continue;
      }
      EXPECT_EQ(PayloadChecksum(geometry, tile, slopes), decoder.checksum());
      std::string shorter;
      EncodeProductTile(geometry, tile, slopes, decoder.checksum(), &shorter);
      EXPECT_LT(shorter.size(), record.size());
    }
  }
}

// Tables large enough for many ranges, tensors large and small.
StoreLayout LargeLayout(Layout layout) {
  StoreLayout store;
  for (uint32_t id = 0; id < 3; ++id) {
    TableSpec spec;
    spec.id = id;
    spec.name = fmt::format("t{}", id);
    spec.inputs = 3001 * (id + 1);
    spec.neurons = 5000;
    spec.layout = layout;
    spec.mirror = id == 1;
    if (layout == Layout::kRow) spec.codec = Codec::kRaw;
    auto geometry = TableGeometry::Create(spec);
    EXPECT_TRUE(geometry.ok()) << geometry.status();
    store.tables.push_back({spec, *std::move(geometry), {}});
  }
  const uint64_t rows[] = {1, 1, 200000, 1, 7, 50000};
  for (uint32_t id = 0; id < 6; ++id) {
    store.tensors.push_back({.id = id,
                             .name = fmt::format("w{}", id),
                             .dtype = DType::kBF16,
                             .rows = rows[id],
                             .cols = 1000,
                             .rows_per_record = 32});
  }
  PlanRanges(&store);
  return store;
}

TEST(StoreLayoutTest, RangesCoverEverythingOnceInOrderOfKeys) {
  for (const Layout layout : {Layout::kTile, Layout::kRow}) {
    const StoreLayout store = LargeLayout(layout);
    std::map<uint32_t, uint64_t> records, raw;
    uint64_t weight_records = 0;
    std::map<db::Family, std::string> last_key;
    for (const RangePlan& range : store.ranges) {
      EXPECT_LT(range.begin, range.first_id == range.last_id ? range.end : ~uint64_t{0});
      EXPECT_LE(FirstKey(store, range), LastKey(store, range));
      EXPECT_LT(last_key[range.family], FirstKey(store, range)) << Describe(store, range);
      last_key[range.family] = LastKey(store, range);
      if (range.family == db::Family::kWeights) {
        weight_records += range.records;
      } else {
        records[range.first_id] += range.records;
        raw[range.first_id] += range.raw_bytes;
      }
    }
    uint64_t expected = 0;
    for (const TensorSpec& tensor : store.tensors) expected += RowBlocks(tensor);
    EXPECT_EQ(weight_records, expected);
    for (const PlannedTable& table : store.tables) {
      EXPECT_EQ(records[table.spec.id], RecordsOf(table));
      EXPECT_EQ(raw[table.spec.id], table.geometry.raw_bytes());
    }
    EXPECT_GT(store.ranges.size(), 15u);
  }
}

PlanHashes SomePlan() { return {.model = {1, 2}, .specs = {3, 4}, .plan = {5, ~uint64_t{0}}}; }

TEST(JournalTest, RemembersWhatWasSealed) {
  const TestDirectory directory;
  const std::string path = directory.At("journal");
  const RangeResult result{1, 2, 3, 4, 5, {0x0123456789abcdef, 0xfedcba9876543210}};
  {
    const auto writer = JournalWriter::Create(path, SomePlan());
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Sealed(7, result).ok());
    ASSERT_TRUE((*writer)->Sealed(9, result).ok());
    ASSERT_TRUE((*writer)->Ingested({7}).ok());
  }
  const auto state = ReadJournal(path);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(state->has_plan);
  EXPECT_EQ(state->plan.plan, SomePlan().plan);
  EXPECT_EQ(state->plan.model, SomePlan().model);
  EXPECT_EQ(state->sealed.size(), 2u);
  EXPECT_TRUE(state->sealed.at(7) == result);
  EXPECT_EQ(state->ingested, std::set<uint64_t>{7});
}

// Cut anywhere, or with any one bit wrong, a journal never says more than was written.
TEST(JournalTest, ATornOrDamagedTailIsForgotten) {
  const TestDirectory directory;
  const std::string path = directory.At("journal");
  {
    const auto writer = JournalWriter::Create(path, SomePlan());
    ASSERT_TRUE(writer.ok());
    for (uint64_t i = 0; i < 3; ++i) {
      ASSERT_TRUE((*writer)->Sealed(i, {i, i, i, i, i, {i, i}}).ok());
    }
  }
  const std::string whole = FileBytes(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    directory.Write("cut", whole.substr(0, size));
    const auto state = ReadJournal(directory.At("cut"));
    ASSERT_TRUE(state.ok());
    EXPECT_LT(state->sealed.size(), 3u);
    std::string damaged = whole;
    damaged[size] = static_cast<char>(damaged[size] ^ 1);
    directory.Write("flip", damaged);
    const auto flipped = ReadJournal(directory.At("flip"));
    ASSERT_TRUE(flipped.ok());
    EXPECT_LT(flipped->sealed.size(), 3u) << "byte " << size;
    for (const auto& [range, result] : flipped->sealed) EXPECT_EQ(result.file_bytes, range);
  }
}

TEST(ParallelTest, DoesEachPieceOnceAndStopsAtAnError) {
  std::vector<std::atomic<int>> done(1000);
  ASSERT_TRUE(ParallelFor(done.size(), 4, nullptr, [&](uint64_t piece, unsigned worker) {
                EXPECT_LT(worker, 4u);
                ++done[piece];
                return absl::OkStatus();
              }).ok());
  for (const auto& count : done) EXPECT_EQ(count, 1);

  std::atomic<int> calls{0};
  const absl::Status failed = ParallelFor(1000, 2, nullptr, [&](uint64_t piece, unsigned) {
    ++calls;
    return piece == 3 ? DataLoss("piece 3") : absl::OkStatus();
  });
  EXPECT_EQ(Message(failed), "piece 3");
  std::atomic<bool> cancel{true};
  EXPECT_EQ(ParallelFor(5, 2, &cancel, [](uint64_t, unsigned) { return absl::OkStatus(); }).code(),
            absl::StatusCode::kCancelled);
}

TEST(MemoryPlanTest, WorkersAndBuffersFitTheMemory) {
  for (const uint64_t mebibytes : {64, 100, 256, 1024, 65536}) {
    for (const unsigned threads : {1u, 2u, 64u}) {
      const auto plan = PlanMemory(mebibytes << 20, threads);
      ASSERT_TRUE(plan.ok()) << plan.status();
      EXPECT_GE(plan->workers, 1u);
      EXPECT_LE(plan->workers, threads);
      EXPECT_LE(2 * plan->workers * plan->buffer_bytes, mebibytes << 20);
    }
  }
}

}  // namespace
}  // namespace lutdb
