#include "coding/tensor_record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "coding/hash.h"
#include "coding/planes.h"
#include "coding/record_header.h"

namespace lutdb {
namespace {

constexpr uint64_t kRecordBytes = 64 * 1024;
constexpr uint64_t kMaxRows = 65535;  // the header's count is 16 bits wide

// The rows of a block: all but the last are full.
RecordShape ShapeOfRows(const TensorSpec& spec, uint32_t row_block, uint64_t row_count) {
  return {.element_type = static_cast<uint8_t>(spec.dtype),
          .flags = 0,
          .neurons = static_cast<uint16_t>(row_count),
          .owner = spec.id,
          .first_chunk = row_block,
          .neuron_block = 0,
          .extent = 0};
}

// Binary16 to binary32 through integers: subnormals by an exact subtraction of two floats, and NaN
// payloads kept. No branch, so that compilers make vectors of it.
float FloatOfF16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = (magnitude << 13) | 0x7f800000u;
  // 2^-14 * (1 + m / 1024) - 2^-14 = m * 2^-24.
  const uint32_t smallest = 113u << 23;
  const float subnormal =
      std::bit_cast<float>((magnitude << 13) + smallest) - std::bit_cast<float>(smallest);
  const uint32_t bits = magnitude >= 0x7c00  ? special
                        : magnitude < 0x0400 ? std::bit_cast<uint32_t>(subnormal)
                                             : normal;
  return std::bit_cast<float>(bits | sign);
}

}  // namespace

uint32_t RowsPerRecord(DType dtype, uint64_t cols) {
  const uint64_t row_bytes = std::max<uint64_t>(1, cols) * static_cast<uint64_t>(DTypeBytes(dtype));
  return static_cast<uint32_t>(std::clamp<uint64_t>(kRecordBytes / row_bytes, 1, kMaxRows));
}

void EncodeTensorRows(const TensorSpec& spec, uint32_t row_block, const uint8_t* rows,
                      uint32_t row_count, std::string* out) {
  LUTDB_CHECK(row_count >= 1 && row_count <= kMaxRows);
  const auto width = static_cast<size_t>(DTypeBytes(spec.dtype));
  const size_t count = row_count * spec.cols;
  out->clear();
  BeginRecord(ShapeOfRows(spec, row_block, row_count), kCodecWeightPlanes,
              Hash64Of(rows, count * width), out);
  AppendPlanes(rows, count, width, out);
  FinishRecord(0, out);
}

absl::Status DecodeTensorRows(const TensorSpec& spec, uint32_t row_block, std::string_view bytes,
                              std::string* rows) {
  const uint64_t first = uint64_t{row_block} * spec.rows_per_record;
  if (first >= spec.rows || spec.rows_per_record == 0 || spec.rows_per_record > kMaxRows) {
    return OutOfRange("tensor {} has no row block {}", spec.name, row_block);
  }
  const uint64_t row_count = std::min<uint64_t>(spec.rows_per_record, spec.rows - first);
  const absl::StatusOr<RecordHeader> header =
      ReadHeader(bytes, ShapeOfRows(spec, row_block, row_count));
  if (!header.ok()) {
    return Error(header.status().code(), "weights of {}, row block {}: {}", spec.name, row_block,
                 Message(header.status()));
  }
  if (header->codec != kCodecWeightPlanes) {
    return Unimplemented("weights of {}, row block {}: unknown codec {}", spec.name, row_block,
                         header->codec);
  }
  const auto width = static_cast<size_t>(DTypeBytes(spec.dtype));
  const size_t count = row_count * spec.cols;
  rows->resize(count * width);
  std::string_view body = BodyOf(bytes);
  const absl::Status read = ReadPlanes(&body, count, width, rows->data());
  if (!read.ok() || !body.empty() || Hash64Of(rows->data(), rows->size()) != header->checksum) {
    return DataLoss(
        "the weights of {}, row block {} are damaged; rebuild the store or restore a "
        "backup",
        spec.name, row_block);
  }
  return absl::OkStatus();
}

void ToFloat(DType dtype, const void* from, uint64_t count, float* to) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  switch (dtype) {
    case DType::kF32:
      std::memcpy(to, bytes, count * sizeof(float));
      return;
    case DType::kF16:
      for (uint64_t i = 0; i < count; ++i) to[i] = FloatOfF16(LoadLittle<uint16_t>(bytes + 2 * i));
      return;
    case DType::kBF16:
      for (uint64_t i = 0; i < count; ++i) {
        to[i] = std::bit_cast<float>(uint32_t{LoadLittle<uint16_t>(bytes + 2 * i)} << 16);
      }
      return;
  }
}

}  // namespace lutdb
