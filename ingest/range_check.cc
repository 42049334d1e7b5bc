#include "ingest/range_check.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "coding/record.h"
#include "coding/tensor_record.h"
#include "db/keys.h"
#include "ingest/tile_sums.h"

namespace lutdb {
namespace {

constexpr uint64_t kReadaheadBytes = 2 << 20;
constexpr uint32_t kCodesPerRead = 256;  // row records asked for at once

absl::Status Where(const absl::Status& status, const std::string& place) {
  if (status.ok()) return status;
  return Error(status.code(), "{}: {}", place, Message(status));
}

// The cursor must stand at exactly this key.
absl::Status Expect(const db::Cursor& cursor, const std::string& key, const std::string& place) {
  LUTDB_RETURN_IF_ERROR(Where(cursor.status(), place));
  if (!cursor.Valid() || cursor.key() > key) return DataLoss("{}: the record is missing", place);
  if (cursor.key() < key) return DataLoss("{}: a record that does not belong lies before", place);
  return absl::OkStatus();
}

absl::Status ExpectEnd(const db::Cursor& cursor, const std::string& place) {
  LUTDB_RETURN_IF_ERROR(Where(cursor.status(), place));
  if (cursor.Valid()) return DataLoss("{}: a record that does not belong follows", place);
  return absl::OkStatus();
}

std::string KeyAfter(std::string key) { return key + '\0'; }

absl::Span<const float> StepsOf(const StoreContents& contents, uint32_t table, uint32_t block) {
  const auto steps = absl::MakeConstSpan(contents.steps[table]);
  const uint32_t first = block * kBlockNeurons;
  return steps.subspan(first, std::min<size_t>(kBlockNeurons, steps.size() - first));
}

absl::Status CheckTiles(const db::Rocks& rocks, const StoreContents& contents,
                        const RangePlan& range, RangeFindings* findings) {
  const PlannedTable& table = contents.layout.tables[range.first_id];
  const TableGeometry& geometry = table.geometry;
  TileDecoder decoder;
  TileSummer summer(table);
  ProductDecoder product(geometry);
  db::Cursor cursor = rocks.Scan(range.family, FirstKey(contents.layout, range),
                                 KeyAfter(LastKey(contents.layout, range)), kReadaheadBytes);
  for (uint32_t group = static_cast<uint32_t>(range.begin); group < range.end; ++group) {
    for (uint32_t block = 0; block < geometry.neuron_blocks(); ++block, cursor.Next()) {
      const TileId tile{table.spec.id, group, block};
      const std::string place =
          fmt::format("table {}, chunk group {}, neuron block {}", table.spec.name, group, block);
      LUTDB_RETURN_IF_ERROR(
          Expect(cursor, db::TileKey(tile.table, group, static_cast<uint16_t>(block)), place));
      LUTDB_RETURN_IF_ERROR(Where(decoder.Open(geometry, tile, cursor.value()), place));
      const auto codes = [&](uint32_t chunk, uint32_t begin, uint32_t end, void* out) {
        if (decoder.codec() != Codec::kProduct) {
          decoder.Codes(chunk, begin, end, out,
                        uint64_t{kBlockNeurons} * EntryBytes(geometry.entry()));
          return;
        }
        const Slopes all = decoder.slopes();
        const size_t at = size_t{decoder.position_offset(chunk)} * kBlockNeurons;
        product.Decode(chunk,
                       {all.narrow == nullptr ? nullptr : all.narrow + at,
                        all.wide == nullptr ? nullptr : all.wide + at},
                       begin, end, out);
      };
      const TileSums sums =
          summer.Sum(tile, StepsOf(contents, table.spec.id, block), codes, nullptr);
      if (sums.checksum != decoder.checksum()) {
        return DataLoss("{}: the entries do not have the record's checksum", place);
      }
      findings->cells += sums.cells;
      findings->bytes += cursor.value().size();
      ++findings->records;
    }
  }
  return ExpectEnd(cursor, Describe(contents.layout, range));
}

// Rows hold one code each, cells hold all codes of 64 neurons: one row block is walked code by code
// with a hasher per cell.
class RowBlockChecker {
 public:
  RowBlockChecker(const db::Rocks& rocks, const StoreContents& contents, const PlannedTable& table)
      : rocks_(rocks), contents_(contents), table_(table), geometry_(table.geometry) {}

