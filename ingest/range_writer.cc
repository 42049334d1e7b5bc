#include "ingest/range_writer.h"

#include <algorithm>

#include "base/status.h"
#include "coding/tensor_record.h"
#include "db/keys.h"
#include "ingest/learned_table.h"
#include "ingest/parallel.h"
#include "ingest/row_range.h"
#include "ingest/slope_block.h"
#include "ingest/tile_sums.h"

namespace lutdb {
namespace {

// Pages of mapped weights are given back after about this many bytes.
constexpr uint64_t kReleaseBytes = 16 << 20;
constexpr uint64_t kRecordsMaxColumns = 512;  // a visit reads at most this many columns of a row

// Of a group of chunks, the largest number there is; lists may be of any length.
uint64_t GroupPositionsMax(const TableGeometry& geometry) {
  uint64_t most = geometry.positions(0).size();
  for (uint32_t chunk = 1; chunk < geometry.chunks() && !geometry.uniform(); ++chunk) {
    most = std::max<uint64_t>(most, geometry.positions(chunk).size());
  }
  return most * geometry.tile_chunks();
}

// Slopes are 4 or 8 bytes; a record of another codec is at most its entries and a little more.
uint64_t RecordBytesMax(const PlannedTable& table, uint64_t positions) {
  const TableGeometry& geometry = table.geometry;
  if (table.spec.codec == Codec::kSmallest || table.spec.codec == Codec::kProduct) {
    return 64 + positions * SlopeBlock::BytesPerPosition(geometry);
  }
  return 64 + uint64_t{geometry.tile_chunks()} * geometry.codes_max() * kBlockNeurons *
                  static_cast<uint64_t>(EntryBytes(geometry.entry()));
}

class TileRange {
 public:
  TileRange(const RangeInputs& inputs, const RangePlan& range, const RangeOptions& options)
      : table_(inputs.layout->tables[range.first_id]),
        weights_(WeightsOf(*inputs.weights, table_.spec)),
        files_(inputs.files),
        baked_(inputs.baked),
        range_(range),
        options_(options),
        slopes_(table_, weights_, (*inputs.steps)[range.first_id]),
        summer_(table_),
        decoder_(table_.geometry) {}

  absl::Status Write(db::SstWriter* file, RangeResult* result);

 private:
  uint32_t GroupsPerVisit() const;
  absl::Status MakeBlock(uint32_t begin, uint32_t end, uint32_t block, db::SstWriter* file,
                         RangeResult* result);
  absl::Status Add(uint32_t group, uint32_t block, std::string_view record, db::SstWriter* file,
                   RangeResult* result) const;

  // Records of one chunk group, of all neuron blocks made so far, one after the other.
  struct Held {
    std::string bytes;
    std::vector<uint32_t> sizes;
  };

