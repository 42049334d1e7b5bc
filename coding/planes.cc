#include "coding/planes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "coding/zstd_frame.h"

namespace lutdb {
namespace {

// The first byte of a plane. Persisted: never renumber.
enum class PlaneKind : uint8_t {
  kRaw = 0,
  kConstant = 1,  // the one byte
  kZstd = 2,      // u32 bytes that follow, a ZSTD frame
  kPair = 3,    // two bytes, then a bitmap (bit i of byte i / 8): which of them; signs end up here
  kSparse = 4,  // a byte, a bitmap of the places that have another, and these others in order
};

constexpr int kZstdLevel = 1;
constexpr size_t kSampleMax = 4096;
// A ZSTD frame takes some 2 us to open, as long as copying 40 KB: a plane of slopes, which are read
// whenever rows are made, must become a quarter smaller for that.
constexpr size_t kSmallPlane = 2048;

// Each thread's own, so that nothing is allocated once it is warm.
struct Scratch {
  std::vector<uint8_t> plane;
  std::vector<uint8_t> compressed;
};
Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// log2(x) * 256, rounded down, in integers so that every machine takes the same decisions.
constexpr uint32_t Log2Q8(uint32_t x) {
  const uint32_t exponent = static_cast<uint32_t>(std::bit_width(x)) - 1;
  uint64_t mantissa = (uint64_t{x} << 31) >> exponent;  // 1.31
  uint32_t result = exponent;
  for (int bit = 0; bit < 8; ++bit) {
    mantissa = (mantissa * mantissa) >> 31;
    result <<= 1;
    if (mantissa >> 32 != 0) {
      mantissa >>= 1;
      result |= 1;
    }
  }
  return result;
}

// count * log2(count) * 256 for every count a sample can have.
const std::array<uint32_t, kSampleMax + 1>& CountLogs() {
  static const auto* const table = [] {
    auto* logs = new std::array<uint32_t, kSampleMax + 1>();
    for (uint32_t count = 1; count <= kSampleMax; ++count) (*logs)[count] = count * Log2Q8(count);
    return logs;
  }();
  return *table;
}

struct Histogram {
  std::array<uint32_t, 256> counts{};
  uint32_t samples = 0;
  uint32_t distinct = 0;
};

// Counts bytes, or an even sample of a long plane. Four tables, so that runs of one byte do not
// wait for each other's increments.
Histogram CountBytes(const uint8_t* plane, size_t count) {
  const size_t stride = count <= kSampleMax ? 1 : (count + kSampleMax - 1) / kSampleMax;
  uint16_t tables[4][256] = {};
  Histogram histogram;
  size_t i = 0;
  for (; i + 3 * stride < count; i += 4 * stride) {
    ++tables[0][plane[i]];
    ++tables[1][plane[i + stride]];
    ++tables[2][plane[i + 2 * stride]];
    ++tables[3][plane[i + 3 * stride]];
    histogram.samples += 4;
  }
  for (; i < count; i += stride) {
    ++tables[0][plane[i]];
    ++histogram.samples;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    histogram.counts[byte] = tables[0][byte] + tables[1][byte] + tables[2][byte] + tables[3][byte];
    histogram.distinct += histogram.counts[byte] != 0 ? 1 : 0;
  }
  return histogram;
}

// Whether the entropy of single bytes promises that ZSTD, with its own headers, stays below so many
// bytes.
bool LooksCompressible(const Histogram& histogram, size_t count, size_t limit) {
  const auto& logs = CountLogs();
  uint64_t total = logs[histogram.samples];
  for (const uint32_t byte_count : histogram.counts) total -= logs[byte_count];
  const uint64_t entropy_bytes = total * count / histogram.samples / (256 * 8);
  return entropy_bytes + 32 + histogram.distinct / 2 < limit;
}

void AppendPair(const uint8_t* plane, size_t count, uint8_t low, uint8_t high, std::string* out) {
  out->push_back(static_cast<char>(PlaneKind::kPair));
  out->push_back(static_cast<char>(low));
  out->push_back(static_cast<char>(high));
  const size_t start = out->size();
  out->resize(start + (count + 7) / 8);
  auto* bitmap = reinterpret_cast<uint8_t*>(out->data()) + start;
  for (size_t i = 0; i < count; i += 8) {
    uint8_t bits = 0;
    for (size_t k = 0; k < 8 && i + k < count; ++k) {
      bits = static_cast<uint8_t>(bits | (plane[i + k] == high ? 1u << k : 0u));
    }
    bitmap[i / 8] = bits;
  }
}

bool AppendZstd(const uint8_t* plane, size_t count, size_t limit, Scratch* scratch,
                std::string* out) {
  if (!CompressFrame(plane, count, kZstdLevel, &scratch->compressed)) return false;
  const size_t bytes = scratch->compressed.size();
  if (bytes + sizeof(uint32_t) >= limit) return false;
  out->push_back(static_cast<char>(PlaneKind::kZstd));
  AppendLittle(static_cast<uint32_t>(bytes), out);
  out->append(reinterpret_cast<const char*>(scratch->compressed.data()), bytes);
  return true;
}

// The byte there is most of, and what a sparse plane around it takes beyond its kind.
struct Sparse {
  uint8_t common = 0;
  size_t bytes = SIZE_MAX;
};

Sparse SparseOf(const Histogram& histogram, size_t count) {
  const auto most = std::max_element(histogram.counts.begin(), histogram.counts.end());
  return {.common = static_cast<uint8_t>(most - histogram.counts.begin()),
          .bytes = 1 + (count + 7) / 8 + (count - *most)};
}

void AppendSparse(const uint8_t* plane, size_t count, uint8_t common, std::string* out) {
  out->push_back(static_cast<char>(PlaneKind::kSparse));
  out->push_back(static_cast<char>(common));
  const size_t bitmap = out->size();
  out->resize(bitmap + (count + 7) / 8);
  for (size_t i = 0; i < count; ++i) {
    if (plane[i] == common) continue;
    (*out)[bitmap + i / 8] = static_cast<char>((*out)[bitmap + i / 8] | 1 << (i % 8));
    out->push_back(static_cast<char>(plane[i]));
  }
}

void AppendPlane(const uint8_t* plane, size_t count, Scratch* scratch, std::string* out) {
  const Histogram histogram = CountBytes(plane, count);
  const bool sampled = histogram.samples != count;
  if (!sampled && histogram.distinct == 1) {
    out->push_back(static_cast<char>(PlaneKind::kConstant));
    out->push_back(static_cast<char>(plane[0]));
    return;
  }
  const Sparse sparse = sampled ? Sparse() : SparseOf(histogram, count);
  const size_t pair_bytes = !sampled && histogram.distinct == 2 ? 2 + (count + 7) / 8 : SIZE_MAX;
  const size_t least = std::min({count, sparse.bytes, pair_bytes});  // without ZSTD
  const size_t worth = count <= kSmallPlane ? count / 4 : 0;
  if (least > worth && LooksCompressible(histogram, count, least - worth) &&
      AppendZstd(plane, count, least - worth, scratch, out)) {
    return;
  }
  if (least == count) {
    out->push_back(static_cast<char>(PlaneKind::kRaw));
    out->append(reinterpret_cast<const char*>(plane), count);
  } else if (least == pair_bytes) {
    const auto other =
        std::find_if(plane, plane + count, [plane](uint8_t byte) { return byte != plane[0]; });
    AppendPair(plane, count, plane[0], *other, out);
  } else {
    AppendSparse(plane, count, sparse.common, out);
  }
}

absl::Status Damaged(const char* what) {
  return DataLoss("a byte plane {}; the record is damaged", what);
}

bool Take(std::string_view* body, size_t bytes, const uint8_t** data) {
  if (body->size() < bytes) return false;
  *data = reinterpret_cast<const uint8_t*>(body->data());
  body->remove_prefix(bytes);
  return true;
}

void ExpandPair(const uint8_t* pair, size_t count, uint8_t* plane) {
  const uint8_t* bitmap = pair + 2;
  for (size_t i = 0; i < count; ++i) plane[i] = pair[bitmap[i / 8] >> (i % 8) & 1];
}

// False when the body ends early or has places beyond the plane.
bool ExpandSparse(std::string_view* body, size_t count, uint8_t* plane) {
  const uint8_t* bitmap;
  const uint8_t* others;
  if (!Take(body, 1 + (count + 7) / 8, &bitmap)) return false;
  std::memset(plane, *bitmap++, count);
  size_t marked = 0;
  for (size_t i = 0; i < (count + 7) / 8; ++i) marked += std::popcount(bitmap[i]);
  if (count % 8 != 0 && bitmap[count / 8] >> (count % 8) != 0) return false;
  if (!Take(body, marked, &others)) return false;
  for (size_t i = 0; i < (count + 7) / 8; ++i) {
    for (uint32_t bits = bitmap[i]; bits != 0; bits &= bits - 1) {
      plane[8 * i + static_cast<size_t>(std::countr_zero(bits))] = *others++;
    }
  }
  return true;
}

// *plane points into the body for raw planes and at scratch memory otherwise.
absl::Status ReadPlane(std::string_view* body, size_t count, Scratch* scratch,
                       const uint8_t** plane) {
  const uint8_t* data;
  if (!Take(body, 1, &data)) return Damaged("is missing");
  switch (static_cast<PlaneKind>(*data)) {
    case PlaneKind::kRaw:
      return Take(body, count, plane) ? absl::OkStatus() : Damaged("ends early");
    case PlaneKind::kConstant:
      if (!Take(body, 1, &data)) return Damaged("ends early");
      std::memset(scratch->plane.data(), *data, count);
      break;
    case PlaneKind::kPair:
      if (!Take(body, 2 + (count + 7) / 8, &data)) return Damaged("ends early");
      ExpandPair(data, count, scratch->plane.data());
      break;
    case PlaneKind::kSparse:
      if (!ExpandSparse(body, count, scratch->plane.data())) return Damaged("is not whole");
      break;
    case PlaneKind::kZstd: {
      if (!Take(body, sizeof(uint32_t), &data)) return Damaged("ends early");
      const size_t bytes = LoadLittle<uint32_t>(data);
      if (!Take(body, bytes, &data)) return Damaged("ends early");
      if (!DecompressFrame(data, bytes, scratch->plane.data(), count)) {
        return Damaged("does not decompress");
      }
      break;
    }
    default:
      return Damaged("has an unknown kind");
  }
  *plane = scratch->plane.data();
  return absl::OkStatus();
}

}  // namespace

void AppendPlanes(const void* elements, size_t count, size_t width, std::string* out) {
  if (count == 0) return;
  Scratch& scratch = ThreadScratch();
  scratch.plane.resize(count);
  const auto* bytes = static_cast<const uint8_t*>(elements);
  for (size_t k = 0; k < width; ++k) {
    for (size_t i = 0; i < count; ++i) scratch.plane[i] = bytes[i * width + k];
    AppendPlane(scratch.plane.data(), count, &scratch, out);
  }
}

absl::Status ReadPlanes(std::string_view* body, size_t count, size_t width, void* elements) {
  if (count == 0) return absl::OkStatus();
  Scratch& scratch = ThreadScratch();
  scratch.plane.resize(count);
  auto* bytes = static_cast<uint8_t*>(elements);
  for (size_t k = 0; k < width; ++k) {
    const uint8_t* plane = nullptr;
    LUTDB_RETURN_IF_ERROR(ReadPlane(body, count, &scratch, &plane));
    for (size_t i = 0; i < count; ++i) bytes[i * width + k] = plane[i];
  }
  return absl::OkStatus();
}

}  // namespace lutdb
