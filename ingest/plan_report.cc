// What a build would cost: sizes by encoding samples, and the report of `lutdb plan`.

#include <algorithm>
#include <numeric>

#include "base/status.h"
#include "coding/record.h"
#include "coding/tensor_record.h"
#include "ingest/build_plan.h"
#include "ingest/learned_table.h"
#include "ingest/range_writer.h"
#include "ingest/slope_block.h"
#include "ingest/tile_sums.h"

namespace lutdb {
namespace {

// Bytes a key-value pair takes in an SST file beyond key and value: lengths, sequence number, its
// share of the index.
constexpr uint64_t kFramingBytes = 16;
constexpr uint64_t kPageBytes = 4096;
// Each range is a file with an index, properties and a footer.
constexpr uint64_t kFileBytes = 3000;

uint64_t RangeCount(const StoreLayout& layout, db::Family family, uint32_t id) {
  return static_cast<uint64_t>(std::count_if(
      layout.ranges.begin(), layout.ranges.end(),
      [&](const RangePlan& range) { return range.family == family && range.first_id == id; }));
}

// Row records are kept in aligned pages: a full one takes a page, small ones share.
uint64_t RowTableBytes(const PlannedTable& table) {
  const TableGeometry& geometry = table.geometry;
  const uint64_t neurons = std::min(geometry.neurons(), geometry.row_neurons());
  const uint64_t record = kRecordHeaderBytes + 12 + kFramingBytes +
                          neurons * static_cast<uint64_t>(EntryBytes(geometry.entry()));
  const uint64_t per_page = std::max<uint64_t>(1, kPageBytes / record);
  const uint64_t index = 2 * kFramingBytes;
  return (RecordsOf(table) + per_page - 1) / per_page * (kPageBytes + index);
}

// The average of two tiles, in the middle of the first and of the last third of the table.
absl::StatusOr<uint64_t> TileTableBytes(const BuildPlan& plan, const PlannedTable& table) {
  const TableGeometry& geometry = table.geometry;
  const SourceTensor weights = WeightsOf(plan.source.tensors, table.spec);
  std::vector<float> steps(geometry.neurons(), 1.0f);
  TileSummer summer(table);
  ProductDecoder decoder(geometry);
  TileScratch scratch;
  SlopeScratch slope_scratch;
  std::string record;
  uint64_t bytes = 0;
  constexpr uint32_t kSamples = 2;
  for (uint32_t sample = 0; sample < kSamples; ++sample) {
    const uint32_t block = geometry.neuron_blocks() * (1 + 4 * sample) / 6;
    const uint32_t group = geometry.chunk_groups() * (1 + 4 * sample) / 6;
    const uint32_t begin = block * kBlockNeurons;
    const uint32_t end = std::min(begin + kBlockNeurons, geometry.neurons());
    LUTDB_RETURN_IF_ERROR(StepsOfRows(weights, table, begin, end, steps.data() + begin));
    for (uint32_t n = begin; n < end; ++n) {
      if (steps[n] == 0) steps[n] = 1.0f;
    }
    SlopeBlock slopes(table, weights, steps);
    const TileId tile{.table = table.spec.id, .group = group, .neuron_block = block};
    const TileShape shape = ShapeOf(geometry, tile);
    slopes.Load(shape.chunk_begin, shape.chunk_end, block, &slope_scratch);
    MakeTileRecord(table, tile, slopes.At(shape.chunk_begin), slopes.steps(), &summer, &decoder,
                   &scratch, nullptr, &record);
    bytes += record.size() + 10 + kFramingBytes;
    ReleaseRows(&plan.source.files, weights, begin, end);
  }
  return bytes * RecordsOf(table) / kSamples;
}

// A tensor's records as the middle one of them compresses.
uint64_t TensorBytes(const TensorSpec& spec, const SourceTensor& tensor) {
  const uint64_t row_bytes = spec.cols * static_cast<uint64_t>(DTypeBytes(spec.dtype));
  const uint64_t block = RowBlocks(spec) / 2;
  const uint64_t begin = block * spec.rows_per_record;
  const uint64_t count = std::min<uint64_t>(spec.rows_per_record, spec.rows - begin);
  std::string rows(count * row_bytes, '\0'), record;
  for (uint64_t r = 0; r < count; ++r) tensor.CopyRow(begin + r, rows.data() + r * row_bytes);
  EncodeTensorRows(spec, static_cast<uint32_t>(block),
                   reinterpret_cast<const uint8_t*>(rows.data()), static_cast<uint32_t>(count),
                   &record);
  return (record.size() * spec.rows + count - 1) / count + RowBlocks(spec) * (8 + kFramingBytes);
}

}  // namespace

uint64_t SizeEstimate::total() const {
  return std::accumulate(tables.begin(), tables.end(), weights);
}

absl::StatusOr<SizeEstimate> EstimateSizes(const BuildPlan& plan) {
  SizeEstimate estimate;
  for (const PlannedTable& table : plan.layout.tables) {
    const bool rows = table.spec.layout == Layout::kRow;
    uint64_t bytes = RowTableBytes(table);
    if (!rows) {
      LUTDB_ASSIGN_OR_RETURN(bytes, TileTableBytes(plan, table));
    }
    const db::Family family = rows ? db::Family::kRow : db::Family::kTile;
    estimate.tables.push_back(bytes + kFileBytes * RangeCount(plan.layout, family, table.spec.id));
  }
  for (const TensorSpec& tensor : plan.layout.tensors) {
    estimate.weights += TensorBytes(tensor, plan.source.tensors[tensor.id]);
  }
  estimate.weights += kFileBytes;
  return estimate;
}

absl::StatusOr<PlanReport> PlanBuild(const std::string& model, const BuildOptions& options) {
  LUTDB_ASSIGN_OR_RETURN(const BuildPlan plan, ResolvePlan(model, options, /*choices=*/true));
  LUTDB_ASSIGN_OR_RETURN(const SizeEstimate estimate, EstimateSizes(plan));
  PlanReport report;
  report.choices = plan.choices;
  report.architecture = plan.graph.architecture;
  report.stored_bytes_estimate = estimate.total();
  for (const SourceTensor& tensor : plan.source.tensors) report.weights_bytes += tensor.bytes();
  for (const PlannedTable& planned : plan.layout.tables) {
    const TableGeometry& geometry = planned.geometry;
    PlanTable table;
    table.name = planned.spec.name;
    table.inputs = planned.spec.inputs;
    table.neurons = planned.spec.neurons;
    table.chunk = geometry.uniform() ? planned.spec.chunk : 0;
    table.codes = geometry.codes_max();
    table.input_bits = static_cast<int>(geometry.max_bits());
    table.raw_bytes = geometry.raw_bytes();
    table.stored_bytes_estimate = estimate.tables[planned.spec.id];
    table.read_bytes_per_token = uint64_t{geometry.chunks()} * geometry.neurons() *
                                 static_cast<uint64_t>(EntryBytes(geometry.entry()));
    report.weights += uint64_t{table.inputs} * table.neurons;
    report.raw_bytes += table.raw_bytes;
    report.read_bytes_per_token += table.read_bytes_per_token;
    report.tables.push_back(std::move(table));
  }
  return report;
}

}  // namespace lutdb