  const PlannedTable& table_;
  const SourceTensor weights_;
  const MappedFiles* const files_;
  const BakedEdits* const baked_;
  const RangePlan& range_;
  const RangeOptions& options_;
  SlopeBlock slopes_;
  SlopeScratch slope_scratch_;
  TileSummer summer_;
  ProductDecoder decoder_;
  TileScratch scratch_;
  std::string record_;
  std::vector<Held> held_;
};

// Keys go chunk group by chunk group, weights lie row by row: a visit reads the columns of several
// groups, so that a cache line of weights is used whole, and holds their records until written.
uint32_t TileRange::GroupsPerVisit() const {
  const TableGeometry& geometry = table_.geometry;
  const uint64_t group_columns = GroupPositionsMax(geometry);
  const uint64_t group_bytes = RecordBytesMax(table_, group_columns) * geometry.neuron_blocks();
  const uint64_t groups =
      std::min(options_.buffer_bytes / group_bytes, kRecordsMaxColumns / group_columns);
  return static_cast<uint32_t>(std::clamp<uint64_t>(groups, 1, range_.end - range_.begin));
}

absl::Status TileRange::Add(uint32_t group, uint32_t block, std::string_view record,
                            db::SstWriter* file, RangeResult* result) const {
  const std::string key = db::TileKey(table_.spec.id, group, static_cast<uint16_t>(block));
  result->stored_bytes += key.size() + record.size();
  ++result->records;
  return file->Add(key, record);
}

absl::Status TileRange::MakeBlock(uint32_t begin, uint32_t end, uint32_t block, db::SstWriter* file,
                                  RangeResult* result) {
  const TableGeometry& geometry = table_.geometry;
  const uint32_t tile_chunks = geometry.tile_chunks();
  const uint32_t chunk_begin = begin * tile_chunks;
  const uint32_t chunk_end = std::min(end * tile_chunks, geometry.chunks());
  slopes_.Load(chunk_begin, chunk_end, block, &slope_scratch_);
  const auto entry_bytes = static_cast<uint64_t>(EntryBytes(geometry.entry()));
  for (uint32_t group = begin; group < end; ++group) {
    if (IsCancelled(options_.cancel)) return CancelledStatus();
    const TileId tile{.table = table_.spec.id, .group = group, .neuron_block = block};
    const TileSums sums =
        MakeTileRecord(table_, tile, slopes_.At(group * tile_chunks), slopes_.steps(), &summer_,
                       &decoder_, &scratch_, baked_, &record_);
    result->cells += sums.cells;
    uint64_t codes = 0;
    const uint32_t last = std::min((group + 1) * tile_chunks, geometry.chunks());
    for (uint32_t c = group * tile_chunks; c < last; ++c) codes += geometry.codes(c);
    const uint64_t made = codes * slopes_.steps().size();
    result->raw_bytes += made * entry_bytes;
    result->derived_entries += made;
    if (options_.progress != nullptr) {
      options_.progress->Add(made * entry_bytes, made * entry_bytes, record_.size());
    }
    if (end - begin == 1) {
      LUTDB_RETURN_IF_ERROR(Add(group, block, record_, file, result));
      continue;
    }
    held_[group - begin].bytes.append(record_);
    held_[group - begin].sizes.push_back(static_cast<uint32_t>(record_.size()));
  }
  return absl::OkStatus();
}

absl::Status TileRange::Write(db::SstWriter* file, RangeResult* result) {
  const TableGeometry& geometry = table_.geometry;
  const uint64_t row_bytes = weights_.cols * static_cast<uint64_t>(DTypeBytes(weights_.dtype));
  const auto blocks_per_release =
      static_cast<uint32_t>(kReleaseBytes / (row_bytes * kBlockNeurons) + 1);
  const uint32_t step = GroupsPerVisit();
  held_.resize(step);
  for (uint64_t first = range_.begin; first < range_.end; first += step) {
    const auto begin = static_cast<uint32_t>(first);
    const auto end = static_cast<uint32_t>(std::min<uint64_t>(range_.end, first + step));
    for (Held& held : held_) {
      held.bytes.clear();
      held.sizes.clear();
    }
    for (uint32_t block = 0; block < geometry.neuron_blocks(); ++block) {
      LUTDB_RETURN_IF_ERROR(MakeBlock(begin, end, block, file, result));
      if (block % blocks_per_release == blocks_per_release - 1) {
        const uint64_t row = (uint64_t{block} + 1) * kBlockNeurons;
        ReleaseRows(files_, weights_, row - uint64_t{blocks_per_release} * kBlockNeurons, row);
      }
    }
    ReleaseRows(files_, weights_, 0, weights_.rows);
    for (uint32_t group = begin; group < end; ++group) {
      const Held& held = held_[group - begin];
      std::string_view rest = held.bytes;
      for (uint32_t block = 0; block < held.sizes.size(); ++block) {
        LUTDB_RETURN_IF_ERROR(Add(group, block, rest.substr(0, held.sizes[block]), file, result));
        rest.remove_prefix(held.sizes[block]);
      }
    }
  }
  return absl::OkStatus();
}

// Records of kept weights, of one tensor or several.
absl::Status WriteWeights(const RangeInputs& inputs, const RangePlan& range,
                          const RangeOptions& options, db::SstWriter* file, RangeResult* result) {
  std::vector<uint8_t> rows;
  std::string record;
  for (uint32_t id = range.first_id; id <= range.last_id; ++id) {
    const TensorSpec& spec = inputs.layout->tensors[id];
    const SourceTensor& tensor = (*inputs.weights)[id];
    const uint64_t row_bytes = spec.cols * static_cast<uint64_t>(DTypeBytes(spec.dtype));
    const uint64_t begin = id == range.first_id ? range.begin : 0;
    const uint64_t end = id == range.last_id ? range.end : RowBlocks(spec);
    uint64_t released = begin * spec.rows_per_record;
    for (uint64_t block = begin; block < end; ++block) {
      if (IsCancelled(options.cancel)) return CancelledStatus();
      const uint64_t row_begin = block * spec.rows_per_record;
      const uint64_t row_count = std::min<uint64_t>(spec.rows_per_record, spec.rows - row_begin);
      rows.resize(row_count * row_bytes);
      for (uint64_t r = 0; r < row_count; ++r) {
        tensor.CopyRow(row_begin + r, rows.data() + r * row_bytes);
      }
      EncodeTensorRows(spec, static_cast<uint32_t>(block), rows.data(),
                       static_cast<uint32_t>(row_count), &record);
      const std::string key = db::WeightsKey(id, static_cast<uint32_t>(block));
      LUTDB_RETURN_IF_ERROR(file->Add(key, record));
      result->stored_bytes += key.size() + record.size();
      result->raw_bytes += rows.size();
      ++result->records;
      if (options.progress != nullptr) options.progress->Add(0, 0, record.size());
      if ((row_begin + row_count - released) * row_bytes >= kReleaseBytes) {
        ReleaseRows(inputs.files, tensor, released, row_begin + row_count);
        released = row_begin + row_count;
      }
    }
    ReleaseRows(inputs.files, tensor, released, tensor.rows);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RangeResult> WriteRange(const RangeInputs& inputs, const RangePlan& range,
                                       const std::string& path, const RangeOptions& options) {
  LUTDB_ASSIGN_OR_RETURN(std::unique_ptr<db::SstWriter> file,
                         db::SstWriter::Create(range.family, path));
  RangeResult result;
  if (range.family == db::Family::kWeights) {
    LUTDB_RETURN_IF_ERROR(WriteWeights(inputs, range, options, file.get(), &result));
  } else if (range.family == db::Family::kRow) {
    LUTDB_RETURN_IF_ERROR(WriteRowRange(inputs, range, options, file.get(), &result));
  } else {
    LUTDB_RETURN_IF_ERROR(TileRange(inputs, range, options).Write(file.get(), &result));
  }
  LUTDB_ASSIGN_OR_RETURN(const db::SstInfo info, file->Finish());
  result.file_bytes = info.file_bytes;
  return result;
}

}  // namespace lutdb
