// What a chunk of more inputs buys and costs: bytes kept and read for each weight, time and error.
#include <cmath>

#include "base/file.h"
#include "bench/layer_store.h"
#include "bench/suite.h"
#include "engine/input_coder.h"
#include "engine/kernels/kernels.h"
#include "query/row_places.h"

namespace lutdb::bench {
namespace {

struct Point {
  int bits = 0;
  uint32_t chunk = 0;
};

double RelativeError(OpenLayer* layer, const LayerShape& shape, const std::vector<float>& weights) {
  InputCoder coder(layer->store().spec(0), layer->geometry(), {});
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(shape.inputs), y(shape.neurons);
  for (float& one : x) one = normal(random);
  std::vector<uint16_t> codes(coder.chunks());
  const float scale = coder.Encode(x.data(), codes.data());
  std::vector<int32_t> acc(shape.neurons);
  Check(layer->sums().Sums(0, codes, acc.data()));
  const std::vector<float> steps = Checked(layer->store().Steps(0));
  kernels::ScaleSums(acc.data(), steps.data(), nullptr, scale, acc.size(), y.data());
  double error = 0, size = 0;
  for (uint32_t n = 0; n < shape.neurons; ++n) {
    double exact = 0;
    for (uint32_t i = 0; i < shape.inputs; ++i) {
      exact += double{weights[size_t{n} * shape.inputs + i]} * x[i];
    }
    error += (y[n] - exact) * (y[n] - exact);
    size += exact * exact;
  }
  return std::sqrt(error / size);
}

void AddPoint(Suite* suite, const Point& point, const LayerShape& shape,
              const std::vector<float>& weights) {
  BuildOptions options = LayerOptions(point.bits, point.chunk);
  options.mirror = true;
  const std::string name = fmt::format("frontier_{}bit_chunk{}", point.bits, point.chunk);
  const std::string store = BuildLayer(suite->folder, name, shape, options);
  {
    OpenLayer layer(store, uint64_t{6} << 30, 1);
    layer.Warm();
    layer.CheckSums(layer.RandomCodes());
    const RowPlaces places(layer.geometry());
    std::vector<int32_t> acc(shape.neurons);
    std::vector<double> times;
    for (int round = 0; round < 9; ++round) {
      std::vector<std::vector<uint16_t>> codes;
      for (int v = 0; v < 100; ++v) codes.push_back(layer.RandomCodes());
      times.push_back(SecondsOf([&] {
                        for (const auto& one : codes) Check(layer.sums().Sums(0, one, acc.data()));
                      }) /
                      100 * 1e6);
    }
    const double count = static_cast<double>(weights.size());
    const auto note = [&](const char* what, double value, const char* unit) {
      suite->report.Note(fmt::format("{}_{}", name, what), {value, value, value}, unit);
    };
    note("table_bytes", static_cast<double>(places.bytes()) / count, "arena bytes per weight");
    note("read_bytes", static_cast<double>(places.chunks() * places.stride_bytes()) / count,
         "bytes read per weight and vector");
    suite->report.Note(name + "_us", Summarize(times), "us a vector, 1 thread");
    note("error", RelativeError(&layer, shape, weights), "relative error of the outputs");
  }
  Check(RemovePath(store));
}

}  // namespace

void MeasureFrontier(Suite* suite) {
  if (!suite->Wants("frontier")) return;
  const LayerShape shape = suite->quick ? LayerShape{48, 256} : LayerShape{1536, 1024};
  const std::vector<float> weights = LayerWeights(shape);
  // Four inputs of 4 bits would be 25,313 rows a chunk: 10 GB here; with 3 bits they fit.
  for (const Point point : {Point{8, 1}, Point{4, 1}, Point{4, 2}, Point{4, 3}, Point{3, 4}}) {
    AddPoint(suite, point, shape, weights);
  }
}

}  // namespace lutdb::bench
