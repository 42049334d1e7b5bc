#include "tests/query/small_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status.h"
#include "coding/entry.h"
#include "coding/record.h"
#include "db/bulk.h"
#include "db/keys.h"
#include "db/rocks.h"
#include "db/store_files.h"
#include "schemas/graph.h"

namespace lutdb::testing {
namespace {

TableGeometry GeometryOf(const TableSpec& spec) {
  auto geometry = TableGeometry::Create(spec);
  LUTDB_CHECK(geometry.ok());
  return *std::move(geometry);
}

void Check(const absl::Status& status) {
  if (!status.ok()) ADD_FAILURE() << Message(status);
  LUTDB_CHECK(status.ok());
}

// Entries of one stored code, as bytes of the table's entry type.
void AppendEntry(const SmallTable& table, int32_t entry, std::string* out) {
  if (table.spec().entry == EntryType::kI8) {
    AppendLittle(static_cast<int8_t>(entry), out);
  } else {
    AppendLittle(static_cast<int16_t>(entry), out);
  }
}

std::string EntryTileOf(const SmallTable& table, const TileId& tile, Codec codec) {
  const TableGeometry& geometry = table.geometry();
  const TileShape shape = ShapeOf(geometry, tile);
  std::string entries;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    for (uint32_t i = 0; i < geometry.stored_codes(chunk); ++i) {
      const uint32_t code = geometry.CodeOfStored(chunk, i);
      for (uint32_t n = 0; n < kBlockNeurons; ++n) {
        const uint32_t neuron = tile.neuron_block * kBlockNeurons + n;
        AppendEntry(table, n < shape.neurons ? table.Expected(neuron, chunk, code) : 0, &entries);
      }
    }
  }
  std::string record;
  EncodeEntryTile(geometry, tile, entries.data(), codec, &record);
  return record;
}

std::string ProductTileOf(const SmallTable& table, const TileId& tile) {
  const TableGeometry& geometry = table.geometry();
  const TileShape shape = ShapeOf(geometry, tile);
  const size_t count = size_t{shape.positions} * kBlockNeurons;
  const AlignedArray<int32_t> narrow = MakeAligned<int32_t>(count);
  const AlignedArray<int64_t> wide = MakeAligned<int64_t>(count);
  size_t at = 0;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    for (uint32_t p = 0; p < geometry.positions(chunk).size(); ++p) {
      for (uint32_t n = 0; n < kBlockNeurons; ++n, ++at) {
        const uint32_t neuron = tile.neuron_block * kBlockNeurons + n;
        wide[at] = n < shape.neurons ? table.Slope(neuron, chunk, p) : 0;
        narrow[at] = static_cast<int32_t>(wide[at]);
      }
    }
  }
  Slopes slopes;
  if (geometry.wide_slopes()) {
    slopes.wide = wide.get();
  } else {
    slopes.narrow = narrow.get();
  }
  std::string record;
  EncodeProductTile(geometry, tile, slopes, PayloadChecksum(geometry, tile, slopes), &record);
  return record;
}

void WriteTiles(const SmallTable& table, db::SstWriter* writer, TableStats* stats) {
  const TableGeometry& geometry = table.geometry();
  for (uint32_t group = 0; group < geometry.chunk_groups(); ++group) {
    for (uint32_t block = 0; block < geometry.neuron_blocks(); ++block) {
      const TileId tile = {.table = table.spec().id, .group = group, .neuron_block = block};
      const Codec codec = table.spec().codec;
      const std::string record = codec == Codec::kProduct || codec == Codec::kSmallest
                                     ? ProductTileOf(table, tile)
                                     : EntryTileOf(table, tile, codec);
      Check(writer->Add(db::TileKey(tile.table, group, static_cast<uint16_t>(block)), record));
      ++stats->records;
      stats->stored_bytes += 10 + record.size();
    }
  }
}

