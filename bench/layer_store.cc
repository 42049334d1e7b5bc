#include "bench/layer_store.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>

#include "base/bytes.h"
#include "base/file.h"
#include "bench/suite.h"
#include "lutdb/build.h"
#include "lutdb/store.h"

namespace lutdb::bench {
namespace {

constexpr int kWarmCallsMax = 50000;  // the last groups of a large table wait for their budget

void WriteModel(const std::string& path, const LayerShape& shape) {
  const std::vector<float> weights = LayerWeights(shape);
  const uint64_t bytes = weights.size() * sizeof(float);
  std::string header =
      fmt::format(R"({{"l.weight":{{"dtype":"F32","shape":[{},{}],"data_offsets":[0,{}]}}}})",
                  shape.neurons, shape.inputs, bytes);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string start;
  AppendLittle<uint64_t>(header.size(), &start);
  std::ofstream file(path, std::ios::binary);
  file << start << header;
  file.write(reinterpret_cast<const char*>(weights.data()), static_cast<std::streamsize>(bytes));
  if (!file) Die(fmt::format("{} cannot be written", path));
}

}  // namespace

std::vector<float> LayerWeights(const LayerShape& shape) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(size_t{shape.inputs} * shape.neurons);
  for (float& weight : weights) weight = normal(random);
  return weights;
}

std::string BuildLayer(const std::string& folder, const std::string& name, const LayerShape& shape,
                       BuildOptions options) {
  const std::string model = fmt::format("{}/{}.safetensors", folder, name);
  WriteModel(model, shape);
  options.graph_file = fmt::format("{}/{}.graph.json", folder, name);
  std::ofstream(options.graph_file)
      << fmt::format(R"({{"format":"lutdb-graph-1","name":"{}","input":{{"width":{}}},)"
                     R"("ops":[{{"op":"linear","weight":"l.weight"}}]}})",
                     name, shape.inputs);
  const std::string store = fmt::format("{}/{}.lut", folder, name);
  Check(BuildStore(model, store, options).status());
  Check(RemovePath(model));
  return store;
}

BuildOptions LayerOptions(int bits, uint32_t chunk) {
  BuildOptions options;
  options.input_bits = bits;
  options.chunk = chunk;
  options.entry = EntryType::kI8;
  return options;
}

OpenLayer::OpenLayer(const std::string& store, uint64_t arena_bytes, unsigned threads,
                     uint64_t cache_bytes, unsigned row_threads)
    : store_(Checked(StoreReader::Open(store, cache_bytes))),
      rows_(Checked(RowSource::Create(
          *store_, {.arena_bytes = arena_bytes, .threads = std::max(row_threads, threads)}))),
      team_(std::make_unique<ThreadTeam>(threads)),
      sums_(std::make_unique<LookUpAdd>(*store_, *rows_, *team_)) {}

void OpenLayer::Warm() {
  std::vector<int32_t> acc(geometry().neurons());
  for (int call = 0; call < kWarmCallsMax; ++call) {
    const uint64_t misses = rows_->stats().misses;
    Check(sums_->Sums(0, RandomCodes(), acc.data()));
    if (rows_->stats().misses != misses) continue;
    ::sync();  // what is still being written to disk would be measured as well
    return;
  }
  Die("the arena did not take the whole table");
}

std::vector<uint16_t> OpenLayer::RandomCodes() {
  std::vector<uint16_t> codes(geometry().chunks());
  for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
    codes[chunk] = static_cast<uint16_t>(random_() % geometry().codes(chunk));
  }
  return codes;
}

// The other way to the entries: one by one through the store's own look-up by key, without the
// arena, the row source or the kernels that add rows.
void OpenLayer::CheckSums(const std::vector<uint16_t>& codes) {
  constexpr uint32_t kNeuronsChecked = 4;
  std::vector<int32_t> acc(geometry().neurons());
  Check(sums_->Sums(0, codes, acc.data()));
  OpenStoreOptions options;
  const auto store = Checked(Store::Open(store_->path(), options));
  for (uint32_t i = 0; i < kNeuronsChecked; ++i) {
    const auto neuron = static_cast<uint32_t>(random_() % geometry().neurons());
    std::vector<EntryKey> keys;
    for (uint32_t chunk = 0; chunk < codes.size(); ++chunk) {
      keys.push_back({.table = 0, .neuron = neuron, .chunk = chunk, .code = codes[chunk]});
    }
    std::vector<int16_t> entries(keys.size());
    Check(store->GetEntries(keys, absl::MakeSpan(entries)));
    int64_t sum = 0;
    for (const int16_t entry : entries) sum += entry;
    if (sum != acc[neuron]) {
      Die(fmt::format("neuron {}: the sum is {}, by its entries it is {}", neuron, acc[neuron],
                      sum));
    }
  }
}

}  // namespace lutdb::bench
