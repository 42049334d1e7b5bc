#include "query/row_places.h"

#include <algorithm>

#include "base/aligned_buffer.h"

namespace lutdb {

RowPlaces::Chunk RowPlaces::Describe(const TableGeometry& geometry, uint32_t chunk) {
  Chunk place;
  place.codes = geometry.codes(chunk);
  place.stored_from = place.codes - geometry.stored_codes(chunk);
  place.zero_code = geometry.ZeroCode(chunk);
  // Find() is written for stored codes that are the upper ones; the coding layer is asked at both
  // ends so that the two can never drift apart.
  const auto last = geometry.Stored(chunk, place.codes - 1);
  const auto first = geometry.Stored(chunk, 0);
  LUTDB_CHECK(!last.negated && last.index == place.stored() - 1);
  LUTDB_CHECK(place.stored_from == 0 ? first.index == 0 && !first.negated
                                     : first.index == place.stored() - 1 && first.negated);
  return place;
}

uint64_t RowStrideBytes(const TableGeometry& geometry) {
  const uint64_t row_bytes = uint64_t{geometry.neurons()} * EntryBytes(geometry.entry());
  return (row_bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

RowPlaces::RowPlaces(const TableGeometry& geometry)
    : chunks_(geometry.chunks()), stride_bytes_(RowStrideBytes(geometry)) {
  if (geometry.uniform()) {
    uniform_ = Describe(geometry, 0);
    rows_ = uint64_t{chunks_} * uniform_.stored();
    return;
  }
  lists_.reserve(chunks_);
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    lists_.push_back(Describe(geometry, chunk));
    lists_.back().first_row = rows_;
    rows_ += lists_.back().stored();
  }
}

uint32_t RowPlaces::ChunkOf(uint64_t row) const {
  LUTDB_DCHECK(row < rows_);
  if (lists_.empty()) return static_cast<uint32_t>(row / uniform_.stored());
  const auto after = std::upper_bound(
      lists_.begin(), lists_.end(), row,
      [](uint64_t wanted, const Chunk& chunk) { return wanted < chunk.first_row; });
  return static_cast<uint32_t>(after - lists_.begin()) - 1;
}

}  // namespace lutdb
