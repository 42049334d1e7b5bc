#include "ingest/row_range.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "coding/cell_hash.h"
#include "coding/record.h"
#include "db/keys.h"
#include "ingest/learned_table.h"
#include "ingest/parallel.h"
#include "ingest/slope_block.h"
#include "ingest/tile_sums.h"

namespace lutdb {
namespace {

// Rows of one chunk need all neurons of a code at once, cells need all codes of 64 neurons: a
// window of codes x all neurons is decoded block by block, with one hasher per block that lives
// through all windows of the chunk.
class RowRange {
 public:
  RowRange(const RangeInputs& inputs, const RangePlan& range, const RangeOptions& options)
      : table_(inputs.layout->tables[range.first_id]),
        geometry_(table_.geometry),
        weights_(WeightsOf(*inputs.weights, table_.spec)),
        files_(inputs.files),
        steps_((*inputs.steps)[range.first_id]),
        baked_(inputs.baked),
        range_(range),
        options_(options),
        entry_bytes_(static_cast<uint64_t>(EntryBytes(geometry_.entry()))),
        decoder_(geometry_),
        window_(MakeAligned<uint8_t>(kWindowBytes)) {
    for (uint32_t b = 0; b < geometry_.neuron_blocks(); ++b) {
      hashers_.emplace_back(table_.spec, geometry_);
    }
  }

  absl::Status Write(db::SstWriter* file, RangeResult* result);

 private:
  uint32_t VisitEnd(uint32_t begin) const;
  void LoadSlopes(uint32_t begin, uint32_t end);
  absl::Status WriteChunk(uint32_t chunk, db::SstWriter* file, RangeResult* result);
  void DecodeWindow(uint32_t chunk, uint32_t begin, uint32_t end);
  absl::Status WriteCode(uint32_t chunk, uint32_t code, const uint8_t* row, db::SstWriter* file,
                         RangeResult* result);

