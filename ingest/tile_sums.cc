#include "ingest/tile_sums.h"

#include <algorithm>
#include <cstring>

#include "coding/hash.h"

namespace lutdb {
namespace {

uint64_t CodeBytes(const TableGeometry& geometry) {
  return uint64_t{kBlockNeurons} * static_cast<uint64_t>(EntryBytes(geometry.entry()));
}

// Which forms of a record are worth making. With more than a few codes per input the slopes are
// always smaller than the entries they give; with one or two bits either may be.
struct CodecTrial {
  bool product;
  bool entries;
};

CodecTrial TrialOf(const PlannedTable& table, const TileId& tile) {
  constexpr uint64_t kEntriesPerSlopeByte = 3;
  const Codec codec = table.spec.codec;
  if (codec != Codec::kSmallest) return {codec == Codec::kProduct, codec != Codec::kProduct};
  const TileShape shape = ShapeOf(table.geometry, tile);
  const uint64_t slope_bytes =
      uint64_t{shape.positions} * kBlockNeurons * (table.geometry.wide_slopes() ? 8 : 4);
  const uint64_t entry_bytes = shape.stored_codes * CodeBytes(table.geometry);
  return {true, entry_bytes < kEntriesPerSlopeByte * slope_bytes};
}

}  // namespace

ProductDecoder::ProductDecoder(const TableGeometry& geometry) : geometry_(geometry) {}

void ProductDecoder::Decode(uint32_t chunk, Slopes slopes, uint32_t begin, uint32_t end,
                            void* out) {
  if (!geometry_.even_steps()) {
    DecodeUneven(chunk, slopes, begin, end, out);
    return;
  }
  const absl::Span<const Position> positions = geometry_.positions(chunk);
  if (levels_.empty() || !geometry_.uniform()) {
    levels_.clear();
    for (const Position& p : positions) {
      levels_.push_back({.min = p.range.min, .max = p.range.max, .stride = p.range.stride});
    }
  }
  const auto count = static_cast<uint32_t>(positions.size());
  const int shift = geometry_.slope_shift();
  auto run = [&](const auto* from, auto* to) {
    kernels::ProductCodes(from, levels_.data(), count, shift, begin, end, to, kBlockNeurons);
  };
  if (geometry_.entry() == EntryType::kI16) {
    auto* to = static_cast<int16_t*>(out);
    geometry_.wide_slopes() ? run(slopes.wide, to) : run(slopes.narrow, to);
  } else {
    auto* to = static_cast<int8_t*>(out);
    geometry_.wide_slopes() ? run(slopes.wide, to) : run(slopes.narrow, to);
  }
}

// Learned levels and codewords: the levels of every code, and entries made by multiplying.
void ProductDecoder::DecodeUneven(uint32_t chunk, Slopes slopes, uint32_t begin, uint32_t end,
                                  void* out) {
  const size_t positions = geometry_.positions(chunk).size();
  uneven_.resize(positions * (end - begin));
  for (uint32_t code = begin; code < end; ++code) {
    geometry_.LevelsOf(chunk, code, uneven_.data() + (code - begin) * positions);
  }
  auto run = [&](const auto* from, auto* to) {
    kernels::UnevenProductCodes(from, uneven_.data(), static_cast<uint32_t>(positions),
                                geometry_.slope_shift(), end - begin, to, kBlockNeurons);
  };
  if (geometry_.entry() == EntryType::kI16) {
    auto* to = static_cast<int16_t*>(out);
    geometry_.wide_slopes() ? run(slopes.wide, to) : run(slopes.narrow, to);
  } else {
    auto* to = static_cast<int8_t*>(out);
    geometry_.wide_slopes() ? run(slopes.wide, to) : run(slopes.narrow, to);
  }
}

TileSummer::TileSummer(const PlannedTable& table)
    : geometry_(table.geometry),
      hasher_(table.spec, table.geometry),
      window_(MakeAligned<uint8_t>(kWindowBytes)) {}

TileSums TileSummer::Sum(const TileId& tile, absl::Span<const float> steps, const CodesFn& codes,
                         void* entries) {
  const TileShape shape = ShapeOf(geometry_, tile);
  const uint64_t code_bytes = CodeBytes(geometry_);
  const auto window_codes = static_cast<uint32_t>(kWindowBytes / code_bytes);
  auto* to = static_cast<uint8_t*>(entries);
  TileSums sums;
  Hash64 payload;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    hasher_.Begin(chunk, tile.neuron_block, steps);
    const uint32_t all = geometry_.codes(chunk);
    const uint32_t first_stored = all - geometry_.stored_codes(chunk);
    for (uint32_t begin = 0; begin < all; begin += window_codes) {
      const uint32_t end = std::min(all, begin + window_codes);
      codes(chunk, begin, end, window_.get());
      hasher_.Update(window_.get(), (end - begin) * code_bytes);
      const uint32_t kept = std::max(begin, first_stored);
      if (kept >= end) continue;
      const uint8_t* from = window_.get() + (kept - begin) * code_bytes;
      const uint64_t bytes = (end - kept) * code_bytes;
      payload.Update(from, bytes);
      if (to != nullptr) {
        std::memcpy(to, from, bytes);
        to += bytes;
      }
    }
    sums.cells += hasher_.Finish();
  }
  sums.checksum = payload.Finish();
  return sums;
}

TileSums MakeTileRecord(const PlannedTable& table, const TileId& tile, Slopes slopes,
                        absl::Span<const float> steps, TileSummer* summer, ProductDecoder* decoder,
                        TileScratch* scratch, const BakedEdits* baked, std::string* record) {
  const TableGeometry& geometry = table.geometry;
  // Slopes of the chunk being decoded: chunks come in order.
  Slopes at = slopes;
  uint32_t at_chunk = tile.group * geometry.tile_chunks();
  const auto codes = [&](uint32_t chunk, uint32_t begin, uint32_t end, void* out) {
    while (at_chunk < chunk) {
      const size_t passed = geometry.positions(at_chunk++).size() * kBlockNeurons;
      if (at.narrow != nullptr) at.narrow += passed;
      if (at.wide != nullptr) at.wide += passed;
    }
    decoder->Decode(chunk, at, begin, end, out);
    if (baked != nullptr) baked->Apply(geometry, tile, chunk, begin, end, out);
  };
  CodecTrial trial = TrialOf(table, tile);
  const bool edited = baked != nullptr && baked->Touch(tile.table, tile.group, tile.neuron_block);
  Codec codec = table.spec.codec;
  if (edited) {  // slopes do not say what edits did
    trial = {.product = false, .entries = true};
    if (codec == Codec::kProduct) codec = Codec::kDelta;
  }
  if (trial.entries) {
    scratch->entries.resize(ShapeOf(geometry, tile).stored_codes * CodeBytes(geometry));
  }
  const TileSums sums =
      summer->Sum(tile, steps, codes, trial.entries ? scratch->entries.data() : nullptr);
  if (trial.product) {
    const Slopes kept = scratch->slopes.Of(geometry, tile, slopes);
    EncodeProductTile(geometry, tile, kept, sums.checksum, record);
  }
  if (!trial.entries) return sums;
  std::string* other = trial.product ? &scratch->record : record;
  EncodeEntryTile(geometry, tile, scratch->entries.data(), codec, other);
  if (trial.product && other->size() < record->size()) record->swap(*other);
  return sums;
}

}  // namespace lutdb
