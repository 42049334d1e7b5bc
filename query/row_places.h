// Where the rows of a table lie when they are laid out [chunk][stored code][neurons padded to 64
// bytes]: the addresses of the arena and of every buffer of rows. Computed once per table, so that
// finding a row is a multiplication, whatever the chunks look like.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/check.h"
#include "coding/levels.h"

namespace lutdb {

// From row to row of a table alone: its entries, padded to whole cache lines.
uint64_t RowStrideBytes(const TableGeometry& geometry);

// One looked-up row: its number among the stored rows of the table, and whether it is negated.
struct RowPlace {
  uint64_t row = 0;
  bool negated = false;
  bool zero = false;  // all entries are zero; it has a number, but need not be read
};

class RowPlaces {
 public:
  explicit RowPlaces(const TableGeometry& geometry);

  uint64_t stride_bytes() const { return stride_bytes_; }  // of one row, a multiple of 64
  uint64_t rows() const { return rows_; }
  uint64_t bytes() const { return rows_ * stride_bytes_; }
  uint32_t chunks() const { return chunks_; }
  uint32_t codes(uint32_t chunk) const { return Of(chunk).codes; }

  // First row of a chunk; chunks() gives rows().
  uint64_t first_row(uint32_t chunk) const {
    if (chunk == chunks_) return rows_;
    return lists_.empty() ? uint64_t{chunk} * uniform_.stored() : lists_[chunk].first_row;
  }
  // Every code of every chunk is found at the same number in both.
  bool SameNumbers(const RowPlaces& other) const {
    return chunks_ == other.chunks_ && uniform_ == other.uniform_ && lists_ == other.lists_;
  }
  // The chunk that a row belongs to.
  uint32_t ChunkOf(uint64_t row) const;

  // code < codes(chunk). The code of all-zero levels has a row of zeros (T(zero) = 0), unless edits
  // were baked into it: then the table says so (free_zero), and none counts as zero.
  RowPlace Find(uint32_t chunk, uint32_t code) const {
    return FindIn(Of(chunk), first_row(chunk), code);
  }
  // Calls take(i, place) for codes[i], code of chunk_begin + i, in turn. False: codes[i] is none of
  // its chunk, and take was called for those before it.
  template <typename Take>
  bool FindEach(uint32_t chunk_begin, absl::Span<const uint16_t> codes, const Take& take) const {
    if (!lists_.empty()) {
      const Chunk* places = lists_.data() + chunk_begin;
      for (size_t i = 0; i < codes.size(); ++i) {
        const Chunk place = places[i];
        if (codes[i] >= place.codes) return false;
        take(i, FindIn(place, place.first_row, codes[i]));
      }
      return true;
    }
    const Chunk place = uniform_;
    uint64_t first_row = uint64_t{chunk_begin} * place.stored();
    for (size_t i = 0; i < codes.size(); ++i, first_row += place.stored()) {
      if (codes[i] >= place.codes) return false;
      take(i, FindIn(place, first_row, codes[i]));
    }
    return true;
  }
  // The code whose entries a stored row of `chunk` has as they are.
  uint32_t CodeOf(uint32_t chunk, uint64_t row) const {
    return Of(chunk).stored_from + static_cast<uint32_t>(row - first_row(chunk));
  }

 private:
  struct Chunk {
    uint64_t first_row = 0;
    uint32_t codes = 0;
    uint32_t stored_from = 0;  // codes below it are kept as the negation of a mirrored one
    uint32_t zero_code = 0;    // kNone: none
    uint32_t stored() const { return codes - stored_from; }
    bool operator==(const Chunk&) const = default;
  };
  const Chunk& Of(uint32_t chunk) const {
    LUTDB_DCHECK(chunk < chunks_);
    return lists_.empty() ? uniform_ : lists_[chunk];
  }
  static RowPlace FindIn(const Chunk& place, uint64_t first_row, uint32_t code) {
    RowPlace found;
    found.zero = code == place.zero_code;
    found.negated = code < place.stored_from;
    const uint32_t kept = found.negated ? place.codes - 1 - code : code;
    found.row = first_row + (kept - place.stored_from);
    return found;
  }
  static Chunk Describe(const TableGeometry& geometry, uint32_t chunk);

  uint32_t chunks_ = 0;
  uint64_t stride_bytes_ = 0;
  uint64_t rows_ = 0;
  Chunk uniform_;
  std::vector<Chunk> lists_;  // empty when all chunks are alike
};

}  // namespace lutdb
