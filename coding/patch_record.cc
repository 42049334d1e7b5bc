#include "coding/patch_record.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"
#include "base/varint.h"
#include "coding/hash.h"
#include "coding/patch_columns.h"
#include "coding/zstd_frame.h"

namespace lutdb {
namespace {

// Header: magic u16, version u8, flags u8, entries u32, raw body bytes u32, XXH3-64 of the raw body
// plus the flags kAfterOnly and kColumns u64: what the body means is part of what is checked.
constexpr uint16_t kMagic = 0x5450;  // "PT"
constexpr uint8_t kVersion = 2;
constexpr uint8_t kCompressed = 1;
constexpr uint8_t kAfterOnly = 2;
constexpr uint8_t kColumns = 4;  // the body is that of coding/patch_columns.h, checked as it is
constexpr size_t kHeaderBytes = 20;
constexpr int kZstdLevel = 3;
constexpr size_t kCompressFrom = 256;         // smaller bodies are not worth a frame
constexpr size_t kDeltaBytesMax = 5 + 3 + 3;  // of the three variable-length integers
constexpr size_t kColumnsFrom = 64;           // entries; planes of fewer are mostly headers

uint32_t ZigZag(int32_t value) {
  return (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
}
int32_t UnZigZag(uint32_t value) {
  return static_cast<int32_t>(value >> 1) ^ -static_cast<int32_t>(value & 1);
}

uint32_t ChunkBegin(const TableGeometry& geometry, const TileId& tile) {
  return tile.group * geometry.tile_chunks();
}

uint64_t Checksum(std::string_view raw, uint8_t flags) {
  return Hash64Of(raw.data(), raw.size()) + (flags & (kAfterOnly | kColumns));
}

struct Header {
  uint32_t count = 0;
  uint32_t raw_bytes = 0;
  uint64_t checksum = 0;
  uint8_t flags = 0;
  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

absl::Status Damaged() { return DataLoss("a patch of the history is damaged"); }

absl::StatusOr<Header> ReadHeader(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || LoadLittle<uint16_t>(bytes.data()) != kMagic) return Damaged();
  const auto version = static_cast<uint8_t>(bytes[2]);
  if (version != kVersion) {
    return absl::UnimplementedError(fmt::format(
        "a patch of the history has version {}, this build reads version {}: use the build "
        "that wrote it",
        version, kVersion));
  }
  const Header header = {.count = LoadLittle<uint32_t>(bytes.data() + 4),
                         .raw_bytes = LoadLittle<uint32_t>(bytes.data() + 8),
                         .checksum = LoadLittle<uint64_t>(bytes.data() + 12),
                         .flags = static_cast<uint8_t>(bytes[3])};
  if (header.flags > (kCompressed | kAfterOnly | kColumns)) return Damaged();
  if (header.has(kColumns) && header.has(kCompressed)) return Damaged();
  return header;
}

// The variable-length integers.
absl::StatusOr<std::string> OpenIntegers(const Header& header, std::string_view body) {
  // What bounds both numbers: an integer takes at least one byte, a delta at most kDeltaBytesMax.
  const uint64_t integers = header.has(kAfterOnly) ? 2 : 3;
  if (header.raw_bytes > uint64_t{header.count} * kDeltaBytesMax ||
      header.raw_bytes < uint64_t{header.count} * integers) {
    return Damaged();
  }
  std::string raw;
  if (!header.has(kCompressed)) {
    raw = body;
  } else {
    raw.resize(header.raw_bytes);
    if (!DecompressFrame(body.data(), body.size(), raw.data(), raw.size())) return Damaged();
  }
  if (raw.size() != header.raw_bytes || Checksum(raw, header.flags) != header.checksum) {
    return Damaged();
  }
  return raw;
}

absl::StatusOr<TileDeltas> ReadIntegers(const Header& header, std::string_view body) {
  LUTDB_ASSIGN_OR_RETURN(const std::string raw, OpenIntegers(header, body));
  const bool with_before = !header.has(kAfterOnly);
  TileDeltas deltas(header.count);
  size_t at = 0;
  uint64_t next = 0;
  for (EntryDelta& delta : deltas) {
    uint32_t gap = 0, before = 0, change = 0;
    if (!ReadVarint(raw, &at, &gap) || (with_before && !ReadVarint(raw, &at, &before)) ||
        !ReadVarint(raw, &at, &change)) {
      return Damaged();
    }
    const uint64_t index = next + gap;
    const int64_t old_value = UnZigZag(before);
    const int64_t new_value = old_value + UnZigZag(change);
    if (index > UINT32_MAX || std::abs(old_value) > INT16_MAX || std::abs(new_value) > INT16_MAX) {
      return Damaged();
    }
    delta = {static_cast<uint32_t>(index), static_cast<int16_t>(old_value),
             static_cast<int16_t>(new_value)};
    next = index + 1;
  }
  if (at != raw.size()) return Damaged();
  return deltas;
}

absl::StatusOr<TileDeltas> ReadColumns(const Header& header, std::string_view body) {
  TileDeltas deltas;
  if (body.size() != header.raw_bytes || Checksum(body, header.flags) != header.checksum ||
      !ReadPatchColumns(body, header.count, !header.has(kAfterOnly), &deltas)) {
    return Damaged();
  }
  return deltas;
}

std::string IntegersOf(const TileDeltas& deltas, bool with_before) {
  std::string raw;
  uint32_t next = 0;
  for (const EntryDelta& delta : deltas) {
    const int16_t from = with_before ? delta.before : int16_t{0};
    AppendVarint(delta.index - next, &raw);
    if (with_before) AppendVarint(ZigZag(from), &raw);
    AppendVarint(ZigZag(int32_t{delta.after} - from), &raw);
    next = delta.index + 1;
  }
  return raw;
}

// Empty where compressing would not pay.
std::vector<uint8_t> Compressed(const std::string& raw) {
  std::vector<uint8_t> frame;
  if (raw.size() < kCompressFrom || !CompressFrame(raw.data(), raw.size(), kZstdLevel, &frame) ||
      frame.size() >= raw.size()) {
    frame.clear();
  }
  return frame;
}

}  // namespace

uint32_t TileEntries(const TableGeometry& geometry, const TileId& tile) {
  uint64_t codes = 0;
  const uint32_t begin = ChunkBegin(geometry, tile);
  const uint32_t end = std::min(geometry.chunks(), begin + geometry.tile_chunks());
  for (uint32_t chunk = begin; chunk < end; ++chunk) codes += geometry.codes(chunk);
  return static_cast<uint32_t>(codes * kBlockNeurons);
}

TileId TileOf(const TableGeometry& geometry, uint32_t table, uint32_t neuron, uint32_t chunk) {
  return {table, chunk / geometry.tile_chunks(), neuron / kBlockNeurons};
}

uint32_t DeltaIndex(const TableGeometry& geometry, uint32_t neuron, uint32_t chunk, uint32_t code) {
  uint32_t before = 0;
  for (uint32_t c = chunk / geometry.tile_chunks() * geometry.tile_chunks(); c < chunk; ++c) {
    before += geometry.codes(c);
  }
  return (before + code) * kBlockNeurons + neuron % kBlockNeurons;
}

DeltaPlace PlaceOf(const TableGeometry& geometry, const TileId& tile, uint32_t index) {
  uint32_t code = index / kBlockNeurons;
  uint32_t chunk = ChunkBegin(geometry, tile);
  for (; code >= geometry.codes(chunk); ++chunk) code -= geometry.codes(chunk);
  return {tile.neuron_block * kBlockNeurons + index % kBlockNeurons, chunk, code};
}

void EncodePatch(const TileDeltas& deltas, PatchValues values, std::string* out) {
  const bool with_before = values == PatchValues::kBeforeAndAfter;
  const std::string raw = IntegersOf(deltas, with_before);
  const std::vector<uint8_t> packed = Compressed(raw);
  std::string_view body = raw;
  if (!packed.empty()) body = {reinterpret_cast<const char*>(packed.data()), packed.size()};
  std::string_view checked = raw;
  auto flags =
      static_cast<uint8_t>((packed.empty() ? 0 : kCompressed) | (with_before ? 0 : kAfterOnly));
  std::string columns;
  if (deltas.size() >= kColumnsFrom) {
    AppendPatchColumns(deltas, with_before, &columns);
    if (columns.size() < body.size()) {
      body = checked = columns;
      flags = static_cast<uint8_t>((flags & ~kCompressed) | kColumns);
    }
  }
  out->clear();
  out->reserve(kHeaderBytes + body.size());
  AppendLittle(kMagic, out);
  AppendLittle(kVersion, out);
  AppendLittle(flags, out);
  AppendLittle(static_cast<uint32_t>(deltas.size()), out);
  AppendLittle(static_cast<uint32_t>(checked.size()), out);
  AppendLittle(Checksum(checked, flags), out);
  out->append(body);
}

absl::StatusOr<TileDeltas> DecodePatch(std::string_view bytes, const TableGeometry& geometry,
                                       const TileId& tile, PatchValues* values) {
  const auto misfit = [] { return DataLoss("a patch of the history does not fit its tile"); };
  LUTDB_ASSIGN_OR_RETURN(const Header header, ReadHeader(bytes));
  if (header.has(kAfterOnly) && values == nullptr) return misfit();
  if (values != nullptr) {
    *values = header.has(kAfterOnly) ? PatchValues::kAfter : PatchValues::kBeforeAndAfter;
  }
  const uint32_t entries = TileEntries(geometry, tile);
  if (header.count > entries) return misfit();
  const std::string_view body = bytes.substr(kHeaderBytes);
  LUTDB_ASSIGN_OR_RETURN(TileDeltas deltas, header.has(kColumns) ? ReadColumns(header, body)
                                                                 : ReadIntegers(header, body));
  const uint32_t lanes =
      std::min(kBlockNeurons, geometry.neurons() - tile.neuron_block * kBlockNeurons);
  const int32_t limit = EntryLimit(geometry.entry());
  for (const EntryDelta& delta : deltas) {
    if (delta.index >= entries || delta.index % kBlockNeurons >= lanes ||
        std::abs(int32_t{delta.before}) > limit || std::abs(int32_t{delta.after}) > limit) {
      return misfit();
    }
  }
  return deltas;
}

std::string EncodeValuesBefore(const std::vector<int16_t>& values) {
  std::string bytes;
  for (const int16_t value : values) AppendLittle(value, &bytes);
  AppendLittle(Hash64Of(bytes.data(), bytes.size()), &bytes);
  return bytes;
}

absl::StatusOr<std::vector<int16_t>> DecodeValuesBefore(std::string_view bytes, size_t count) {
  const size_t body = count * sizeof(int16_t);
  if (bytes.size() != body + sizeof(uint64_t) ||
      LoadLittle<uint64_t>(bytes.data() + body) != Hash64Of(bytes.data(), body)) {
    return DataLoss("the values that a commit replaced are damaged");
  }
  std::vector<int16_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = LoadLittle<int16_t>(bytes.data() + i * sizeof(int16_t));
  }
  return values;
}

namespace {

// So many, put where they belong one by one, move less than writing the state anew.
constexpr size_t kFewDeltas = 4;

void FoldFewInto(const TileDeltas& deltas, TileDeltas* state) {
  for (const EntryDelta& delta : deltas) {
    const auto at =
        std::lower_bound(state->begin(), state->end(), delta.index,
                         [](const EntryDelta& d, uint32_t index) { return d.index < index; });
    if (at == state->end() || at->index != delta.index) {
      if (delta.before != delta.after) state->insert(at, delta);
    } else if (at->before == delta.after) {
      state->erase(at);
    } else {
      at->after = delta.after;
    }
  }
}

}  // namespace

void FoldInto(const TileDeltas& deltas, TileDeltas* state) {
  if (deltas.size() <= kFewDeltas) return FoldFewInto(deltas, state);
  TileDeltas folded;
  folded.reserve(state->size() + deltas.size());
  auto old = state->begin();
  for (const EntryDelta& delta : deltas) {
    while (old != state->end() && old->index < delta.index) folded.push_back(*old++);
    EntryDelta next = delta;
    if (old != state->end() && old->index == delta.index) next.before = (old++)->before;
    if (next.before != next.after) folded.push_back(next);
  }
  folded.insert(folded.end(), old, state->end());
  *state = std::move(folded);
}

}  // namespace lutdb
