// Rows of a store larger than memory, from disk, beside what fio finds the disk can do.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "bench/layer_store.h"
#include "bench/output_of.h"
#include "bench/suite.h"
#include "db/parallel_reads.h"
#include "db/store_files.h"
#include "query/row_reader.h"

namespace lutdb::bench {
namespace {

// 4 KiB random reads per second, 32 under way, past the page cache; 0 without fio.
double FioReadsPerSecond(const std::string& file) {
  const std::string command = fmt::format(
      "fio --name=rows --filename='{}' --rw=randread --bs=4k --direct=1 --ioengine=io_uring "
      "--iodepth=32 --runtime=4 --time_based --readonly --norandommap --output-format=json "
      "2>/dev/null",
      file);
  const auto report = nlohmann::json::parse(OutputOf(command), nullptr, false);
  if (report.is_discarded()) return 0;
  return report["jobs"][0]["read"]["iops"].get<double>();
}

std::vector<std::string> TableFiles(const std::string& store) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store)) {
    if (entry.path().extension() == ".sst") files.push_back(entry.path().string());
  }
  return files;
}

// Takes the store's files out of the page cache.
void DropCaches(const std::string& store) {
  ::sync();
  for (const std::string& path : TableFiles(store)) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) continue;
    (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
}

// A row store opened with room for the index of its keys, which is read once and stays: without it
// every record would cost a second read, and those RocksDB makes one by one.
class ColdStore {
 public:
  explicit ColdStore(const std::string& path)
      : path_(path),
        store_(Checked(StoreReader::Open(path, uint64_t{512} << 20))),
        reader_(*store_, one_),
        places_(store_->geometry(0)) {
    constexpr int kIndexVectors = 32;
    (void)RecordsPerSecond(4, kIndexVectors, 1000);
  }

  // Records per second of rows never read before, by so many threads with vectors of their own; the
  // page cache is dropped first.
  double RecordsPerSecond(int threads, int vectors, uint64_t seed) {
    DropCaches(path_);
    const double seconds = SecondsOf([&] {
      std::vector<std::thread> others;
      for (int t = 1; t < threads; ++t) {
        others.emplace_back([&, t] { Read(vectors, seed * 100 + static_cast<uint64_t>(t)); });
      }
      Read(vectors, seed * 100);
      for (std::thread& other : others) other.join();
    });
    const TableGeometry& geometry = store_->geometry(0);
    const double rows = double{1} * vectors * threads * geometry.chunks();
    return rows * geometry.row_blocks() / seconds;
  }

 private:
  void Read(int vectors, uint64_t seed) const {
    const TableGeometry& geometry = store_->geometry(0);
    std::mt19937_64 random(seed);
    const auto memory = MakeAligned<uint8_t>(geometry.chunks() * places_.stride_bytes());
    for (int v = 0; v < vectors; ++v) {
      std::vector<RowRequest> rows;
      for (uint32_t i = 0; i < geometry.chunks(); ++i) {
        rows.push_back({.chunk = i,
                        .code = static_cast<uint32_t>(random() % geometry.codes(i)),
                        .out = memory.get() + i * places_.stride_bytes()});
      }
      Check(reader_.ReadRows(0, places_, rows));
    }
  }

  const std::string path_;
  const std::unique_ptr<StoreReader> store_;
  const Workers one_{1};
  const RowReader reader_;
  const RowPlaces places_;
};

void AddCold(Suite* suite, const std::string& store, ColdStore* cold, int threads, double bound) {
  const std::string name = fmt::format("cold_vs_fio_{}t", threads);
  if (!suite->Wants(name)) return;
  const std::vector<std::string> files = TableFiles(store);
  const std::string largest =
      *std::max_element(files.begin(), files.end(), [](const std::string& a, const std::string& b) {
        return std::filesystem::file_size(a) < std::filesystem::file_size(b);
      });
  std::vector<double> ours, fio, ratios;
  for (uint64_t round = 0; round < 5; ++round) {
    ours.push_back(
        cold->RecordsPerSecond(threads, 16, static_cast<uint64_t>(threads) * 10 + round));
    fio.push_back(FioReadsPerSecond(largest));
    if (fio.back() == 0) {
      suite->report.Missing(name, bound, true, "peer not installed (./dev bench --peers): fio");
      return;
    }
    ratios.push_back(ours.back() / fio.back());
  }
  suite->report.Add(
      name, Summarize(ratios), bound, true,
      "records per second from disk, index cached, over fio's 4 KiB random reads at depth 32");
  suite->report.Note(name + "_records", Summarize(ours), "records per second");
  suite->report.Note(name + "_fio", Summarize(fio), "fio: reads per second");
}

}  // namespace

void MeasureCold(Suite* suite) {
  if (!suite->WantsAny({"cold_vs_fio_1t", "cold_vs_fio_4t"})) return;
  const LayerShape shape = suite->quick ? LayerShape{64, 3968} : LayerShape{2048, 3968};
  BuildOptions options = LayerOptions(6, 2);
  options.layout = Layout::kRow;
  options.codec = Codec::kRaw;
  const std::string store = BuildLayer(suite->folder, "cold", shape, options);
  {
    OpenLayer layer(store, 0, 1);
    layer.CheckSums(layer.RandomCodes());
  }
  {
    ColdStore cold(store);
    AddCold(suite, store, &cold, 1, 0.5);
    AddCold(suite, store, &cold, 4, 0.8);
  }
  Check(RemovePath(store));
}

}  // namespace lutdb::bench
