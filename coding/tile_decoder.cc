#include <algorithm>
#include <cstring>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/check.h"
#include "base/status.h"
#include "coding/corrections.h"
#include "coding/delta.h"
#include "coding/hash.h"
#include "coding/planes.h"
#include "coding/product_rows.h"
#include "coding/record.h"
#include "coding/record_header.h"
#include "coding/tile_layout.h"

namespace lutdb {

struct TileDecoder::State {
  const TableGeometry* geometry = nullptr;
  TileId tile;
  TileShape shape;
  Codec codec = Codec::kRaw;
  uint64_t checksum = 0;
  AlignedArray<uint8_t> buffer;  // slopes of a product record, the payload of others
  uint64_t capacity = 0;
  AlignedArray<uint8_t> base;  // slopes under corrections
  uint64_t base_capacity = 0;
  bool has_base = false;

  static void Reserve(uint64_t bytes, AlignedArray<uint8_t>* memory, uint64_t* reserved) {
    if (bytes <= *reserved) return;
    *memory = MakeAligned<uint8_t>(bytes);
    *reserved = bytes;
  }
  void Reserve(uint64_t bytes) { Reserve(bytes, &buffer, &capacity); }

  uint64_t payload_bytes() const { return shape.stored_codes * RowBytes(*geometry); }

  // First row of stored codes of a chunk.
  uint64_t row_offset(uint32_t chunk) const {
    if (geometry->uniform()) {
      return uint64_t{chunk - shape.chunk_begin} * geometry->stored_codes(chunk);
    }
    uint64_t rows = 0;
    for (uint32_t c = shape.chunk_begin; c < chunk; ++c) rows += geometry->stored_codes(c);
    return rows;
  }

  absl::Status ReadBody(std::string_view body);
};

absl::Status TileDecoder::State::ReadBody(std::string_view body) {
  has_base = codec == Codec::kDelta && !body.empty() && body[0] == kCorrectionsKind;
  switch (codec) {
    case Codec::kProduct: {
      const size_t width = geometry->wide_slopes() ? sizeof(int64_t) : sizeof(int32_t);
      const size_t count = size_t{shape.positions} * kBlockNeurons;
      Reserve(count * width);
      LUTDB_RETURN_IF_ERROR(ReadPlanes(&body, count, width, buffer.get()));
      if (!body.empty()) return DataLoss("{} bytes are left behind the slopes", body.size());
      return absl::OkStatus();
    }
    case Codec::kDelta:
      Reserve(payload_bytes());
      if (has_base) {
        Reserve(SlopeBytes(*geometry, shape), &base, &base_capacity);
        return ReadCorrections(*geometry, shape, body, base.get(), buffer.get());
      }
      return ReadDelta(*geometry, shape, body, buffer.get());
    case Codec::kRaw:
      if (body.size() != payload_bytes()) {
        return DataLoss("{} bytes of entries instead of {}", body.size(), payload_bytes());
      }
      Reserve(payload_bytes());
      std::memcpy(buffer.get(), body.data(), body.size());
      return absl::OkStatus();
    case Codec::kSmallest:
      break;
  }
  return Unimplemented("codec {} is unknown to this program; use a newer one",
                       static_cast<int>(codec));
}

TileDecoder::TileDecoder() : state_(std::make_unique<State>()) {}
TileDecoder::~TileDecoder() = default;
TileDecoder::TileDecoder(TileDecoder&&) noexcept = default;

absl::Status TileDecoder::Open(const TableGeometry& geometry, const TileId& tile,
                               std::string_view bytes) {
  State& state = *state_;
  state.geometry = &geometry;
  state.tile = tile;
  state.shape = ShapeOf(geometry, tile);
  const RecordShape expected = HeaderShape(geometry, tile, state.shape);
  LUTDB_ASSIGN_OR_RETURN(const RecordHeader header, ReadHeader(bytes, expected));
  state.codec = static_cast<Codec>(header.codec);
  state.checksum = header.checksum;
  const absl::Status read = state.ReadBody(BodyOf(bytes));
  if (!read.ok()) return Error(read.code(), "the record {}: {}", Describe(expected), Message(read));
  return absl::OkStatus();
}

Codec TileDecoder::codec() const { return state_->codec; }
const TileShape& TileDecoder::shape() const { return state_->shape; }
uint64_t TileDecoder::checksum() const { return state_->checksum; }

Slopes TileDecoder::slopes() const {
  if (state_->codec != Codec::kProduct) return {};
  return SlopesIn(*state_->geometry, state_->buffer.get());
}

Slopes TileDecoder::base_slopes() const {
  if (!state_->has_base) return slopes();
  return SlopesIn(*state_->geometry, state_->base.get());
}

uint32_t TileDecoder::position_offset(uint32_t chunk) const {
  const TableGeometry& geometry = *state_->geometry;
  const uint32_t begin = state_->shape.chunk_begin;
  LUTDB_DCHECK(chunk >= begin && chunk < state_->shape.chunk_end);
  if (geometry.uniform()) {
    return (chunk - begin) * static_cast<uint32_t>(geometry.positions(chunk).size());
  }
  return static_cast<uint32_t>(geometry.positions(chunk).data() - geometry.positions(begin).data());
}

void TileDecoder::Codes(uint32_t chunk, uint32_t code_begin, uint32_t code_end, void* out,
                        uint64_t stride_bytes) const {
  const State& state = *state_;
  const TableGeometry& geometry = *state.geometry;
  LUTDB_CHECK(chunk >= state.shape.chunk_begin && chunk < state.shape.chunk_end &&
              code_end <= geometry.codes(chunk));
  if (state.codec == Codec::kProduct) {
    ProductRows(geometry, chunk, SlopesAt(slopes(), position_offset(chunk)), code_begin, code_end,
                out, stride_bytes);
    return;
  }
  const uint64_t row_bytes = RowBytes(geometry);
  const uint8_t* rows = state.buffer.get() + state.row_offset(chunk) * row_bytes;
  auto* to = static_cast<uint8_t*>(out);
  for (uint32_t code = code_begin; code < code_end; ++code, to += stride_bytes) {
    const TableGeometry::StoredRow stored = geometry.Stored(chunk, code);
    const uint8_t* from = rows + stored.index * row_bytes;
    if (!stored.negated) {
      std::memcpy(to, from, row_bytes);
    } else if (geometry.entry() == EntryType::kI8) {
      for (uint32_t n = 0; n < kBlockNeurons; ++n) to[n] = static_cast<uint8_t>(-from[n]);
    } else {
      const auto* entries = reinterpret_cast<const uint16_t*>(from);
      auto* negated = reinterpret_cast<uint16_t*>(to);
      for (uint32_t n = 0; n < kBlockNeurons; ++n) {
        negated[n] = static_cast<uint16_t>(-entries[n]);
      }
    }
  }
}

absl::Status TileDecoder::VerifyChecksum() const {
  const State& state = *state_;
  const uint64_t found = state.codec == Codec::kProduct
                             ? PayloadChecksum(*state.geometry, state.tile, slopes())
                             : Hash64Of(state.buffer.get(), state.payload_bytes());
  if (found == state.checksum) return absl::OkStatus();
  return DataLoss("the checksum of the record {} is {:016x} instead of {:016x}; run repair",
                  Describe(HeaderShape(*state.geometry, state.tile, state.shape)), found,
                  state.checksum);
}

}  // namespace lutdb
