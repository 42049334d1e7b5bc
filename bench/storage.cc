// The arena beside RocksDB's own cache, how fast it is filled and found again, and what happens
// when it is smaller than the table, or the table large.
#include <cmath>
#include <thread>

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "bench/layer_store.h"
#include "bench/output_of.h"
#include "bench/suite.h"
#include "coding/record.h"
#include "db/keys.h"
#include "engine/kernels/kernels.h"
#include "query/row_reader.h"

namespace lutdb::bench {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// Rows of one code for each chunk through RocksDB alone: a MultiGet, and every row added.
class PlainRocks {
 public:
  PlainRocks(const std::string& store, uint64_t cache_bytes)
      : store_(Checked(StoreReader::Open(store, cache_bytes))),
        row_(MakeAligned<int8_t>(geometry().neurons() + kCacheLineBytes)) {}

  const TableGeometry& geometry() const { return store_->geometry(0); }

  void Sums(const std::vector<uint16_t>& codes, std::vector<int32_t>* acc) {
    const uint32_t blocks = geometry().row_blocks();
    keys_.clear();
    for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
      for (uint32_t block = 0; block < blocks; ++block) {
        keys_.push_back(db::RowKey(0, chunk, codes[chunk], static_cast<uint16_t>(block)));
      }
    }
    Check(store_->rocks().MultiGet(db::Family::kRow, keys_, &values_));
    acc->assign(geometry().neurons(), 0);
    const size_t zero = geometry().ZeroCode(0);
    for (size_t i = 0; i < keys_.size(); ++i) {
      const auto block = static_cast<uint32_t>(i % blocks);
      const auto chunk = static_cast<uint32_t>(i / blocks);
      if (codes[chunk] == zero) continue;
      if (!values_.found(i)) Die("a row of the store is missing");
      const RowId id = {.table = 0, .chunk = chunk, .code = codes[chunk], .neuron_block = block};
      const std::string_view entries = Checked(OpenRow(geometry(), id, values_[i], false));
      std::memcpy(row_.get(), entries.data(), entries.size());
      const int8_t* row = row_.get();
      kernels::AddRows(&row, nullptr, 1, entries.size(),
                       acc->data() + block * geometry().row_neurons());
    }
  }

 private:
  std::unique_ptr<StoreReader> store_;
  AlignedArray<int8_t> row_;
  std::vector<std::string> keys_;
  db::Values values_;
};

// Codes as real inputs have them: the r-th most frequent code of a chunk comes with a frequency of
// 1/r; which code that is differs from chunk to chunk.
class ZipfCodes {
 public:
  explicit ZipfCodes(uint32_t codes) : codes_(codes) {
    double sum = 0;
    for (uint32_t r = 1; r <= codes; ++r) upto_.push_back(sum += 1.0 / r);
  }
  std::vector<uint16_t> Next(uint32_t chunks) {
    std::vector<uint16_t> codes(chunks);
    std::uniform_real_distribution<double> uniform(0, upto_.back());
    for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
      const auto rank = std::lower_bound(upto_.begin(), upto_.end(), uniform(random_));
      const auto r = static_cast<uint32_t>(rank - upto_.begin());
      codes[chunk] = static_cast<uint16_t>((r * 7919 + chunk * 104729) % codes_);
    }
    return codes;
  }

 private:
  const uint32_t codes_;
  std::vector<double> upto_;
  std::mt19937_64 random_{5};
};

template <typename Sums>
double KeysPerSecond(const std::vector<std::vector<uint16_t>>& codes, const Sums& sums) {
  const double seconds = SecondsOf([&] {
    for (const auto& one : codes) sums(one);
  });
  return static_cast<double>(codes.size() * codes.front().size()) / seconds;
}

// The same vectors' sums by both, before any of them is timed.
void CheckSame(OpenLayer* arena, PlainRocks* plain, const std::vector<uint16_t>& codes) {
  std::vector<int32_t> ours(arena->geometry().neurons()), theirs;
  Check(arena->sums().Sums(0, codes, ours.data()));
  plain->Sums(codes, &theirs);
  if (ours != theirs) Die("the arena and RocksDB's rows give different sums");
}

void AddArenaVsMultiGet(Suite* suite, const std::string& tiles, const std::string& rows) {
  OpenLayer arena(tiles, kGiB, 1);
  arena.Warm();
  PlainRocks plain(rows, kGiB);
  std::vector<int32_t> acc(arena.geometry().neurons());
  const auto codes_of = [&](size_t count) {
    std::vector<std::vector<uint16_t>> codes;
    for (size_t i = 0; i < count; ++i) codes.push_back(arena.RandomCodes());
    return codes;
  };
  CheckSame(&arena, &plain, arena.RandomCodes());
  for (const auto& codes : codes_of(1500)) plain.Sums(codes, &acc);  // all rows into the cache
  std::vector<double> ours, theirs;
  const Measured ratio = PairedRatio(
      11,
      [&] {
        ours.push_back(KeysPerSecond(codes_of(100),
                                     [&](const auto& codes) {
                                       Check(arena.sums().Sums(0, codes, acc.data()));
                                     }) /
                       1e6);
        return ours.back();
      },
      [&] {
        theirs.push_back(
            KeysPerSecond(codes_of(20), [&](const auto& codes) { plain.Sums(codes, &acc); }) / 1e6);
        return theirs.back();
      });
  suite->report.Add("arena_vs_multiget", ratio, 12, true,
                    "keys per second, rows added, over MultiGet from RocksDB's block cache");
  suite->report.Note("arena_mkeys", Summarize(ours), "million keys per second, arena");
  suite->report.Note("multiget_mkeys", Summarize(theirs), "million keys per second, MultiGet");
}

