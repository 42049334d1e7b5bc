#include <algorithm>

#include "base/check.h"
#include "base/status.h"
#include "coding/hash.h"
#include "coding/record.h"
#include "coding/record_header.h"

namespace lutdb {
namespace {

RecordShape ShapeOfRow(const TableGeometry& geometry, const RowId& row) {
  const uint64_t first = uint64_t{row.neuron_block} * geometry.row_neurons();
  LUTDB_CHECK(first < geometry.neurons() && row.code < kMaxCodes);
  const uint64_t neurons = std::min<uint64_t>(geometry.row_neurons(), geometry.neurons() - first);
  return {.element_type = static_cast<uint8_t>(geometry.entry()),
          .flags = geometry.mirror() ? kFlagMirrored : uint8_t{0},
          .neurons = static_cast<uint16_t>(neurons),
          .owner = row.table,
          .first_chunk = row.chunk,
          .neuron_block = static_cast<uint16_t>(row.neuron_block),
          .extent = static_cast<uint16_t>(row.code)};
}

size_t BytesOf(const TableGeometry& geometry, const RecordShape& shape) {
  return size_t{shape.neurons} * static_cast<size_t>(EntryBytes(geometry.entry()));
}

}  // namespace

void EncodeRow(const TableGeometry& geometry, const RowId& row, const void* entries,
               std::string* out) {
  out->clear();
  const RecordShape shape = ShapeOfRow(geometry, row);
  const size_t bytes = BytesOf(geometry, shape);
  BeginRecord(shape, static_cast<uint8_t>(Codec::kRaw), Hash64Of(entries, bytes), out);
  out->append(static_cast<const char*>(entries), bytes);
  FinishRecord(0, out);
}

absl::StatusOr<std::string_view> OpenRow(const TableGeometry& geometry, const RowId& row,
                                         std::string_view bytes, bool verify_checksum) {
  const RecordShape shape = ShapeOfRow(geometry, row);
  LUTDB_ASSIGN_OR_RETURN(const RecordHeader header, ReadHeader(bytes, shape));
  if (header.codec != static_cast<uint8_t>(Codec::kRaw)) {
    return Unimplemented("the row {}, code {} has codec {}, unknown to this program",
                         Describe(shape), row.code, header.codec);
  }
  const std::string_view entries = BodyOf(bytes);
  if (entries.size() != BytesOf(geometry, shape)) {
    return DataLoss("the row {}, code {} has {} bytes of entries instead of {}; run repair",
                    Describe(shape), row.code, entries.size(), BytesOf(geometry, shape));
  }
  if (verify_checksum && Hash64Of(entries.data(), entries.size()) != header.checksum) {
    return DataLoss("the checksum of the row {}, code {} differs; run repair", Describe(shape),
                    row.code);
  }
  return entries;
}

}  // namespace lutdb