  absl::Status Check(uint32_t chunk, uint32_t block, RangeFindings* findings) {
    const uint32_t first = block * geometry_.row_neurons();
    const uint32_t neurons = std::min(geometry_.row_neurons(), geometry_.neurons() - first);
    const uint32_t cells = (neurons + kBlockNeurons - 1) / kBlockNeurons;
    while (hashers_.size() < cells) hashers_.emplace_back(table_.spec, geometry_);
    for (uint32_t cell = 0; cell < cells; ++cell) {
      const uint32_t neuron_block = first / kBlockNeurons + cell;
      hashers_[cell].Begin(chunk, neuron_block, StepsOf(contents_, table_.spec.id, neuron_block));
    }
    for (uint32_t code = 0; code < geometry_.codes(chunk); code += kCodesPerRead) {
      const uint32_t end = std::min(geometry_.codes(chunk), code + kCodesPerRead);
      LUTDB_RETURN_IF_ERROR(CheckCodes(chunk, block, code, end, neurons, cells, findings));
    }
    for (uint32_t cell = 0; cell < cells; ++cell) findings->cells += hashers_[cell].Finish();
    return absl::OkStatus();
  }

 private:
  absl::Status CheckCodes(uint32_t chunk, uint32_t block, uint32_t begin, uint32_t end,
                          uint32_t neurons, uint32_t cells, RangeFindings* findings) {
    keys_.clear();
    for (uint32_t code = begin; code < end; ++code) {
      const uint32_t kept = geometry_.CodeOfStored(chunk, geometry_.Stored(chunk, code).index);
      keys_.push_back(db::RowKey(table_.spec.id, chunk, static_cast<uint16_t>(kept),
                                 static_cast<uint16_t>(block)));
    }
    LUTDB_RETURN_IF_ERROR(rocks_.MultiGet(db::Family::kRow, keys_, &values_));
    for (uint32_t code = begin; code < end; ++code) {
      const TableGeometry::StoredRow stored = geometry_.Stored(chunk, code);
      const uint32_t kept = geometry_.CodeOfStored(chunk, stored.index);
      const std::string place = fmt::format("table {}, chunk {}, code {}, row block {}",
                                            table_.spec.name, chunk, kept, block);
      if (!values_.found(code - begin)) return DataLoss("{}: the record is missing", place);
      const auto entries = OpenRow(geometry_, {table_.spec.id, chunk, kept, block},
                                   values_[code - begin], /*verify_checksum=*/true);
      LUTDB_RETURN_IF_ERROR(Where(entries.status(), place));
      if (!stored.negated) {
        ++findings->records;
        findings->bytes += values_[code - begin].size();
      }
      Hash(*entries, stored.negated, neurons, cells);
    }
    return absl::OkStatus();
  }

  void Hash(std::string_view entries, bool negated, uint32_t neurons, uint32_t cells) {
    if (geometry_.entry() == EntryType::kI16) {
      HashAs<int16_t>(entries, negated, neurons, cells);
    } else {
      HashAs<int8_t>(entries, negated, neurons, cells);
    }
  }

  template <typename T>
  void HashAs(std::string_view entries, bool negated, uint32_t neurons, uint32_t cells) {
    T padded[kBlockNeurons];
    for (uint32_t cell = 0; cell < cells; ++cell) {
      const uint32_t count = std::min(kBlockNeurons, neurons - cell * kBlockNeurons);
      std::memset(padded, 0, sizeof(padded));
      std::memcpy(padded, entries.data() + size_t{cell} * sizeof(padded), count * sizeof(T));
      if (negated) {
        for (T& entry : padded) entry = static_cast<T>(-entry);
      }
      hashers_[cell].Update(padded, sizeof(padded));
    }
  }

