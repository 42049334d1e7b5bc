// Records of a damaged store: whatever the bytes are, a decoder refuses them or decodes them within
// the bounds of the table.

#include "base/check.h"
#include "coding/record.h"
#include "tests/fuzz/fuzz_target.h"

namespace lutdb {
namespace {

// Three inputs of 4 levels and two of 16, chunks of two: the last one is padded.
const TableGeometry& Geometry() {
  static const TableGeometry geometry = [] {
    TableSpec spec;
    spec.name = "t";
    spec.inputs = 5;
    spec.neurons = 70;
    spec.chunk = 2;
    spec.levels.bits = 3;
    auto created = TableGeometry::Create(spec);
    LUTDB_CHECK(created.ok());
    return std::move(created).value();
  }();
  return geometry;
}
constexpr TileId kTile{.table = 0, .group = 0, .neuron_block = 1};

}  // namespace

std::vector<std::string> FuzzSeeds() {
  const TableGeometry& geometry = Geometry();
  const TileShape shape = ShapeOf(geometry, kTile);
  std::vector<int32_t> slopes(size_t{shape.positions} * kBlockNeurons, 0);
  for (size_t i = 0; i < slopes.size(); ++i) {
    if (i % kBlockNeurons < shape.neurons) slopes[i] = static_cast<int32_t>(i * 2654435761u >> 12);
  }
  const Slopes view{.narrow = slopes.data()};
  std::vector<std::string> seeds(3);
  EncodeProductTile(geometry, kTile, view, PayloadChecksum(geometry, kTile, view), &seeds[0]);
  std::vector<int16_t> entries(shape.stored_codes * kBlockNeurons, 0);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i % kBlockNeurons < shape.neurons) entries[i] = static_cast<int16_t>(i);
  }
  EncodeEntryTile(geometry, kTile, entries.data(), Codec::kDelta, &seeds[1]);
  EncodeEntryTile(geometry, kTile, entries.data(), Codec::kRaw, &seeds[2]);
  return seeds;
}

}  // namespace lutdb

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  using namespace lutdb;
  TileDecoder decoder;
  if (!decoder.Open(Geometry(), kTile, {reinterpret_cast<const char*>(bytes), count}).ok())
    return 0;
  alignas(64) int16_t row[kBlockNeurons];
  const TileShape& shape = decoder.shape();
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    for (uint32_t code = 0; code < Geometry().codes(chunk); ++code) decoder.Row(chunk, code, row);
  }
  decoder.VerifyChecksum().IgnoreError();
  return 0;
}