  const PlannedTable& table_;
  const TableGeometry& geometry_;
  const SourceTensor weights_;
  const MappedFiles* const files_;
  const std::vector<float>& steps_;
  const BakedEdits* const baked_;
  const RangePlan& range_;
  const RangeOptions& options_;
  const uint64_t entry_bytes_;
  ProductDecoder decoder_;
  std::vector<CellHasher> hashers_;
  std::vector<SlopeBlock> slopes_;  // of the visited chunks, one per neuron block
  SlopeScratch scratch_;
  AlignedArray<uint8_t> window_;
  std::vector<uint8_t> rows_;  // codes of the window x neurons
  std::string record_;
};

// Half of the buffer for slopes, half for rows.
uint32_t RowRange::VisitEnd(uint32_t begin) const {
  const uint64_t position_bytes =
      SlopeBlock::BytesPerPosition(geometry_) * geometry_.neuron_blocks() +
      SlopeBlock::kScratchBytesPerPosition;
  const auto end = static_cast<uint32_t>(std::min<uint64_t>(range_.end, uint64_t{begin} + 512));
  return RunEnd(geometry_, begin, end, options_.buffer_bytes / 2 / position_bytes);
}

void RowRange::LoadSlopes(uint32_t begin, uint32_t end) {
  if (slopes_.empty()) {
    for (uint32_t b = 0; b < geometry_.neuron_blocks(); ++b) {
      slopes_.emplace_back(table_, weights_, steps_);
    }
  }
  for (uint32_t b = 0; b < geometry_.neuron_blocks(); ++b) {
    slopes_[b].Load(begin, end, b, &scratch_);
  }
  ReleaseRows(files_, weights_, 0, weights_.rows);
}

void RowRange::DecodeWindow(uint32_t chunk, uint32_t begin, uint32_t end) {
  const uint64_t code_bytes = kBlockNeurons * entry_bytes_;
  const auto step = static_cast<uint32_t>(kWindowBytes / code_bytes);
  const uint64_t row_bytes = geometry_.neurons() * entry_bytes_;
  for (uint32_t block = 0; block < geometry_.neuron_blocks(); ++block) {
    const uint64_t bytes = slopes_[block].steps().size() * entry_bytes_;
    for (uint32_t first = begin; first < end; first += step) {
      const uint32_t last = std::min(end, first + step);
      decoder_.Decode(chunk, slopes_[block].At(chunk), first, last, window_.get());
      if (baked_ != nullptr) {
        const TileId tile = {table_.spec.id, chunk / geometry_.tile_chunks(), block};
        baked_->Apply(geometry_, tile, chunk, first, last, window_.get());
      }
      hashers_[block].Update(window_.get(), (last - first) * code_bytes);
      uint8_t* to = rows_.data() + (first - begin) * row_bytes + block * code_bytes;
      for (uint32_t code = first; code < last; ++code, to += row_bytes) {
        std::memcpy(to, window_.get() + (code - first) * code_bytes, bytes);
      }
    }
  }
}

absl::Status RowRange::WriteCode(uint32_t chunk, uint32_t code, const uint8_t* row,
                                 db::SstWriter* file, RangeResult* result) {
  for (uint32_t block = 0; block < geometry_.row_blocks(); ++block) {
    const RowId id{.table = table_.spec.id, .chunk = chunk, .code = code, .neuron_block = block};
    EncodeRow(geometry_, id, row + uint64_t{block} * geometry_.row_neurons() * entry_bytes_,
              &record_);
    const std::string key =
        db::RowKey(id.table, chunk, static_cast<uint16_t>(code), static_cast<uint16_t>(block));
    LUTDB_RETURN_IF_ERROR(file->Add(key, record_));
    result->stored_bytes += key.size() + record_.size();
    ++result->records;
  }
  return absl::OkStatus();
}

absl::Status RowRange::WriteChunk(uint32_t chunk, db::SstWriter* file, RangeResult* result) {
  const uint64_t row_bytes = geometry_.neurons() * entry_bytes_;
  const uint32_t codes = geometry_.codes(chunk);
  const uint32_t first_stored = codes - geometry_.stored_codes(chunk);
  const auto step =
      static_cast<uint32_t>(std::clamp<uint64_t>(options_.buffer_bytes / 2 / row_bytes, 1, codes));
  rows_.resize(step * row_bytes);
  for (uint32_t b = 0; b < hashers_.size(); ++b) hashers_[b].Begin(chunk, b, slopes_[b].steps());
  for (uint32_t begin = 0; begin < codes; begin += step) {
    if (IsCancelled(options_.cancel)) return CancelledStatus();
    const uint32_t end = std::min(codes, begin + step);
    DecodeWindow(chunk, begin, end);
    for (uint32_t code = std::max(begin, first_stored); code < end; ++code) {
      LUTDB_RETURN_IF_ERROR(
          WriteCode(chunk, code, rows_.data() + (code - begin) * row_bytes, file, result));
    }
    const uint64_t bytes = (end - begin) * row_bytes;
    result->raw_bytes += bytes;
    result->derived_entries += bytes / entry_bytes_;
    if (options_.progress != nullptr) options_.progress->Add(bytes, bytes, bytes);
  }
  for (CellHasher& hasher : hashers_) result->cells += hasher.Finish();
  return absl::OkStatus();
}

absl::Status RowRange::Write(db::SstWriter* file, RangeResult* result) {
  for (auto begin = static_cast<uint32_t>(range_.begin); begin < range_.end;) {
    const uint32_t end = VisitEnd(begin);
    LoadSlopes(begin, end);
    for (; begin < end; ++begin) LUTDB_RETURN_IF_ERROR(WriteChunk(begin, file, result));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteRowRange(const RangeInputs& inputs, const RangePlan& range,
                           const RangeOptions& options, db::SstWriter* file, RangeResult* result) {
  return RowRange(inputs, range, options).Write(file, result);
}

}  // namespace lutdb
