#include "coding/record_header.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "coding/record.h"

namespace lutdb {
namespace {

constexpr size_t kBodyBytesOffset = 20;

RecordShape LoadShape(const char* bytes) {
  return {.element_type = LoadLittle<uint8_t>(bytes + 4),
          .flags = LoadLittle<uint8_t>(bytes + 5),
          .neurons = LoadLittle<uint16_t>(bytes + 6),
          .owner = LoadLittle<uint32_t>(bytes + 8),
          .first_chunk = LoadLittle<uint32_t>(bytes + 12),
          .neuron_block = LoadLittle<uint16_t>(bytes + 16),
          .extent = LoadLittle<uint16_t>(bytes + 18)};
}

}  // namespace

void BeginRecord(const RecordShape& shape, uint8_t codec, uint64_t checksum, std::string* out) {
  AppendLittle(kRecordMagic, out);
  AppendLittle(kRecordVersion, out);
  AppendLittle(codec, out);
  AppendLittle(shape.element_type, out);
  AppendLittle(shape.flags, out);
  AppendLittle(shape.neurons, out);
  AppendLittle(shape.owner, out);
  AppendLittle(shape.first_chunk, out);
  AppendLittle(shape.neuron_block, out);
  AppendLittle(shape.extent, out);
  AppendLittle(uint32_t{0}, out);
  AppendLittle(checksum, out);
}

void FinishRecord(size_t record_start, std::string* out) {
  const size_t body_bytes = out->size() - record_start - kRecordHeaderBytes;
  LUTDB_CHECK(body_bytes <= UINT32_MAX);
  StoreLittle(static_cast<uint32_t>(body_bytes), out->data() + record_start + kBodyBytesOffset);
}

std::string Describe(const RecordShape& shape) {
  return fmt::format("of table {}, chunk {}, block {}", shape.owner, shape.first_chunk,
                     shape.neuron_block);
}

std::string_view BodyOf(std::string_view record) { return record.substr(kRecordHeaderBytes); }

absl::StatusOr<RecordHeader> ReadHeader(std::string_view record, const RecordShape& expected) {
  if (record.size() < kRecordHeaderBytes || LoadLittle<uint16_t>(record.data()) != kRecordMagic) {
    return DataLoss("the record {} does not start with a header; run repair", Describe(expected));
  }
  const char* bytes = record.data();
  const auto version = LoadLittle<uint8_t>(bytes + 2);
  if (version == 0) {
    return DataLoss("the record {} has version 0; run repair", Describe(expected));
  }
  if (version > kRecordVersion) {
    return Unimplemented("the record {} has version {}, this program knows {}; use a newer one",
                         Describe(expected), version, kRecordVersion);
  }
  const RecordHeader header{.shape = LoadShape(bytes),
                            .codec = LoadLittle<uint8_t>(bytes + 3),
                            .body_bytes = LoadLittle<uint32_t>(bytes + kBodyBytesOffset),
                            .checksum = LoadLittle<uint64_t>(bytes + 24)};
  if (!(header.shape == expected)) {
    return DataLoss("at the key of the record {} lies one {}, or of another shape; run repair",
                    Describe(expected), Describe(header.shape));
  }
  if (header.body_bytes != record.size() - kRecordHeaderBytes) {
    return DataLoss("the record {} has {} bytes of body instead of {}; run repair",
                    Describe(expected), record.size() - kRecordHeaderBytes, header.body_bytes);
  }
  return header;
}

}  // namespace lutdb
