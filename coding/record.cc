#include "coding/record.h"

#include <algorithm>

#include "base/check.h"
#include "coding/corrections.h"
#include "coding/delta.h"
#include "coding/hash.h"
#include "coding/planes.h"
#include "coding/product_rows.h"
#include "coding/record_header.h"
#include "coding/tile_layout.h"

namespace lutdb {

TileShape ShapeOf(const TableGeometry& geometry, const TileId& tile) {
  TileShape shape;
  shape.chunk_begin = tile.group * geometry.tile_chunks();
  shape.chunk_end = std::min(shape.chunk_begin + geometry.tile_chunks(), geometry.chunks());
  const uint32_t neuron_begin = tile.neuron_block * kBlockNeurons;
  LUTDB_CHECK(shape.chunk_begin < shape.chunk_end && neuron_begin < geometry.neurons());
  shape.neurons = std::min(kBlockNeurons, geometry.neurons() - neuron_begin);
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    shape.positions += static_cast<uint32_t>(geometry.positions(chunk).size());
    shape.stored_codes += geometry.stored_codes(chunk);
  }
  return shape;
}

RecordShape HeaderShape(const TableGeometry& geometry, const TileId& tile, const TileShape& shape) {
  return {.element_type = static_cast<uint8_t>(geometry.entry()),
          .flags = geometry.mirror() ? kFlagMirrored : uint8_t{0},
          .neurons = static_cast<uint16_t>(shape.neurons),
          .owner = tile.table,
          .first_chunk = shape.chunk_begin,
          .neuron_block = static_cast<uint16_t>(tile.neuron_block),
          .extent = static_cast<uint16_t>(shape.chunk_end - shape.chunk_begin)};
}

Slopes SlopesAt(Slopes slopes, uint32_t position) {
  const size_t offset = size_t{position} * kBlockNeurons;
  return {.narrow = slopes.narrow == nullptr ? nullptr : slopes.narrow + offset,
          .wide = slopes.wide == nullptr ? nullptr : slopes.wide + offset};
}

uint64_t PayloadChecksum(const TableGeometry& geometry, const TileId& tile, Slopes slopes) {
  constexpr uint32_t kPieceCodes = 64;
  alignas(64) uint8_t piece[kPieceCodes * kBlockNeurons * sizeof(int16_t)];
  const TileShape shape = ShapeOf(geometry, tile);
  const uint64_t row_bytes = RowBytes(geometry);
  Hash64 hash;
  uint32_t position = 0;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    const auto positions = geometry.positions(chunk);
    const uint32_t codes = geometry.codes(chunk);
    for (uint32_t code = codes - geometry.stored_codes(chunk); code < codes; code += kPieceCodes) {
      const uint32_t end = std::min(codes, code + kPieceCodes);
      ProductRows(geometry, chunk, SlopesAt(slopes, position), code, end, piece, row_bytes);
      hash.Update(piece, (end - code) * row_bytes);
    }
    position += static_cast<uint32_t>(positions.size());
  }
  return hash.Finish();
}

void EncodeProductTile(const TableGeometry& geometry, const TileId& tile, Slopes slopes,
                       uint64_t checksum, std::string* out) {
  out->clear();
  const TileShape shape = ShapeOf(geometry, tile);
  BeginRecord(HeaderShape(geometry, tile, shape), static_cast<uint8_t>(Codec::kProduct), checksum,
              out);
  const size_t count = size_t{shape.positions} * kBlockNeurons;
  if (geometry.wide_slopes()) {
    LUTDB_CHECK(slopes.wide != nullptr);
    AppendPlanes(slopes.wide, count, sizeof(int64_t), out);
  } else {
    LUTDB_CHECK(slopes.narrow != nullptr);
    AppendPlanes(slopes.narrow, count, sizeof(int32_t), out);
  }
  FinishRecord(0, out);
}

void EncodeEntryTile(const TableGeometry& geometry, const TileId& tile, const void* entries,
                     Codec codec, std::string* out) {
  LUTDB_CHECK(codec != Codec::kProduct);
  out->clear();
  const TileShape shape = ShapeOf(geometry, tile);
  const uint64_t payload_bytes = shape.stored_codes * RowBytes(geometry);
  std::string body;
  if (codec != Codec::kRaw) {
    AppendDelta(geometry, shape, entries, &body);
    if (codec == Codec::kSmallest && body.size() > payload_bytes) codec = Codec::kRaw;
    if (codec == Codec::kSmallest) codec = Codec::kDelta;
  }
  BeginRecord(HeaderShape(geometry, tile, shape), static_cast<uint8_t>(codec),
              Hash64Of(entries, payload_bytes), out);
  if (codec == Codec::kRaw) {
    out->append(static_cast<const char*>(entries), payload_bytes);
  } else {
    out->append(body);
  }
  FinishRecord(0, out);
}

void EncodeEditedTile(const TableGeometry& geometry, const TileId& tile, Slopes slopes,
                      const void* entries, std::string* out) {
  EncodeEntryTile(geometry, tile, entries, Codec::kDelta, out);
  const TileShape shape = ShapeOf(geometry, tile);
  std::string best;
  AppendCorrections(geometry, shape, {}, entries, &best);
  if (slopes.narrow != nullptr || slopes.wide != nullptr) {
    std::string body;
    AppendCorrections(geometry, shape, slopes, entries, &body);
    // Where slopes are kept, entries that are taken back later are products again: to leave them
    // out must be worth it.
    if (body.size() - body.size() / 8 <= best.size()) best.swap(body);
  }
  if (best.size() >= BodyOf(*out).size()) return;
  out->clear();
  BeginRecord(HeaderShape(geometry, tile, shape), static_cast<uint8_t>(Codec::kDelta),
              Hash64Of(entries, shape.stored_codes * RowBytes(geometry)), out);
  out->append(best);
  FinishRecord(0, out);
}

}  // namespace lutdb