void WriteRows(const SmallTable& table, db::SstWriter* writer, TableStats* stats) {
  const TableGeometry& geometry = table.geometry();
  for (uint32_t chunk = 0; chunk < geometry.chunks(); ++chunk) {
    for (uint32_t i = 0; i < geometry.stored_codes(chunk); ++i) {
      const uint32_t code = geometry.CodeOfStored(chunk, i);
      for (uint32_t block = 0; block < geometry.row_blocks(); ++block) {
        std::string entries;
        const uint32_t begin = block * geometry.row_neurons();
        for (uint32_t n = begin; n < std::min(begin + geometry.row_neurons(), geometry.neurons());
             ++n) {
          AppendEntry(table, table.Expected(n, chunk, code), &entries);
        }
        const RowId row = {
            .table = table.spec().id, .chunk = chunk, .code = code, .neuron_block = block};
        std::string record;
        EncodeRow(geometry, row, entries.data(), &record);
        Check(writer->Add(
            db::RowKey(row.table, chunk, static_cast<uint16_t>(code), static_cast<uint16_t>(block)),
            record));
        ++stats->records;
        stats->stored_bytes += 12 + record.size();
      }
    }
  }
}

// The simplest model: the first table alone.
Graph GraphOf(const TableSpec& spec) {
  Graph graph;
  graph.architecture = "feed-forward";
  graph.values = {{.name = "x", .type = ValueType::kF32, .width = spec.inputs},
                  {.name = "y", .type = ValueType::kF32, .width = spec.neurons}};
  Op op;
  op.kind = OpKind::kTable;
  op.name = "linear";
  op.inputs = {0};
  op.output = 1;
  op.table = 0;
  graph.ops = {op};
  graph.input = 0;
  graph.output = 1;
  return graph;
}

}  // namespace

SmallTable::SmallTable(const TableSpec& spec, uint32_t seed)
    : spec_(spec), geometry_(GeometryOf(spec)) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  weights_.resize(size_t{spec.neurons} * spec.inputs);
  for (size_t i = 0; i < weights_.size(); ++i) {
    const bool zero = i / spec.inputs % 17 == 5 || i % spec.inputs == 3;
    weights_[i] = zero ? 0.0f : normal(random);
  }
  for (uint32_t n = 0; n < spec.neurons; ++n) {
    steps_.push_back(StepOf(
        geometry_, absl::MakeConstSpan(weights_).subspan(size_t{n} * spec.inputs, spec.inputs)));
  }
}

int64_t SmallTable::Slope(uint32_t neuron, uint32_t chunk, uint32_t position) const {
  const uint32_t input = geometry_.InputAt(chunk, position);
  if (input == kPadding || !geometry_.positions(chunk)[position].owns) return 0;
  return SlopeOf(weights_[size_t{neuron} * spec_.inputs + input], steps_[neuron],
                 geometry_.slope_shift());
}

int32_t SmallTable::Expected(uint32_t neuron, uint32_t chunk, uint32_t code) const {
  const uint32_t count = static_cast<uint32_t>(geometry_.positions(chunk).size());
  int64_t slopes[kMaxChunkInputs];
  int32_t levels[kMaxChunkInputs];
  for (uint32_t p = 0; p < count; ++p) slopes[p] = Slope(neuron, chunk, p);
  geometry_.LevelsOf(chunk, code, levels);
  return EntryOf(slopes, levels, count, geometry_.slope_shift());
}

SmallStore::SmallStore(const std::string& name, std::vector<TableSpec> specs, uint32_t content) {
  path_ = JoinPath(::testing::TempDir(), fmt::format("lutdb-query-{}-{}-{}", name, content,
                                                     static_cast<int>(::getpid())));
  Check(RemovePath(path_));
  Check(MakeDirectory(path_));
  Check(MakeDirectory(db::RocksPath(path_)));
  auto rocks = db::Rocks::Create(db::RocksPath(path_), {});
  Check(rocks.status());
  Manifest manifest;
  manifest.source_format = "test";
  manifest.content_hash = {.low = content, .high = 7};
  std::vector<db::Write> writes;
  for (uint32_t id = 0; id < specs.size(); ++id) {
    specs[id].id = id;
    tables_.emplace_back(specs[id], 100 * content + id);
    const SmallTable& table = tables_.back();
    TableStats stats;
    stats.raw_bytes = table.geometry().raw_bytes();
    const db::Family family =
        specs[id].layout == Layout::kTile ? db::Family::kTile : db::Family::kRow;
    const std::string file = JoinPath(path_, fmt::format("{}.sst", id));
    auto writer = db::SstWriter::Create(family, file);
    Check(writer.status());
    if (family == db::Family::kTile) {
      WriteTiles(table, writer->get(), &stats);
    } else {
      WriteRows(table, writer->get(), &stats);
    }
    Check((*writer)->Finish().status());
    Check((*rocks)->Ingest(family, {file}));
    manifest.tables.push_back(specs[id]);
    manifest.stats.push_back(stats);
    std::string steps;
    for (const float step : table.steps()) AppendLittle(step, &steps);
    writes.push_back({db::Family::kDefault, db::StepsKey(id), steps});
  }
  writes.push_back({db::Family::kDefault, db::kGraphKey, SerializeGraph(GraphOf(specs[0]))});
  writes.push_back({db::Family::kDefault, db::kManifestKey, SerializeManifest(manifest)});
  Check((*rocks)->Apply(writes));
  Check((*rocks)->Flush());
}