// RocksDB's own benchmark on values as large as a row, all of them in its block cache.
void AddDbBench(Suite* suite) {
  const std::string name = "db_bench_mkeys";
  const std::string database = suite->folder + "/db_bench";
  const std::string output = OutputOf(fmt::format(
      "db_bench --benchmarks=fillseq,readseq,multireadrandom --db='{}' --num=100000 --key_size=16 "
      "--value_size=4096 --batch_size=128 --cache_size={} --compression_type=none --duration={} "
      "2>/dev/null",
      database, kGiB, suite->quick ? 1 : 5));
  Check(RemovePath(database));
  // "multireadrandom :   1.234 micros/op 810372 ops/sec ..."
  const size_t line = output.find("multireadrandom");
  const size_t micros = output.find("micros/op", line);
  if (line == std::string::npos || micros == std::string::npos) {
    suite->report.Note(name, {}, "peer not installed (./dev bench --peers): rocksdb-tools");
    return;
  }
  const double mkeys = std::strtod(output.c_str() + micros + sizeof("micros/op"), nullptr) / 1e6;
  suite->report.Note(name, {mkeys, mkeys, mkeys},
                     "million keys per second, db_bench multireadrandom, 4 KiB from the cache");
}

void AddFill(Suite* suite, const std::string& tiles) {
  const auto store = Checked(StoreReader::Open(tiles, kGiB));
  const Workers one(1);
  const RowReader reader(*store, one);
  const TableGeometry& geometry = store->geometry(0);
  const RowPlaces places(geometry);
  const uint32_t groups = (geometry.chunks() + geometry.tile_chunks() - 1) / geometry.tile_chunks();
  const uint64_t group_bytes = places.first_row(geometry.tile_chunks()) * places.stride_bytes();
  const AlignedArray<uint8_t> memory = MakeAligned<uint8_t>(group_bytes);
  std::memset(memory.get(), 0, group_bytes);
  std::vector<double> rates;
  uint32_t group = 0;
  const uint32_t whole_groups = std::max(1u, groups - 1);  // the last may be short
  for (int round = 0; round < 21; ++round) {
    constexpr uint32_t kGroups = 8;
    const double seconds = SecondsOf([&] {
      for (uint32_t i = 0; i < kGroups; ++i) {
        Check(reader.ReadGroup(0, places, group++ % whole_groups, 0, geometry.neuron_blocks(),
                               places.stride_bytes(), memory.get()));
      }
    });
    if (round > 0) rates.push_back(static_cast<double>(kGroups * group_bytes) / seconds / 1e9);
  }
  suite->report.Add("arena_fill_gbps", Summarize(rates), 6, true,
                    "decoded GB/s on one core, from product tiles, checksums compared");
  std::vector<double> whole;
  for (int round = 0; round < 3; ++round) {
    Check(RemovePath(tiles + "/arena"));
    OpenLayer layer(tiles, kGiB, 1);
    const double seconds = SecondsOf([&] { layer.Warm(); });
    whole.push_back(static_cast<double>(places.bytes()) / seconds / 1e9);
  }
  suite->report.Note("arena_warm_gbps", Summarize(whole),
                     "GB/s from the first look-up until all is in the arena file, 2 threads");
}

// Opened by a process that was not there before: a new mapping of the file, every byte compared
// with its checksum on the way to the first answer.
void AddWarmOpen(Suite* suite, const std::string& store) {
  {
    OpenLayer layer(store, 3 * kGiB, 2);
    layer.Warm();
    layer.CheckSums(layer.RandomCodes());
  }
  std::vector<double> seconds;
  for (int round = 0; round < 7; ++round) {
    seconds.push_back(SecondsOf([&] {
      OpenLayer layer(store, 3 * kGiB, 2);
      std::vector<int32_t> acc(layer.geometry().neurons());
      Check(layer.sums().Sums(0, layer.RandomCodes(), acc.data()));
      if (layer.rows().stats().fills != 0) Die("the warm arena was filled anew");
    }));
  }
  suite->report.Add("warm_open_s", Summarize(seconds), 0.5, false,
                    "seconds from opening a store with 1.9 GB in its arena to the first sums");
}

