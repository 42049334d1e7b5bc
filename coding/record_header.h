// The 32 bytes in front of every record. docs/format.md, "Record header", has the layout.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lutdb {

inline constexpr uint16_t kRecordMagic = 0x544c;  // "LT"
inline constexpr uint8_t kRecordVersion = 1;
inline constexpr uint8_t kFlagMirrored = 1;
// Codec byte of source weights: byte planes. Beyond the codecs of entries, so that neither is taken
// for the other.
inline constexpr uint8_t kCodecWeightPlanes = 16;

// Which record it is; all of it must match what the reader expects at the key.
struct RecordShape {
  uint8_t element_type = 0;  // EntryType, or DType of source weights
  uint8_t flags = 0;
  uint16_t neurons = 0;       // rows of the block for source weights
  uint32_t owner = 0;         // table or tensor id
  uint32_t first_chunk = 0;   // row block for source weights
  uint16_t neuron_block = 0;  // 0 for source weights
  uint16_t extent = 0;        // tile: chunks; row: the code; source weights: 0
  bool operator==(const RecordShape&) const = default;
};

struct RecordHeader {
  RecordShape shape;
  uint8_t codec = 0;
  uint32_t body_bytes = 0;
  uint64_t checksum = 0;  // XXH3-64 of the decoded payload
};

// Appends the header with body_bytes 0; FinishRecord sets it once the body stands behind.
void BeginRecord(const RecordShape& shape, uint8_t codec, uint64_t checksum, std::string* out);
void FinishRecord(size_t record_start, std::string* out);

// Checks magic, version, shape and length of a whole record; the body is what lies behind the
// header. DataLoss when damaged or another record, Unimplemented when the version is newer.
absl::StatusOr<RecordHeader> ReadHeader(std::string_view record, const RecordShape& expected);
std::string_view BodyOf(std::string_view record);

// "table 3, chunk 8, block 2" for messages.
std::string Describe(const RecordShape& shape);

}  // namespace lutdb
