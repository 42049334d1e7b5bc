#include "coding/corrections.h"

#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "coding/difference_planes.h"
#include "coding/planes.h"
#include "coding/product_rows.h"
#include "coding/tile_layout.h"

namespace lutdb {
namespace {

Numbers& ThreadNumbers(size_t count) {
  thread_local Numbers numbers;
  numbers.resize(count);
  return numbers;
}

// Products of the whole tile, like its payload.
void Products(const TableGeometry& geometry, const TileShape& shape, Slopes slopes, uint8_t* out) {
  const uint64_t row_bytes = RowBytes(geometry);
  uint32_t position = 0;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    const uint32_t codes = geometry.codes(chunk);
    const uint32_t stored = geometry.stored_codes(chunk);
    ProductRows(geometry, chunk, SlopesAt(slopes, position), codes - stored, codes, out, row_bytes);
    position += static_cast<uint32_t>(geometry.positions(chunk).size());
    out += stored * row_bytes;
  }
}

uint16_t EntryAt(const TableGeometry& geometry, const void* entries, size_t i) {
  const auto* bytes = static_cast<const uint8_t*>(entries);
  if (geometry.entry() == EntryType::kI16) return LoadLittle<uint16_t>(bytes + 2 * i);
  return static_cast<uint16_t>(static_cast<int8_t>(bytes[i]));
}

// numbers[code] -= numbers[code - 1] for each chunk and neuron, from the last code down.
void Difference(const TableGeometry& geometry, const TileShape& shape, Numbers* numbers) {
  uint16_t* at = numbers->data();
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    const size_t count = size_t{geometry.stored_codes(chunk)} * kBlockNeurons;
    for (size_t i = count; i-- > kBlockNeurons;) {
      at[i] = static_cast<uint16_t>(at[i] - at[i - kBlockNeurons]);
    }
    at += count;
  }
}

void Integrate(const TableGeometry& geometry, const TileShape& shape, Numbers* numbers) {
  uint16_t* at = numbers->data();
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    const size_t count = size_t{geometry.stored_codes(chunk)} * kBlockNeurons;
    for (size_t i = kBlockNeurons; i < count; ++i) {
      at[i] = static_cast<uint16_t>(at[i] + at[i - kBlockNeurons]);
    }
    at += count;
  }
}

absl::Status Damaged() { return DataLoss("a delta record does not decompress; run repair"); }

}  // namespace

Slopes SlopesIn(const TableGeometry& geometry, const void* memory) {
  if (geometry.wide_slopes()) {
    return {.narrow = nullptr, .wide = static_cast<const int64_t*>(memory)};
  }
  return {.narrow = static_cast<const int32_t*>(memory), .wide = nullptr};
}

size_t SlopeBytes(const TableGeometry& geometry, const TileShape& shape) {
  const size_t width = geometry.wide_slopes() ? sizeof(int64_t) : sizeof(int32_t);
  return size_t{shape.positions} * kBlockNeurons * width;
}

void AppendCorrections(const TableGeometry& geometry, const TileShape& shape, Slopes slopes,
                       const void* entries, std::string* out) {
  const size_t count = shape.stored_codes * kBlockNeurons;
  AlignedArray<uint8_t> zeros;
  if (slopes.narrow == nullptr && slopes.wide == nullptr) {
    const size_t bytes = SlopeBytes(geometry, shape);
    zeros = MakeAligned<uint8_t>(bytes);
    std::memset(zeros.get(), 0, bytes);
    slopes = SlopesIn(geometry, zeros.get());
  }
  std::vector<uint8_t> products(shape.stored_codes * RowBytes(geometry));
  Products(geometry, shape, slopes, products.data());
  Numbers& numbers = ThreadNumbers(count);
  for (size_t i = 0; i < count; ++i) {
    numbers[i] = static_cast<uint16_t>(EntryAt(geometry, entries, i) -
                                       EntryAt(geometry, products.data(), i));
  }
  const void* slope_bytes = geometry.wide_slopes() ? static_cast<const void*>(slopes.wide)
                                                   : static_cast<const void*>(slopes.narrow);
  const size_t slope_count = size_t{shape.positions} * kBlockNeurons;
  const auto difference = [&](Numbers* of) { Difference(geometry, shape, of); };
  std::string best = DifferencePlanes(kCorrectionsKind, difference, &numbers);
  AppendPlanes(slope_bytes, slope_count, SlopeBytes(geometry, shape) / slope_count, &best);
  out->append(best);
}

absl::Status ReadCorrections(const TableGeometry& geometry, const TileShape& shape,
                             std::string_view body, void* slopes, void* entries) {
  if (body.empty() || body[0] != kCorrectionsKind) return Damaged();
  const size_t count = shape.stored_codes * kBlockNeurons;
  const size_t slope_count = size_t{shape.positions} * kBlockNeurons;
  Numbers& numbers = ThreadNumbers(count);
  const auto integrate = [&](Numbers* of) { Integrate(geometry, shape, of); };
  if (!ReadDifferencePlanes(&body, integrate, &numbers)) return Damaged();
  LUTDB_RETURN_IF_ERROR(
      ReadPlanes(&body, slope_count, SlopeBytes(geometry, shape) / slope_count, slopes));
  if (!body.empty()) return DataLoss("{} bytes are left behind the slopes", body.size());
  auto* to = static_cast<uint8_t*>(entries);
  Products(geometry, shape, SlopesIn(geometry, slopes), to);
  for (size_t i = 0; i < count; ++i) {
    const auto entry = static_cast<uint16_t>(EntryAt(geometry, to, i) + numbers[i]);
    if (geometry.entry() == EntryType::kI16) {
      StoreLittle(entry, to + 2 * i);
    } else {
      to[i] = static_cast<uint8_t>(entry);
    }
  }
  return absl::OkStatus();
}

}  // namespace lutdb