SmallStore::~SmallStore() { (void)RemovePath(path_); }

TableSpec SpecOf(const UniformTable& table) {
  TableSpec spec;
  spec.name = table.name;
  spec.inputs = table.inputs;
  spec.neurons = table.neurons;
  spec.entry = table.entry;
  spec.layout = table.layout;
  spec.codec = table.layout == Layout::kRow ? Codec::kRaw : table.codec;
  spec.mirror = table.mirror;
  spec.chunk = table.chunk;
  spec.levels = {.grid = table.grid, .bits = static_cast<uint8_t>(table.bits)};
  return spec;
}

TableSpec ListsSpec(const std::string& name, Layout layout, Codec codec, bool mirror) {
  TableSpec spec =
      SpecOf({.name = name, .inputs = 9, .layout = layout, .codec = codec, .mirror = mirror});
  const GridLevels wide = {.grid = Grid::kSigned, .bits = 6};
  const GridLevels narrow = {.grid = Grid::kSigned, .bits = 2};
  const GridLevels positive = {.grid = Grid::kUnsigned, .bits = 3};
  spec.chunks = {{.inputs = {8, 0}, .levels = {narrow, wide}},
                 {.inputs = {1}, .levels = {positive}},
                 {.inputs = {2, 4, 3}, .levels = {narrow, narrow, positive}},
                 {.inputs = {5}, .levels = {wide}},
                 {.inputs = {0, 6}, .levels = {narrow, narrow}},
                 {.inputs = {7}, .levels = {positive}}};
  return spec;
}

std::vector<TableSpec> ManySpecs() {
  std::vector<TableSpec> specs;
  const auto add = [&](UniformTable table) {
    table.name = fmt::format("{}.{}{}.chunk{}.{}.{}.{}{}.n{}", specs.size(), Name(table.grid),
                             table.bits, table.chunk, Name(table.entry), Name(table.layout),
                             Name(table.codec), table.mirror ? ".mirror" : "", table.neurons);
    specs.push_back(SpecOf(table));
  };
  for (const bool mirror : {false, true}) {
    for (const EntryType entry : {EntryType::kI8, EntryType::kI16}) {
      for (const Codec codec : {Codec::kProduct, Codec::kDelta, Codec::kRaw}) {
        add({.inputs = 11,
             .chunk = 2,
             .bits = 3,
             .entry = entry,
             .codec = codec,
             .mirror = mirror});
      }
      add({.inputs = 7,
           .neurons = 2100,
           .bits = 3,
           .entry = entry,
           .layout = Layout::kRow,
           .mirror = mirror});
    }
    add({.inputs = 21, .neurons = 130, .bits = 8, .mirror = mirror});
    add({.inputs = 3, .neurons = 10, .bits = 10, .mirror = mirror});
    add({.inputs = 5, .neurons = 64, .bits = 1, .mirror = mirror});
    add({.inputs = 8, .neurons = 1, .chunk = 3, .bits = 2, .mirror = mirror});
    add({.inputs = 6, .neurons = 65, .bits = 5, .grid = Grid::kUnsigned, .mirror = mirror});
  }
  add({.inputs = 2, .neurons = 3, .bits = 16});
  for (const bool mirror : {false, true}) {
    const char* kind = mirror ? "mirror" : "plain";
    specs.push_back(
        ListsSpec(fmt::format("lists.product.{}", kind), Layout::kTile, Codec::kProduct, mirror));
    specs.push_back(
        ListsSpec(fmt::format("lists.delta.{}", kind), Layout::kTile, Codec::kDelta, mirror));
    specs.push_back(
        ListsSpec(fmt::format("lists.row.{}", kind), Layout::kRow, Codec::kRaw, mirror));
  }
  return specs;
}

}  // namespace lutdb::testing
