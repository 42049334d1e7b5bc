// What edits cost: durable commits beside bare synced batches of the same bytes, diff, the time
// until a reader sees a commit, and look-ups on branches without and with edits.
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "bench/report.h"
#include "engine/look_up_add.h"
#include "lutdb/build.h"
#include "lutdb/history.h"
#include "lutdb/store.h"
#include "query/branch_view.h"

namespace lutdb::bench {
namespace {

void Check(const absl::Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "history_bench: {}\n", Message(status));
  std::exit(1);
}
template <typename T>
T Checked(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

// A store of one random layer.
std::string BuildLayer(const std::string& folder, const std::string& name, uint32_t inputs,
                       uint32_t neurons, const BuildOptions& options) {
  const std::string model = folder + "/" + name + ".safetensors";
  const uint64_t bytes = uint64_t{inputs} * neurons * sizeof(float);
  std::string header =
      fmt::format(R"({{"l.weight":{{"dtype":"F32","shape":[{},{}],"data_offsets":[0,{}]}}}})",
                  neurons, inputs, bytes);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string start;
  AppendLittle<uint64_t>(header.size(), &start);
  std::ofstream file(model, std::ios::binary);
  file << start << header;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> row(inputs);
  for (uint32_t n = 0; n < neurons; ++n) {
    for (float& weight : row) weight = normal(random);
    file.write(reinterpret_cast<const char*>(row.data()),
               static_cast<std::streamsize>(row.size() * sizeof(float)));
  }
  file.close();
  BuildOptions build = options;
  build.graph_file = folder + "/" + name + ".graph.json";
  std::ofstream(build.graph_file) << fmt::format(
      R"({{"format":"lutdb-graph-1","name":"{}","input":{{"width":{},"range":[-1,1]}},)"
      R"("ops":[{{"op":"linear","weight":"l.weight"}}]}})",
      name, inputs);
  const std::string store = folder + "/" + name + ".lut";
  Checked(BuildStore(model, store, build));
  return store;
}

// Eight entries of random records, each given a value it did not have.
class RandomEdits {
 public:
  RandomEdits(uint32_t neurons, uint32_t chunks, uint32_t codes)
      : neurons_(neurons), chunks_(chunks), codes_(codes) {}
  std::vector<EntryEdit> Next(size_t count) {
    std::vector<EntryEdit> edits;
    std::set<std::tuple<uint32_t, uint32_t, uint32_t>> seen;
    while (edits.size() < count) {
      const EntryEdit edit = {.table = 0,
                              .neuron = static_cast<uint32_t>(random_() % neurons_),
                              .chunk = static_cast<uint32_t>(random_() % chunks_),
                              .code = static_cast<uint32_t>(random_() % codes_),
                              .value = ++value_ % 30000};
      if (seen.insert({edit.neuron, edit.chunk, edit.code}).second) edits.push_back(edit);
    }
    return edits;
  }

 private:
  uint32_t neurons_, chunks_, codes_;
  int32_t value_ = 0;
  std::mt19937 random_{2};
};

// The keys and values that were written with a commit, to be written again without lutdb: its own
// and the values that the commit before it replaced.
std::vector<db::Write> WritesOf(const std::string& store, const CommitInfo& commit) {
  db::OpenOptions options;
  const auto rocks = Checked(db::OpenHistory(store, options));
  std::vector<db::Write> writes;
  for (const std::string& prefix :
       {PatchPrefix(commit.id), ValuesBeforeKey(commit.parents.at(0)), CommitKey(commit.id)}) {
    db::Cursor cursor = rocks->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
    for (; cursor.Valid(); cursor.Next()) {
      writes.push_back(
          {db::Family::kHistory, std::string(cursor.key()), std::string(cursor.value())});
    }
  }
  writes.push_back({db::Family::kHistory, BranchKey("main"), commit.id});
  return writes;
}

void MeasureCommits(const std::string& folder, Report* report) {
  constexpr uint32_t kInputs = 4096, kNeurons = 64, kCodes = 255;
  constexpr int kRounds = 100, kCommits = 40;
  BuildOptions options;
  options.layout = Layout::kRow;
  const std::string store = BuildLayer(folder, "million", kInputs, kNeurons, options);
  auto history = Checked(History::Open(store, {.write = true}));
  RandomEdits edits(kNeurons, kInputs, kCodes);
  CommitInfo last;
  for (int i = 0; i < 100; ++i)
    last = Checked(history->Commit("main", edits.Next(8), {.message = "edit"}));
  const std::vector<db::Write> writes = WritesOf(store, last);
  std::filesystem::create_directory(folder + "/bare");
  auto bare = Checked(db::Rocks::Create(folder + "/bare", {}));
  uint64_t round = 0;
  const auto bare_round = [&] {
    std::vector<std::vector<db::Write>> batches(kCommits, writes);
    for (auto& batch : batches) {
      ++round;
      for (db::Write& write : batch) std::memcpy(write.key.data() + 1, &round, sizeof(round));
    }
    return SecondsOf([&] {
      for (const auto& batch : batches) Check(bare->Apply(batch));
    });
  };
  const auto commit_round = [&] {
    std::vector<std::vector<EntryEdit>> batches;
    for (int i = 0; i < kCommits; ++i) batches.push_back(edits.Next(8));
    return SecondsOf([&] {
      for (const auto& batch : batches) {
        Check(history->Commit("main", batch, {.message = "edit"}).status());
      }
    });
  };
  report->Note("commit_s", {.median = commit_round() / kCommits}, "one durable commit of 8 edits");
  report->Note("bare_s", {.median = bare_round() / kCommits}, "one bare batch");
  report->Add("commit_vs_rocksdb", PairedRatio(kRounds, bare_round, commit_round), 0.9, true,
              "rate of durable commits of 8 edits over bare synced batches of the same bytes");

  const auto reader = Checked(Store::Open(store, {}));
  std::vector<double> visible;
  for (int i = 0; i < 200; ++i) {
    const auto batch = edits.Next(8);
    Check(history->Commit("main", batch, {}).status());
    const EntryKey key = {0, batch[0].neuron, batch[0].chunk, batch[0].code};
    int16_t value = 0;
    visible.push_back(
        SecondsOf([&] { Check(reader->GetEntries({key}, absl::MakeSpan(&value, 1))); }));
    LUTDB_CHECK(value == batch[0].value);
  }
  report->Add("commit_visible_s", Summarize(visible), 1e-3, false,
              "from a durable commit to a reader's batch that has it, one entry read");

  Check(history->CreateBranch("before", "main"));
  Check(history->Commit("main", edits.Next(1000), {}).status());
  std::vector<double> diffs;
  for (int i = 0; i < 50; ++i) {
    diffs.push_back(
        SecondsOf([&] { LUTDB_CHECK(Checked(history->Diff("before", "main")).size() == 1000); }));
  }
  report->Add("diff_1000_s", Summarize(diffs), 0.01, false,
              "diff of 1,000 edits in a store of 1,044,480 records");
}

// Seconds of look-ups of one layer with the edits of a branch.
class Lookups {
 public:
  explicit Lookups(const std::string& store)
      : reader_(Checked(StoreReader::Open(store, 64 << 20))),
        rows_(Checked(RowSource::Create(*reader_, {.arena_bytes = uint64_t{1} << 30}))),
        team_(1),
        look_up_add_(*reader_, *rows_, team_),
        acc_(reader_->geometry(0).neurons()) {
    std::mt19937 random(3);
    const TableGeometry& geometry = reader_->geometry(0);
    for (auto& codes : codes_) {
      for (uint32_t c = 0; c < geometry.chunks(); ++c) {
        codes.push_back(static_cast<uint16_t>(random() % geometry.codes(c)));
      }
    }
  }

  double Run(const std::shared_ptr<const Edits>& edits) {
    look_up_add_.Use(edits);
    return SecondsOf([&] {
      for (const auto& codes : codes_) Check(look_up_add_.Sums(0, codes, acc_.data()));
    });
  }
  std::shared_ptr<const Edits> EditsOf(const std::string& ref) {
    return Checked(BranchView::Open(*reader_, ref))->latest();
  }

 private:
  std::unique_ptr<StoreReader> reader_;
  std::unique_ptr<RowSource> rows_;
  ThreadTeam team_;
  LookUpAdd look_up_add_;
  std::vector<uint16_t> codes_[16];
  std::vector<int32_t> acc_;
};

void MeasureLookups(const std::string& folder, Report* report) {
  constexpr uint32_t kSide = 4096, kCodes = 15;
  constexpr int kRounds = 31;
  BuildOptions options;
  options.input_bits = 4;
  const std::string store = BuildLayer(folder, "square", kSide, kSide, options);
  {
    // Eight entries in each of 1 % of the records (8 chunks x 64 neurons), and whole rows.
    auto history = Checked(History::Open(store, {.write = true}));
    for (const char* branch : {"none", "records", "rows"}) {
      Check(history->CreateBranch(branch, "main"));
    }
    std::mt19937 random(4);
    std::vector<EntryEdit> edits;
    constexpr uint32_t kGroups = kSide / 8, kBlocks = kSide / 64;
    std::set<uint32_t> records;
    while (records.size() < kGroups * kBlocks / 100) {
      records.insert(static_cast<uint32_t>(random() % (kGroups * kBlocks)));
    }
    for (const uint32_t record : records) {
      for (uint32_t i = 0; i < 8; ++i) {
        edits.push_back({0, record % kBlocks * 64 + i * 8, record / kBlocks * 8 + i,
                         static_cast<uint32_t>(random() % kCodes), 5});
      }
    }
    Check(history->Commit("records", edits, {}).status());
    edits.clear();
    for (uint32_t row = 0; row < kSide * kCodes; row += 100) {
      for (uint32_t n = 0; n < kSide; ++n) edits.push_back({0, n, row / kCodes, row % kCodes, 5});
    }
    Check(history->Commit("rows", edits, {}).status());
  }
  Lookups lookups(store);
  const auto none = lookups.EditsOf("none");
  const auto records = lookups.EditsOf("records");
  const auto rows = lookups.EditsOf("rows");
  for (const auto& edits : {none, records, rows}) lookups.Run(edits);  // fill arena and rows
  const auto base = [&] { return lookups.Run(nullptr); };
  const auto ratio = [&](const std::shared_ptr<const Edits>& edits) {
    return PairedRatio(
        kRounds, [&, edits] { return lookups.Run(edits); }, base);
  };
  report->Add("lookup_no_edits", ratio(none), 1.05, false,
              "look-ups on a branch without edits over the base (4096 x 4096, 4 bits, 1 thread)");
  report->Add("lookup_1pct_records", ratio(records), 1.3, false,
              "with 8 entries edited in each of 1 % of the records");
  report->Note("lookup_1pct_rows", ratio(rows), "with every entry of 1 % of the rows edited");
}

int Run(bool json) {
  std::string pattern = (std::filesystem::temp_directory_path() / "history_bench_XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  Report report;
  MeasureCommits(folder, &report);
  MeasureLookups(folder, &report);
  std::filesystem::remove_all(folder);
  fmt::print("{}\n", json ? report.Json() : report.Text());
  return report.all_hold() ? 0 : 1;
}

}  // namespace
}  // namespace lutdb::bench

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--json") != 0) {
    fmt::print(stderr,
               "Usage: history_bench [--json]\nMeasures commits, diff, and look-ups with edits.\n");
    return std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
  }
  return lutdb::bench::Run(argc > 1);
}
