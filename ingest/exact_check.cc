#include "ingest/exact_check.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "coding/record.h"
#include "db/keys.h"
#include "ingest/kept_tensor.h"
#include "ingest/slope_block.h"
#include "ingest/tensor_pass.h"
#include "ingest/tile_sums.h"

namespace lutdb {
namespace {

// Slopes are made for runs of chunks, chosen or not: what lists or a rotation cost, whole rows of
// weights, is paid once a run. It takes a megabyte or two.
constexpr uint64_t kLoadedPositions = 2048;

// SplitMix64's finaliser: a well-mixed function of its argument.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class BlockChecker {
 public:
  BlockChecker(const db::Rocks& rocks, const StoreContents& contents, uint32_t table,
               uint32_t block)
      : rocks_(rocks),
        table_(contents.layout.tables[table]),
        geometry_(table_.geometry),
        steps_(contents.steps[table]),
        baked_(contents.baked),
        block_(block),
        first_(block * kBlockNeurons),
        neurons_(std::min(kBlockNeurons, geometry_.neurons() - first_)),
        product_(geometry_) {
    const uint64_t code_bytes = uint64_t{kBlockNeurons} * EntryBytes(geometry_.entry());
    window_codes_ = static_cast<uint32_t>(kWindowBytes / code_bytes);
    expected_ = MakeAligned<uint8_t>(kWindowBytes);
    stored_ = MakeAligned<uint8_t>(kWindowBytes);
  }

  std::vector<uint32_t> Choose(double fraction, uint64_t seed) const {
    std::vector<uint32_t> chunks;
    const uint64_t place = (uint64_t{table_.spec.id} << 32) | block_;
    const double limit = fraction * 18446744073709551616.0;
    for (uint32_t chunk = 0; chunk < geometry_.chunks(); ++chunk) {
      const uint64_t draw = Mix(Mix(Mix(seed) ^ place) + chunk);
      if (static_cast<double>(draw) < limit) chunks.push_back(chunk);
    }
    const bool shown_block = Mix(seed ^ table_.spec.id) % geometry_.neuron_blocks() == block_;
    if (chunks.empty() && shown_block && fraction > 0) {
      chunks.push_back(static_cast<uint32_t>(Mix(place ^ seed) % geometry_.chunks()));
    }
    return chunks;
  }

