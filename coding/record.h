// Record <-> bytes. Goals: lossless, self-describing, checked; a record read at the wrong key is
// noticed. Non-goals: storage, models. docs/format.md, "Tile records" and "Row
// records", has the bytes and a worked example.
//
// A tile record holds 64 neurons x up to tile_chunks() consecutive chunks x all codes. A row record
// holds one code of one chunk for up to row_neurons() neurons. The decoded payload that the
// header's XXH3-64 covers is, for a tile, for each chunk, for each *stored* code in ascending
// order, 64 entries (neurons beyond the layer's are zero); for a row, its entries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "coding/levels.h"

namespace lutdb {

inline constexpr uint32_t kRecordHeaderBytes = 32;

// Which tile of which table.
struct TileId {
  uint32_t table = 0;
  uint32_t group = 0;         // chunks [group * tile_chunks, ...)
  uint32_t neuron_block = 0;  // neurons [neuron_block * 64, ...)
};

// The chunks of a tile and where each one's slopes and stored codes start.
struct TileShape {
  uint32_t chunk_begin = 0;
  uint32_t chunk_end = 0;
  uint32_t neurons = 0;       // 1..64 real ones
  uint32_t positions = 0;     // sum over chunks of positions: rows of 64 slopes
  uint64_t stored_codes = 0;  // sum over chunks: rows of 64 entries
};
TileShape ShapeOf(const TableGeometry& geometry, const TileId& tile);

// Slopes of a tile: positions x 64, neuron fastest, zero for padding and missing neurons; every
// position of every chunk in order. int32 unless geometry.wide_slopes(); the other pointer is null.
struct Slopes {
  const int32_t* narrow = nullptr;
  const int64_t* wide = nullptr;
};

// Encodes a product record. `checksum` is the XXH3-64 of the payload the slopes decode to: the
// builder has it from the pass that also makes the content hash; PayloadChecksum computes it alone.
void EncodeProductTile(const TableGeometry& geometry, const TileId& tile, Slopes slopes,
                       uint64_t checksum, std::string* out);
// Encodes entries (stored codes x 64, of the geometry's entry type, chunk after chunk) as delta or
// raw.
void EncodeEntryTile(const TableGeometry& geometry, const TileId& tile, const void* entries,
                     Codec codec, std::string* out);
// The smallest of a delta record of the entries, one of the entries in units of a power of two and
// one of what they add to the products of slopes (both null: not that), for tiles that were edited
// or tuned.
void EncodeEditedTile(const TableGeometry& geometry, const TileId& tile, Slopes slopes,
                      const void* entries, std::string* out);
// XXH3-64 of the payload that slopes decode to.
uint64_t PayloadChecksum(const TableGeometry& geometry, const TileId& tile, Slopes slopes);

// Decodes tiles. One object per thread; reuses its buffers, so decoding allocates nothing once
// warm.
class TileDecoder {
 public:
  TileDecoder();
  ~TileDecoder();
  TileDecoder(TileDecoder&&) noexcept;

  // Parses header and body of the record of `tile`: DataLoss when damaged or of another tile,
  // Unimplemented for a newer version or codec. `bytes` need not outlive the call; `geometry` must
  // outlive the use of the decoder until the next Open.
  absl::Status Open(const TableGeometry& geometry, const TileId& tile, std::string_view bytes);

  Codec codec() const;
  const TileShape& shape() const;
  // Slopes of a product record (valid until the next Open); both null for other codecs. Query and
  // ingest hand them to kernels::ProductCodes, which is the fast way to what Codes() returns.
  Slopes slopes() const;
  // Slopes under the entries of a delta record that is made of corrections to their products, and
  // those of a product record; both null otherwise.
  Slopes base_slopes() const;
  // First row of slopes, and first row of stored codes, of a chunk of this tile.
  uint32_t position_offset(uint32_t chunk) const;
  uint64_t checksum() const;  // the header's

  // Entries of one chunk for codes [code_begin, code_end) (all codes, not just stored ones), 64 per
  // code, written `stride_bytes` apart (>= 64 x entry bytes).
  void Codes(uint32_t chunk, uint32_t code_begin, uint32_t code_end, void* out,
             uint64_t stride_bytes) const;
  // The 64 entries of one code, made without the other codes in a product record.
  void Row(uint32_t chunk, uint32_t code, void* out) const { Codes(chunk, code, code + 1, out, 0); }

  // Recomputes the payload's XXH3-64; DataLoss when it differs from the header's.
  absl::Status VerifyChecksum() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct RowId {
  uint32_t table = 0;
  uint32_t chunk = 0;
  uint32_t code = 0;          // a stored code's real number
  uint32_t neuron_block = 0;  // of row_neurons() neurons
};
// entries: the real neurons of the block. Always the raw codec.
void EncodeRow(const TableGeometry& geometry, const RowId& row, const void* entries,
               std::string* out);
// Returns a view of the entries inside `bytes` after checking the header against `row`; with
// verify_checksum also the XXH3-64.
absl::StatusOr<std::string_view> OpenRow(const TableGeometry& geometry, const RowId& row,
                                         std::string_view bytes, bool verify_checksum);

}  // namespace lutdb
