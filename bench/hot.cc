// The hot path: rows that are in the arena, beside what memory can deliver and what ggml's kernels
// need for the same layer. Every figure goes through the engine's own look-up and add, row source
// and kernels, with random codes over tables of many times the last-level cache.
#include <cmath>

#include "base/file.h"
#include "bench/blas_peer.h"
#include "bench/ggml_peer.h"
#include "bench/layer_store.h"
#include "bench/memory_peer.h"
#include "bench/suite.h"
#include "engine/input_coder.h"
#include "engine/kernels/kernels.h"

namespace lutdb::bench {
namespace {

constexpr uint64_t kLastLevelCacheTimes = 8;
constexpr uint64_t kLastLevelCache = 32 << 20;
// Per measurement: the first few meet caches that are full of what the other side read.
constexpr int kVectors = 200;

// Seconds of one vector, each with codes of its own; codes are made before the clock starts.
double SecondsPerVector(OpenLayer* layer, int vectors, double zero_share = 0) {
  std::vector<std::vector<uint16_t>> codes;
  for (int v = 0; v < vectors; ++v) {
    codes.push_back(layer->RandomCodes());
    for (uint32_t chunk = 0; chunk < codes.back().size(); ++chunk) {
      const bool zero = static_cast<double>(layer->random()() % 1000) < zero_share * 1000;
      if (zero) codes.back()[chunk] = static_cast<uint16_t>(layer->geometry().ZeroCode(chunk));
    }
  }
  std::vector<int32_t> acc(layer->geometry().neurons());
  const double seconds = SecondsOf([&] {
    for (const auto& one : codes) Check(layer->sums().Sums(0, one, acc.data()));
  });
  return seconds / vectors;
}

double BytesPerVector(const TableGeometry& geometry) {
  return static_cast<double>(geometry.chunks()) * geometry.neurons() * EntryBytes(geometry.entry());
}

void CheckCodes(OpenLayer* layer) {
  for (int i = 0; i < 2; ++i) layer->CheckSums(layer->RandomCodes());
}

// Share of the machine's sequential bandwidth.
void AddBandwidth(Suite* suite, SequentialMemory* memory, const std::string& store,
                  uint64_t arena_bytes, int threads, double bound) {
  const std::string name = fmt::format("hot_bandwidth_{}t", threads);
  OpenLayer layer(store, arena_bytes, static_cast<unsigned>(threads));
  layer.Warm();
  CheckCodes(&layer);
  const double bytes = BytesPerVector(layer.geometry());
  std::vector<double> ours, sequential;
  const Measured ratio = PairedRatio(
      15,
      [&] {
        ours.push_back(bytes / SecondsPerVector(&layer, kVectors) / 1e9);
        return ours.back();
      },
      [&] {
        sequential.push_back(memory->BytesPerSecond(threads) / 1e9);
        return sequential.back();
      });
  suite->report.Add(name, ratio, bound, true,
                    "bytes of random rows per second over sequential ones");
  suite->report.Note(fmt::format("hot_gbps_{}t", threads), Summarize(ours), "GB/s of rows");
  suite->report.Note(fmt::format("sequential_gbps_{}t", threads), Summarize(sequential),
                     "GB/s, 1 GiB read from one end to the other");
}

void AddHalfZero(Suite* suite, OpenLayer* layer) {
  suite->report.Add("half_zero",
                    PairedRatio(
                        15, [&] { return SecondsPerVector(layer, kVectors, 0.5); },
                        [&] { return SecondsPerVector(layer, kVectors); }),
                    0.55, false, "time with half the codes zero over the time with none");
}

void AddBatch(Suite* suite, OpenLayer* layer) {
  constexpr size_t kTogether = 512;
  const size_t neurons = layer->geometry().neurons();
  std::vector<int32_t> acc(kTogether * neurons), one(neurons);
  const auto many = [&](bool check) {
    std::vector<uint16_t> codes;
    for (size_t v = 0; v < kTogether; ++v) {
      const std::vector<uint16_t> some = layer->RandomCodes();
      codes.insert(codes.end(), some.begin(), some.end());
    }
    const double seconds =
        SecondsOf([&] { Check(layer->sums().SumsOfMany(0, kTogether, codes, acc.data())); });
    const size_t chunks = codes.size() / kTogether;
    for (size_t v = 0; check && v < kTogether; ++v) {
      Check(layer->sums().Sums(0, absl::MakeConstSpan(codes).subspan(v * chunks, chunks),
                               one.data()));
      if (!std::equal(one.begin(), one.end(), acc.begin() + static_cast<long>(v * neurons))) {
        Die(fmt::format("batch_512: the sums of vector {} differ from those made alone", v));
      }
    }
    return seconds / kTogether;
  };
  (void)many(true);
  std::vector<double> alone, together;
  const Measured ratio = PairedRatio(
      15,
      [&] {
        alone.push_back(SecondsPerVector(layer, kVectors) * 1e6);
        return alone.back();
      },
      [&] {
        together.push_back(many(false) * 1e6);
        return together.back();
      });
  suite->report.Add("batch_512", ratio, 2, true,
                    "vectors per second, 512 at once over one at a time");
  suite->report.Note("batch_512_alone_us", Summarize(alone), "us a vector, one at a time");
  suite->report.Note("batch_512_us", Summarize(together), "us a vector, 512 at once");
}

// |y - W x| / |W x| for normal x.
double RelativeError(const std::vector<float>& y, const std::vector<float>& exact) {
  double error = 0, size = 0;
  for (size_t n = 0; n < y.size(); ++n) {
    error += (double{y[n]} - exact[n]) * (double{y[n]} - exact[n]);
    size += double{exact[n]} * exact[n];
  }
  return std::sqrt(error / size);
}

struct Vectors {
  std::vector<float> x, exact;
};

Vectors RandomProduct(const LayerShape& shape, const std::vector<float>& weights) {
  Vectors vectors;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (uint32_t i = 0; i < shape.inputs; ++i) vectors.x.push_back(normal(random));
  for (uint32_t n = 0; n < shape.neurons; ++n) {
    double sum = 0;
    for (uint32_t i = 0; i < shape.inputs; ++i) {
      sum += double{weights[size_t{n} * shape.inputs + i]} * vectors.x[i];
    }
    vectors.exact.push_back(static_cast<float>(sum));
  }
  return vectors;
}

double TableError(OpenLayer* layer, const Vectors& vectors) {
  const StoreReader& store = layer->store();
  InputCoder coder(store.spec(0), layer->geometry(), {});
  std::vector<uint16_t> codes(coder.chunks());
  const float scale = coder.Encode(vectors.x.data(), codes.data());
  std::vector<int32_t> acc(vectors.exact.size());
  std::vector<float> y(acc.size());
  Check(layer->sums().Sums(0, codes, acc.data()));
  const auto steps = Checked(store.Steps(0));
  kernels::ScaleSums(acc.data(), steps.data(), nullptr, scale, acc.size(), y.data());
  return RelativeError(y, vectors.exact);
}

struct Contest {
  std::string prefix;  // of the figures' names
  GgmlType type = GgmlType::kQ4_K;
  const char* type_name = "Q4_K";
  std::vector<double> bounds;  // by threads
};

// Time of ggml's product over that of ours, on the same layer.
void AddContest(Suite* suite, const Contest& contest, const LayerShape& shape,
                const std::string& store, uint64_t arena_bytes) {
  const std::vector<float> weights = LayerWeights(shape);
  const Vectors vectors = RandomProduct(shape, weights);
  const uint64_t weight_bytes = weights.size() / 2;
  const auto copies = static_cast<int>(
      std::min<uint64_t>(kLastLevelCacheTimes * kLastLevelCache / weight_bytes + 1, 64));
  std::string why;
  const auto ggml =
      GgmlLayer::Create(suite->peers, contest.type, weights, static_cast<int>(shape.inputs),
                        static_cast<int>(shape.neurons), copies, &why);
  for (size_t t = 0; t < contest.bounds.size(); ++t) {
    const int threads = static_cast<int>(t) + 1;
    const std::string name = fmt::format("{}_{}t", contest.prefix, threads);
    if (!suite->Wants(name)) continue;
    OpenLayer layer(store, arena_bytes, static_cast<unsigned>(threads));
    layer.Warm();
    CheckCodes(&layer);
    if (ggml == nullptr) {
      suite->report.Missing(name, contest.bounds[t], true, why);
      continue;
    }
    const double their_error = RelativeError(ggml->Product(vectors.x), vectors.exact);
    if (their_error > 0.5) Die("the peer's product is not the layer's");
    std::vector<double> ours, theirs;
    const Measured ratio = PairedRatio(
        15,
        [&] {
          theirs.push_back(ggml->SecondsPerProduct(threads) * 1e6);
          return theirs.back();
        },
        [&] {
          ours.push_back(SecondsPerVector(&layer, kVectors) * 1e6);
          return ours.back();
        });
    suite->report.Add(
        name, ratio, contest.bounds[t], true,
        fmt::format("time of ggml {} ({}) over ours", contest.type_name, ggml->buffer_type()));
    suite->report.Note(name + "_ours_us", Summarize(ours), "us a vector, tables");
    suite->report.Note(name + "_ggml_us", Summarize(theirs), "us a vector, ggml");
    if (t == 0) {
      const double our_error = TableError(&layer, vectors);
      suite->report.Note(contest.prefix + "_error_ours", {our_error, our_error, our_error},
                         "relative error of the outputs, tables");
      suite->report.Note(contest.prefix + "_error_ggml", {their_error, their_error, their_error},
                         "relative error of the outputs, ggml");
    }
  }
}

// Time of OpenBLAS's product in f32 over that of ours, on the same layer.
void AddSgemv(Suite* suite, const LayerShape& shape, const std::string& store,
              uint64_t arena_bytes) {
  const std::vector<float> weights = LayerWeights(shape);
  const Vectors vectors = RandomProduct(shape, weights);
  constexpr int kCopies = 4;  // of 64 MiB
  std::string why;
  const auto blas = BlasLayer::Create(weights, static_cast<int>(shape.inputs),
                                      static_cast<int>(shape.neurons), kCopies, &why);
  if (blas == nullptr) {
    suite->report.Note("hot_vs_sgemv_1t", {}, why);
    return;
  }
  if (RelativeError(blas->Product(vectors.x), vectors.exact) > 1e-3) {
    Die("OpenBLAS's product is not the layer's");
  }
  for (const int threads : {1, 2}) {
    OpenLayer layer(store, arena_bytes, static_cast<unsigned>(threads));
    layer.Warm();
    suite->report.Note(fmt::format("hot_vs_sgemv_{}t", threads),
                       PairedRatio(
                           7, [&] { return blas->SecondsPerProduct(threads); },
                           [&] { return SecondsPerVector(&layer, kVectors); }),
                       "time of OpenBLAS sgemv, f32, over ours");
  }
}

// The 5-bit table of the same layer: too large for the arena, and only its error is asked for.
void AddFiveBitError(Suite* suite, const LayerShape& shape) {
  const std::vector<float> weights = LayerWeights(shape);
  const Vectors vectors = RandomProduct(shape, weights);
  const std::string store = BuildLayer(suite->folder, "five", shape, LayerOptions(5, 2));
  OpenLayer layer(store, 0, 1);
  const double error = TableError(&layer, vectors);
  suite->report.Note("hot_vs_q4k_error_ours_5bit", {error, error, error},
                     "relative error of the outputs, tables with 5-bit levels (C = 961)");
  Check(RemovePath(store));
}

}  // namespace

void MeasureHot(Suite* suite) {
  const LayerShape shape = suite->quick ? LayerShape{256, 512} : LayerShape{4096, 4096};
  const LayerShape shape3 = suite->quick ? LayerShape{256, 256} : LayerShape{4096, 2048};
  const uint64_t arena = uint64_t{6} << 30;
  if (suite->WantsAny({"hot_bandwidth_1t", "hot_bandwidth_2t", "half_zero", "batch_512",
                       "hot_vs_q4k_1t", "hot_vs_q4k_2t"})) {
    const std::string store = BuildLayer(suite->folder, "chunk2", shape, LayerOptions(4, 2));
    {
      SequentialMemory memory;
      if (suite->Wants("hot_bandwidth_1t")) AddBandwidth(suite, &memory, store, arena, 1, 0.65);
      if (suite->Wants("hot_bandwidth_2t")) AddBandwidth(suite, &memory, store, arena, 2, 0.55);
    }
    if (suite->WantsAny({"half_zero", "batch_512"})) {
      OpenLayer layer(store, arena, 1);
      layer.Warm();
      CheckCodes(&layer);
      if (suite->Wants("half_zero")) AddHalfZero(suite, &layer);
      if (suite->Wants("batch_512")) AddBatch(suite, &layer);
    }
    if (suite->WantsAny({"hot_vs_q4k_1t", "hot_vs_q4k_2t"})) {
      AddContest(suite, {.prefix = "hot_vs_q4k", .bounds = {1.1, 1.0}}, shape, store, arena);
      AddSgemv(suite, shape, store, arena);
      AddFiveBitError(suite, shape);
    }
    Check(RemovePath(store));
  }
  if (suite->WantsAny({"hot3_vs_q4k_1t", "hot3_vs_q4k_2t"})) {
    BuildOptions options = LayerOptions(4, 3);
    options.mirror = true;
    const std::string store = BuildLayer(suite->folder, "chunk3", shape3, options);
    AddContest(suite, {.prefix = "hot3_vs_q4k", .bounds = {1.6, 1.4}}, shape3, store, arena);
    Check(RemovePath(store));
  }
  if (suite->Wants("hot_vs_q8_0_1t")) {
    const std::string store = BuildLayer(suite->folder, "chunk1", shape, LayerOptions(8, 1));
    AddContest(
        suite,
        {.prefix = "hot_vs_q8_0", .type = GgmlType::kQ8_0, .type_name = "Q8_0", .bounds = {0.9}},
        shape, store, arena);
    Check(RemovePath(store));
  }
}

}  // namespace lutdb::bench