  absl::Status Compare(const TensorSpec& spec, const std::vector<uint32_t>& chunks) {
    if (steps_.empty()) return DataLoss("table {}: its steps are damaged", table_.spec.name);
    LUTDB_ASSIGN_OR_RETURN(const auto weights, KeptTensor::Open(rocks_, spec));
    LUTDB_RETURN_IF_ERROR(weights->Load(first_, first_ + neurons_));
    LUTDB_RETURN_IF_ERROR(CompareSteps(weights->source()));
    SlopeBlock slopes(table_, weights->source(), steps_);
    SlopeScratch scratch;
    uint32_t loaded_end = 0;
    for (const uint32_t chunk : chunks) {
      if (chunk >= loaded_end) {
        loaded_end = RunEnd(geometry_, chunk, chunks.back() + 1, kLoadedPositions);
        slopes.Load(chunk, loaded_end, block_, &scratch);
      }
      LUTDB_RETURN_IF_ERROR(CompareCell(chunk, slopes.At(chunk)));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CompareSteps(const SourceTensor& weights) const {
    float steps[kBlockNeurons];
    LUTDB_RETURN_IF_ERROR(StepsOfRows(weights, table_, first_, first_ + neurons_, steps));
    for (uint32_t n = 0; n < neurons_; ++n) {
      const float kept = steps_[first_ + n];
      // A shared step is the largest of all neurons'.
      if (table_.spec.shared_step ? kept >= steps[n] : kept == steps[n]) continue;
      return DataLoss("table {}, neuron {}: its step is {}, its weights say {}", table_.spec.name,
                      first_ + n, kept, steps[n]);
    }
    return absl::OkStatus();
  }

  absl::Status CompareCell(uint32_t chunk, Slopes slopes) {
    const size_t code_bytes = size_t{kBlockNeurons} * EntryBytes(geometry_.entry());
    if (table_.spec.layout == Layout::kTile) LUTDB_RETURN_IF_ERROR(OpenTile(chunk));
    for (uint32_t begin = 0; begin < geometry_.codes(chunk); begin += window_codes_) {
      const uint32_t end = std::min(geometry_.codes(chunk), begin + window_codes_);
      product_.Decode(chunk, slopes, begin, end, expected_.get());
      baked_.Apply(geometry_, {table_.spec.id, chunk / geometry_.tile_chunks(), block_}, chunk,
                   begin, end, expected_.get());
      if (table_.spec.layout == Layout::kTile) {
        decoder_.Codes(chunk, begin, end, stored_.get(), code_bytes);
      } else {
        LUTDB_RETURN_IF_ERROR(ReadRows(chunk, begin, end));
      }
      if (std::memcmp(expected_.get(), stored_.get(), (end - begin) * code_bytes) != 0) {
        return Difference(chunk, begin, end);
      }
    }
    return absl::OkStatus();
  }

  // Chunks ascend: those of one record come one after the other.
  absl::Status OpenTile(uint32_t chunk) {
    const TileId tile{table_.spec.id, chunk / geometry_.tile_chunks(), block_};
    if (tile.group == opened_group_) return absl::OkStatus();
    const auto key = db::TileKey(tile.table, tile.group, static_cast<uint16_t>(block_));
    LUTDB_ASSIGN_OR_RETURN(const std::string record, rocks_.Get(db::Family::kTile, key));
    LUTDB_RETURN_IF_ERROR(decoder_.Open(geometry_, tile, record));
    opened_group_ = tile.group;
    return absl::OkStatus();
  }

  // The block's share of each row, padded to 64 entries, as the tile decoder gives them.
  absl::Status ReadRows(uint32_t chunk, uint32_t begin, uint32_t end) {
    const uint32_t row_block = first_ / geometry_.row_neurons();
    const size_t entry_bytes = static_cast<size_t>(EntryBytes(geometry_.entry()));
    const size_t offset = (first_ - row_block * geometry_.row_neurons()) * entry_bytes;
    keys_.clear();
    for (uint32_t code = begin; code < end; ++code) {
      const uint32_t kept = geometry_.CodeOfStored(chunk, geometry_.Stored(chunk, code).index);
      keys_.push_back(db::RowKey(table_.spec.id, chunk, static_cast<uint16_t>(kept),
                                 static_cast<uint16_t>(row_block)));
    }
    LUTDB_RETURN_IF_ERROR(rocks_.MultiGet(db::Family::kRow, keys_, &values_));
    std::memset(stored_.get(), 0, (end - begin) * kBlockNeurons * entry_bytes);
    for (uint32_t code = begin; code < end; ++code) {
      const auto stored = geometry_.Stored(chunk, code);
      const uint32_t kept = geometry_.CodeOfStored(chunk, stored.index);
      if (!values_.found(code - begin)) {
        return DataLoss("table {}, chunk {}, code {}: the record is missing", table_.spec.name,
                        chunk, kept);
      }
      LUTDB_ASSIGN_OR_RETURN(const std::string_view entries,
                             OpenRow(geometry_, {table_.spec.id, chunk, kept, row_block},
                                     values_[code - begin], /*verify_checksum=*/false));
      uint8_t* to = stored_.get() + (code - begin) * kBlockNeurons * entry_bytes;
      std::memcpy(to, entries.data() + offset, neurons_ * entry_bytes);
      if (stored.negated) Negate(to);
    }
    return absl::OkStatus();
  }

  void Negate(uint8_t* entries) const {
    for (uint32_t n = 0; n < kBlockNeurons; ++n) {
      if (geometry_.entry() == EntryType::kI8) {
        auto* entry = reinterpret_cast<int8_t*>(entries) + n;
        *entry = static_cast<int8_t>(-*entry);
      } else {
        auto* entry = reinterpret_cast<int16_t*>(entries) + n;
        *entry = static_cast<int16_t>(-*entry);
      }
    }
  }

  absl::Status Difference(uint32_t chunk, uint32_t begin, uint32_t end) const {
    const auto value = [&](const uint8_t* from, size_t i) {
      return geometry_.entry() == EntryType::kI8 ? int{reinterpret_cast<const int8_t*>(from)[i]}
                                                 : int{reinterpret_cast<const int16_t*>(from)[i]};
    };
    for (size_t i = 0; i < size_t{end - begin} * kBlockNeurons; ++i) {
      const int kept = value(stored_.get(), i), right = value(expected_.get(), i);
      if (kept == right) continue;
      return DataLoss("{}[{}, {}, {}] is {}, its weights say {}", table_.spec.name,
                      first_ + i % kBlockNeurons, chunk, begin + i / kBlockNeurons, kept, right);
    }
    return absl::OkStatus();
  }

  const db::Rocks& rocks_;
  const PlannedTable& table_;
  const TableGeometry& geometry_;
  const std::vector<float>& steps_;
  const BakedEdits& baked_;
  uint32_t block_, first_, neurons_, window_codes_;
  ProductDecoder product_;
  TileDecoder decoder_;
  uint32_t opened_group_ = kNone;
  AlignedArray<uint8_t> expected_, stored_;
  std::vector<std::string> keys_;
  db::Values values_;
};

}  // namespace

absl::StatusOr<uint64_t> CheckBlockExactly(const db::Rocks& rocks, const StoreContents& contents,
                                           uint32_t table, uint32_t block, double fraction,
                                           uint64_t seed) {
  BlockChecker checker(rocks, contents, table, block);
  const std::vector<uint32_t> chunks = checker.Choose(fraction, seed);
  if (chunks.empty()) return uint64_t{0};
  const uint32_t tensor = contents.layout.tables[table].spec.weight_tensor;
  LUTDB_RETURN_IF_ERROR(checker.Compare(contents.layout.tensors[tensor], chunks));
  return chunks.size();
}

}  // namespace lutdb
