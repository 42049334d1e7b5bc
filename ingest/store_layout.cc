#include "ingest/store_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "db/keys.h"

namespace lutdb {
namespace {

// Entries of one range. Product records are made at several GB/s of entries and are about 150 times
// smaller than them; the others are about as large as what they hold.
constexpr uint64_t kProductRangeBytes = uint64_t{4} << 30;
constexpr uint64_t kDeltaRangeBytes = uint64_t{512} << 20;
constexpr uint64_t kRawRangeBytes = uint64_t{128} << 20;
constexpr uint64_t kWeightsRangeBytes = uint64_t{128} << 20;

uint64_t RangeBytes(const TableSpec& spec) {
  if (spec.layout == Layout::kRow || spec.codec == Codec::kRaw) return kRawRangeBytes;
  return spec.codec == Codec::kDelta ? kDeltaRangeBytes : kProductRangeBytes;
}

uint64_t CodesOf(const TableGeometry& geometry, uint32_t begin, uint32_t end) {
  if (geometry.uniform()) return uint64_t{end - begin} * geometry.codes_max();
  uint64_t codes = 0;
  for (uint32_t c = begin; c < end; ++c) codes += geometry.codes(c);
  return codes;
}

uint64_t StoredCodesOf(const TableGeometry& geometry, uint32_t begin, uint32_t end) {
  if (geometry.uniform()) return uint64_t{end - begin} * geometry.stored_codes(0);
  uint64_t codes = 0;
  for (uint32_t c = begin; c < end; ++c) codes += geometry.stored_codes(c);
  return codes;
}

void PlanTable(const PlannedTable& table, std::vector<RangePlan>* ranges) {
  const TableGeometry& geometry = table.geometry;
  const bool rows = table.spec.layout == Layout::kRow;
  const uint64_t units = rows ? geometry.chunks() : geometry.chunk_groups();
  // Equal shares, so that no range is a small remainder.
  const uint64_t wanted = geometry.raw_bytes() / RangeBytes(table.spec) + 1;
  const uint64_t pieces = std::min(units, wanted);
  for (uint64_t piece = 0; piece < pieces; ++piece) {
    RangePlan range{.family = rows ? db::Family::kRow : db::Family::kTile,
                    .first_id = table.spec.id,
                    .last_id = table.spec.id,
                    .begin = units * piece / pieces,
                    .end = units * (piece + 1) / pieces};
    const uint32_t begin = FirstChunk(table, range), end = LastChunkEnd(table, range);
    range.records = rows ? StoredCodesOf(geometry, begin, end) * geometry.row_blocks()
                         : (range.end - range.begin) * geometry.neuron_blocks();
    range.raw_bytes = CodesOf(geometry, begin, end) * geometry.neurons() *
                      static_cast<uint64_t>(EntryBytes(geometry.entry()));
    ranges->push_back(range);
  }
}

void PlanTensors(const std::vector<TensorSpec>& tensors, std::vector<RangePlan>* ranges) {
  RangePlan range{.family = db::Family::kWeights};
  for (const TensorSpec& tensor : tensors) {
    const uint64_t record_bytes = uint64_t{tensor.rows_per_record} * tensor.cols *
                                  static_cast<uint64_t>(DTypeBytes(tensor.dtype));
    const uint64_t per_range = std::max<uint64_t>(1, kWeightsRangeBytes / record_bytes);
    uint64_t block = 0;
    while (block < RowBlocks(tensor)) {
      if (range.records == 0) {
        range.first_id = tensor.id;
        range.begin = block;
      }
      const uint64_t room = (kWeightsRangeBytes - std::min(kWeightsRangeBytes, range.raw_bytes)) /
                            std::max<uint64_t>(1, record_bytes);
      const uint64_t take =
          std::min({RowBlocks(tensor) - block, per_range, std::max<uint64_t>(1, room)});
      block += take;
      range.records += take;
      range.raw_bytes += take * record_bytes;
      range.last_id = tensor.id;
      range.end = block;
      if (range.raw_bytes + record_bytes > kWeightsRangeBytes) {
        ranges->push_back(range);
        range = RangePlan{.family = db::Family::kWeights};
      }
    }
  }
  if (range.records != 0) ranges->push_back(range);
}

}  // namespace

void PlanRanges(StoreLayout* layout) {
  layout->ranges.clear();
  PlanTensors(layout->tensors, &layout->ranges);
  for (const PlannedTable& table : layout->tables) PlanTable(table, &layout->ranges);
}

uint64_t RowBlocks(const TensorSpec& tensor) {
  return (tensor.rows + tensor.rows_per_record - 1) / tensor.rows_per_record;
}

uint32_t FirstChunk(const PlannedTable& table, const RangePlan& range) {
  if (table.spec.layout == Layout::kRow) return static_cast<uint32_t>(range.begin);
  return static_cast<uint32_t>(range.begin * table.geometry.tile_chunks());
}

uint32_t LastChunkEnd(const PlannedTable& table, const RangePlan& range) {
  if (table.spec.layout == Layout::kRow) return static_cast<uint32_t>(range.end);
  return static_cast<uint32_t>(
      std::min<uint64_t>(range.end * table.geometry.tile_chunks(), table.geometry.chunks()));
}

uint64_t RecordsOf(const PlannedTable& table) {
  const TableGeometry& geometry = table.geometry;
  if (table.spec.layout == Layout::kRow) {
    return StoredCodesOf(geometry, 0, geometry.chunks()) * geometry.row_blocks();
  }
  return uint64_t{geometry.chunk_groups()} * geometry.neuron_blocks();
}

std::string FirstKey(const StoreLayout& layout, const RangePlan& range) {
  const auto begin = static_cast<uint32_t>(range.begin);
  if (range.family == db::Family::kWeights) return db::WeightsKey(range.first_id, begin);
  if (range.family == db::Family::kTile) return db::TileKey(range.first_id, begin, 0);
  const TableGeometry& geometry = layout.tables[range.first_id].geometry;
  return db::RowKey(range.first_id, begin, static_cast<uint16_t>(geometry.CodeOfStored(begin, 0)),
                    0);
}

std::string LastKey(const StoreLayout& layout, const RangePlan& range) {
  const auto last = static_cast<uint32_t>(range.end - 1);
  if (range.family == db::Family::kWeights) return db::WeightsKey(range.last_id, last);
  const TableGeometry& geometry = layout.tables[range.last_id].geometry;
  if (range.family == db::Family::kTile) {
    return db::TileKey(range.last_id, last, static_cast<uint16_t>(geometry.neuron_blocks() - 1));
  }
  return db::RowKey(range.last_id, last, static_cast<uint16_t>(geometry.codes(last) - 1),
                    static_cast<uint16_t>(geometry.row_blocks() - 1));
}

std::string Describe(const StoreLayout& layout, const RangePlan& range) {
  if (range.family == db::Family::kWeights) {
    if (range.first_id == range.last_id) {
      return fmt::format("kept weights of {}", layout.tensors[range.first_id].name);
    }
    return fmt::format("kept weights of {} to {}", layout.tensors[range.first_id].name,
                       layout.tensors[range.last_id].name);
  }
  const PlannedTable& table = layout.tables[range.first_id];
  return fmt::format("table {}, chunks {} to {}", table.spec.name, FirstChunk(table, range),
                     LastChunkEnd(table, range) - 1);
}

}  // namespace lutdb
