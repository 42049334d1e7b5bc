#include "coding/delta.h"

#include <lz4.h>

#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/tile_layout.h"
#include "coding/zstd_frame.h"

namespace lutdb {
namespace {

// The first byte of a body. Persisted: never renumber.
enum class DeltaKind : uint8_t { kStored = 0, kLz4 = 1, kZstd = 2 };

constexpr int kZstdLevel = 1;

// Differences are modulo 2^8 or 2^16, so they always fit. All low bytes of the tile come first,
// then all high bytes: along a straight line the high bytes are nearly constant.
template <typename Unsigned>
void Differences(const TableGeometry& geometry, const TileShape& shape, const void* entries,
                 uint8_t* planes) {
  const auto* entry = static_cast<const uint8_t*>(entries);
  const uint64_t count = shape.stored_codes * kBlockNeurons;
  uint64_t i = 0;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    Unsigned previous[kBlockNeurons] = {};
    for (uint32_t code = 0; code < geometry.stored_codes(chunk); ++code) {
      for (uint32_t n = 0; n < kBlockNeurons; ++n, ++i) {
        const auto value = LoadLittle<Unsigned>(entry + i * sizeof(Unsigned));
        const auto difference = static_cast<Unsigned>(value - previous[n]);
        previous[n] = value;
        planes[i] = static_cast<uint8_t>(difference);
        if constexpr (sizeof(Unsigned) == 2) planes[count + i] = difference >> 8;
      }
    }
  }
}

template <typename Unsigned>
void Integrate(const TableGeometry& geometry, const TileShape& shape, const uint8_t* planes,
               void* entries) {
  auto* entry = static_cast<uint8_t*>(entries);
  const uint64_t count = shape.stored_codes * kBlockNeurons;
  uint64_t i = 0;
  for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
    Unsigned value[kBlockNeurons] = {};
    for (uint32_t code = 0; code < geometry.stored_codes(chunk); ++code) {
      for (uint32_t n = 0; n < kBlockNeurons; ++n, ++i) {
        Unsigned difference = planes[i];
        if constexpr (sizeof(Unsigned) == 2) {
          difference = static_cast<Unsigned>(difference | planes[count + i] << 8);
        }
        value[n] = static_cast<Unsigned>(value[n] + difference);
        StoreLittle(value[n], entry + i * sizeof(Unsigned));
      }
    }
  }
}

std::vector<uint8_t>& ThreadPlanes(uint64_t bytes) {
  thread_local std::vector<uint8_t> planes;
  planes.resize(bytes);
  return planes;
}

}  // namespace

void AppendDelta(const TableGeometry& geometry, const TileShape& shape, const void* entries,
                 std::string* out) {
  const uint64_t bytes = shape.stored_codes * RowBytes(geometry);
  std::vector<uint8_t>& planes = ThreadPlanes(bytes);
  const auto differences =
      geometry.entry() == EntryType::kI8 ? Differences<uint8_t> : Differences<uint16_t>;
  differences(geometry, shape, entries, planes.data());
  const int lz4_bound = LZ4_compressBound(static_cast<int>(bytes));
  std::vector<char> lz4(static_cast<size_t>(lz4_bound));
  const int lz4_bytes = LZ4_compress_default(reinterpret_cast<const char*>(planes.data()),
                                             lz4.data(), static_cast<int>(bytes), lz4_bound);
  std::vector<uint8_t> zstd;
  const bool compressed = CompressFrame(planes.data(), bytes, kZstdLevel, &zstd);
  const uint64_t lz4_size = lz4_bytes > 0 ? static_cast<uint64_t>(lz4_bytes) : bytes;
  const uint64_t zstd_size = compressed ? zstd.size() : bytes;
  if (lz4_size >= bytes && zstd_size >= bytes) {
    out->push_back(static_cast<char>(DeltaKind::kStored));
    out->append(reinterpret_cast<const char*>(planes.data()), bytes);
  } else if (lz4_size <= zstd_size) {
    out->push_back(static_cast<char>(DeltaKind::kLz4));
    out->append(lz4.data(), lz4_size);
  } else {
    out->push_back(static_cast<char>(DeltaKind::kZstd));
    out->append(reinterpret_cast<const char*>(zstd.data()), zstd_size);
  }
}

absl::Status ReadDelta(const TableGeometry& geometry, const TileShape& shape, std::string_view body,
                       void* entries) {
  const absl::Status damaged = DataLoss("a delta record does not decompress; run repair");
  if (body.empty()) return damaged;
  const uint64_t bytes = shape.stored_codes * RowBytes(geometry);
  const auto kind = static_cast<DeltaKind>(body[0]);
  body.remove_prefix(1);
  std::vector<uint8_t>& scratch = ThreadPlanes(bytes);
  const uint8_t* planes = scratch.data();
  if (kind == DeltaKind::kStored) {
    if (body.size() != bytes) return damaged;
    planes = reinterpret_cast<const uint8_t*>(body.data());
  } else if (kind == DeltaKind::kLz4) {
    if (body.size() > INT32_MAX) return damaged;
    const int result = LZ4_decompress_safe(body.data(), reinterpret_cast<char*>(scratch.data()),
                                           static_cast<int>(body.size()), static_cast<int>(bytes));
    if (result < 0 || static_cast<uint64_t>(result) != bytes) return damaged;
  } else if (kind == DeltaKind::kZstd) {
    if (!DecompressFrame(body.data(), body.size(), scratch.data(), bytes)) return damaged;
  } else {
    return damaged;
  }
  const auto integrate =
      geometry.entry() == EntryType::kI8 ? Integrate<uint8_t> : Integrate<uint16_t>;
  integrate(geometry, shape, planes, entries);
  return absl::OkStatus();
}

}  // namespace lutdb