  const db::Rocks& rocks_;
  const StoreContents& contents_;
  const PlannedTable& table_;
  const TableGeometry& geometry_;
  std::vector<CellHasher> hashers_;
  std::vector<std::string> keys_;
  db::Values values_;
};

absl::Status CheckRows(const db::Rocks& rocks, const StoreContents& contents,
                       const RangePlan& range, RangeFindings* findings) {
  const PlannedTable& table = contents.layout.tables[range.first_id];
  RowBlockChecker checker(rocks, contents, table);
  for (uint32_t chunk = FirstChunk(table, range); chunk < LastChunkEnd(table, range); ++chunk) {
    for (uint32_t block = 0; block < table.geometry.row_blocks(); ++block) {
      LUTDB_RETURN_IF_ERROR(checker.Check(chunk, block, findings));
    }
  }
  // Nothing besides: keys are counted, values are not read again.
  db::Cursor cursor = rocks.Scan(range.family, FirstKey(contents.layout, range),
                                 KeyAfter(LastKey(contents.layout, range)), kReadaheadBytes);
  uint64_t keys = 0;
  for (; cursor.Valid(); cursor.Next()) ++keys;
  LUTDB_RETURN_IF_ERROR(Where(cursor.status(), Describe(contents.layout, range)));
  if (keys == range.records) return absl::OkStatus();
  return DataLoss("{}: {} records instead of {}", Describe(contents.layout, range), keys,
                  range.records);
}

absl::Status CheckWeights(const db::Rocks& rocks, const StoreContents& contents,
                          const RangePlan& range, RangeFindings* findings) {
  db::Cursor cursor = rocks.Scan(range.family, FirstKey(contents.layout, range),
                                 KeyAfter(LastKey(contents.layout, range)), kReadaheadBytes);
  std::string rows;
  for (uint32_t id = range.first_id; id <= range.last_id; ++id) {
    const TensorSpec& tensor = contents.layout.tensors[id];
    const uint64_t begin = id == range.first_id ? range.begin : 0;
    const uint64_t end = id == range.last_id ? range.end : RowBlocks(tensor);
    for (uint64_t block = begin; block < end; ++block, cursor.Next()) {
      const auto number = static_cast<uint32_t>(block);
      const std::string place = fmt::format("kept weights of {}, rows from {}", tensor.name,
                                            block * tensor.rows_per_record);
      LUTDB_RETURN_IF_ERROR(Expect(cursor, db::WeightsKey(id, number), place));
      LUTDB_RETURN_IF_ERROR(Where(DecodeTensorRows(tensor, number, cursor.value(), &rows), place));
      findings->bytes += cursor.value().size();
      ++findings->records;
    }
  }
  return ExpectEnd(cursor, Describe(contents.layout, range));
}

}  // namespace

absl::Status CheckRange(const db::Rocks& rocks, const StoreContents& contents,
                        const RangePlan& range, RangeFindings* findings) {
  if (range.family == db::Family::kWeights) {
    return CheckWeights(rocks, contents, range, findings);
  }
  if (contents.steps[range.first_id].empty()) {
    return DataLoss("{}: cannot be checked without its steps", Describe(contents.layout, range));
  }
  return range.family == db::Family::kTile ? CheckTiles(rocks, contents, range, findings)
                                           : CheckRows(rocks, contents, range, findings);
}

absl::Status CheckTileRecord(const db::Rocks& rocks, const PlannedTable& table, uint32_t group,
                             uint32_t block) {
  const TileId tile{table.spec.id, group, block};
  const std::string place =
      fmt::format("table {}, chunk group {}, neuron block {}", table.spec.name, group, block);
  const auto record =
      rocks.Get(db::Family::kTile, db::TileKey(tile.table, group, static_cast<uint16_t>(block)));
  LUTDB_RETURN_IF_ERROR(Where(record.status(), place));
  TileDecoder decoder;
  LUTDB_RETURN_IF_ERROR(Where(decoder.Open(table.geometry, tile, *record), place));
  return Where(decoder.VerifyChecksum(), place);
}

}  // namespace lutdb