// Ours from the layout that `ours` has; RocksDB's own from records of rows.
void AddCapped(Suite* suite, const std::string& name, const std::string& ours,
               const std::string& rows) {
  const uint64_t table_bytes = RowPlaces(PlainRocks(rows, 1 << 20).geometry()).bytes();
  const uint64_t memory = table_bytes / 16;
  constexpr uint64_t kOwnCache = 5 << 20;  // of RocksDB, beside the arena: its index blocks
  Check(RemovePath(ours + "/arena"));
  OpenLayer arena(ours, memory - kOwnCache, 1, kOwnCache, 1);
  PlainRocks plain(rows, memory);
  ZipfCodes zipf(arena.geometry().codes(0));
  const uint32_t chunks = arena.geometry().chunks();
  std::vector<int32_t> acc(arena.geometry().neurons());
  CheckSame(&arena, &plain, zipf.Next(chunks));
  const auto codes_of = [&](size_t count) {
    std::vector<std::vector<uint16_t>> codes;
    for (size_t i = 0; i < count; ++i) codes.push_back(zipf.Next(chunks));
    return codes;
  };
  for (const auto& codes : codes_of(1200)) {
    Check(arena.sums().Sums(0, codes, acc.data()));
    plain.Sums(codes, &acc);
  }
  const ArenaStats before = arena.rows().stats();
  const Measured ratio = PairedRatio(
      11,
      [&] {
        return KeysPerSecond(codes_of(60), [&](const auto& codes) {
          Check(arena.sums().Sums(0, codes, acc.data()));
        });
      },
      [&] {
        return KeysPerSecond(codes_of(60), [&](const auto& codes) { plain.Sums(codes, &acc); });
      });
  const ArenaStats after = arena.rows().stats();
  const double hits = static_cast<double>(after.hits - before.hits);
  const double rate = hits / (hits + static_cast<double>(after.misses - before.misses));
  constexpr const char* kWhat =
      "keys per second, arena of 1/16 of the table, over RocksDB with that memory";
  if (ours == rows) {
    suite->report.Note(name, ratio, fmt::format("{}; ours from row records, too", kWhat));
  } else {
    suite->report.Add(name, ratio, 2, true, kWhat);
  }
  suite->report.Note(name + "_hit_rate", {rate, rate, rate}, "rows found in the arena");
}

double SecondsPerRow(OpenLayer* layer) {
  std::vector<std::vector<uint16_t>> codes;
  for (int v = 0; v < 60; ++v) codes.push_back(layer->RandomCodes());
  std::vector<int32_t> acc(layer->geometry().neurons());
  return 1 / KeysPerSecond(codes,
                           [&](const auto& one) { Check(layer->sums().Sums(0, one, acc.data())); });
}

void AddGrowth(Suite* suite) {
  const LayerShape large = suite->quick ? LayerShape{64, 512} : LayerShape{1968, 4096};
  const LayerShape small = suite->quick ? LayerShape{64, 512} : LayerShape{1024, 4096};
  const std::string large_store = BuildLayer(suite->folder, "large", large, LayerOptions(6, 2));
  const std::string small_store = BuildLayer(suite->folder, "small", small, LayerOptions(4, 2));
  {
    OpenLayer many(large_store, 17 * kGiB, 1);
    OpenLayer few(small_store, kGiB, 1);
    few.Warm();
    many.Warm();
    many.CheckSums(many.RandomCodes());
    suite->report.Add(
        "growth",
        PairedRatio(
            15, [&] { return SecondsPerRow(&many); }, [&] { return SecondsPerRow(&few); }),
        1.15, false, "time of a row of a 16 GB table over that of a 0.47 GB one");
  }
  Check(RemovePath(large_store));
  Check(RemovePath(small_store));
}

}  // namespace

void MeasureStorage(Suite* suite) {
  // 3,968 neurons are what one row record holds: a row is one key on both sides.
  const LayerShape half = suite->quick ? LayerShape{64, 512} : LayerShape{1024, 3968};
  const LayerShape whole = suite->quick ? LayerShape{64, 512} : LayerShape{4096, 4096};
  const BuildOptions options = LayerOptions(4, 2);
  if (suite->WantsAny({"arena_vs_multiget", "arena_fill_gbps", "capped_arena"})) {
    BuildOptions row_options = options;
    row_options.layout = Layout::kRow;
    row_options.codec = Codec::kRaw;
    const std::string tiles = BuildLayer(suite->folder, "tiles", half, options);
    const std::string rows = BuildLayer(suite->folder, "rows", half, row_options);
    if (suite->Wants("arena_vs_multiget")) {
      AddArenaVsMultiGet(suite, tiles, rows);
      AddDbBench(suite);
    }
    if (suite->Wants("arena_fill_gbps")) AddFill(suite, tiles);
    if (suite->Wants("capped_arena")) {
      AddCapped(suite, "capped_arena", tiles, rows);
      AddCapped(suite, "capped_arena_rows", rows, rows);
    }
    Check(RemovePath(tiles));
    Check(RemovePath(rows));
  }
  if (suite->Wants("warm_open_s")) {
    const std::string store = BuildLayer(suite->folder, "warm", whole, options);
    AddWarmOpen(suite, store);
    Check(RemovePath(store));
  }
  if (suite->Wants("growth")) AddGrowth(suite);
}

}  // namespace lutdb::bench
