#include "coding/patch_record.h"

#include <zstd.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"
#include "base/varint.h"
#include "coding/hash.h"

namespace lutdb {
namespace {

// Header: magic u16, version u8, flags u8, entries u32, raw body bytes u32, XXH3-64 of the raw body
// plus the flag kAfterOnly u64: what the body means is part of what is checked.
constexpr uint16_t kMagic = 0x5450;  // "PT"
constexpr uint8_t kVersion = 2;
constexpr uint8_t kCompressed = 1;
constexpr uint8_t kAfterOnly = 2;
constexpr size_t kHeaderBytes = 20;
constexpr int kZstdLevel = 3;
constexpr size_t kCompressFrom = 256;         // smaller bodies are not worth a frame
constexpr size_t kDeltaBytesMax = 5 + 3 + 3;  // of the three variable-length integers

uint32_t ZigZag(int32_t value) {
  return (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
}
int32_t UnZigZag(uint32_t value) {
  return static_cast<int32_t>(value >> 1) ^ -static_cast<int32_t>(value & 1);
}

uint32_t ChunkBegin(const TableGeometry& geometry, const TileId& tile) {
  return tile.group * geometry.tile_chunks();
}

uint64_t Checksum(const std::string& raw, uint8_t flags) {
  return Hash64Of(raw.data(), raw.size()) + (flags & kAfterOnly);
}

absl::StatusOr<std::string> OpenBody(std::string_view bytes, uint32_t* count, PatchValues* values) {
  const auto damaged = [] { return DataLoss("a patch of the history is damaged"); };
  if (bytes.size() < kHeaderBytes || LoadLittle<uint16_t>(bytes.data()) != kMagic) return damaged();
  const auto version = static_cast<uint8_t>(bytes[2]);
  if (version != kVersion) {
    return absl::UnimplementedError(fmt::format(
        "a patch of the history has version {}, this build reads version {}: use the build "
        "that wrote it",
        version, kVersion));
  }
  *count = LoadLittle<uint32_t>(bytes.data() + 4);
  const uint32_t raw_bytes = LoadLittle<uint32_t>(bytes.data() + 8);
  const uint64_t checksum = LoadLittle<uint64_t>(bytes.data() + 12);
  const auto flags = static_cast<uint8_t>(bytes[3]);
  if (flags > (kCompressed | kAfterOnly)) return damaged();
  *values = (flags & kAfterOnly) != 0 ? PatchValues::kAfter : PatchValues::kBeforeAndAfter;
  const std::string_view body = bytes.substr(kHeaderBytes);
  // What bounds both numbers: an integer takes at least one byte, a delta at most kDeltaBytesMax.
  const uint64_t integers = *values == PatchValues::kAfter ? 2 : 3;
  if (raw_bytes > uint64_t{*count} * kDeltaBytesMax || raw_bytes < uint64_t{*count} * integers) {
    return damaged();
  }
  std::string raw;
  if ((flags & kCompressed) == 0) {
    raw = body;
  } else {
    const unsigned long long announced = ZSTD_getFrameContentSize(body.data(), body.size());
    if (announced != raw_bytes) return damaged();
    raw.resize(raw_bytes);
    const size_t got = ZSTD_decompress(raw.data(), raw.size(), body.data(), body.size());
    if (ZSTD_isError(got) != 0 || got != raw_bytes) return damaged();
  }
  if (raw.size() != raw_bytes || Checksum(raw, flags) != checksum) return damaged();
  return raw;
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
  std::string raw;
  uint32_t next = 0;
  for (const EntryDelta& delta : deltas) {
    const int16_t from = with_before ? delta.before : int16_t{0};
    AppendVarint(delta.index - next, &raw);
    if (with_before) AppendVarint(ZigZag(from), &raw);
    AppendVarint(ZigZag(int32_t{delta.after} - from), &raw);
    next = delta.index + 1;
  }
  std::string packed;
  if (raw.size() >= kCompressFrom) {
    packed.resize(ZSTD_compressBound(raw.size()));
    const size_t size =
        ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), kZstdLevel);
    packed.resize(ZSTD_isError(size) != 0 ? raw.size() : size);
  }
  const bool compressed = !packed.empty() && packed.size() < raw.size();
  out->clear();
  out->reserve(kHeaderBytes + raw.size());
  AppendLittle(kMagic, out);
  AppendLittle(kVersion, out);
  const auto flags =
      static_cast<uint8_t>((compressed ? kCompressed : 0) | (with_before ? 0 : kAfterOnly));
  AppendLittle(flags, out);
  AppendLittle(static_cast<uint32_t>(deltas.size()), out);
  AppendLittle(static_cast<uint32_t>(raw.size()), out);
  AppendLittle(Checksum(raw, flags), out);
  out->append(compressed ? packed : raw);
}

absl::StatusOr<TileDeltas> DecodePatch(std::string_view bytes, const TableGeometry& geometry,
                                       const TileId& tile, PatchValues* values) {
  const auto damaged = [] { return DataLoss("a patch of the history does not fit its tile"); };
  uint32_t count = 0;
  PatchValues held = PatchValues::kBeforeAndAfter;
  LUTDB_ASSIGN_OR_RETURN(const std::string raw, OpenBody(bytes, &count, &held));
  const bool with_before = held == PatchValues::kBeforeAndAfter;
  if (!with_before && values == nullptr) return damaged();
  if (values != nullptr) *values = held;
  const uint32_t entries = TileEntries(geometry, tile);
  const uint32_t lanes =
      std::min(kBlockNeurons, geometry.neurons() - tile.neuron_block * kBlockNeurons);
  const int32_t limit = EntryLimit(geometry.entry());
  if (count > entries) return damaged();
  TileDeltas deltas(count);
  size_t at = 0;
  uint64_t next = 0;
  for (EntryDelta& delta : deltas) {
    uint32_t gap = 0, before = 0, change = 0;
    if (!ReadVarint(raw, &at, &gap) || (with_before && !ReadVarint(raw, &at, &before)) ||
        !ReadVarint(raw, &at, &change)) {
      return damaged();
    }
    const uint64_t index = next + gap;
    const int64_t old_value = UnZigZag(before);
    const int64_t new_value = old_value + UnZigZag(change);
    if (index >= entries || index % kBlockNeurons >= lanes || std::abs(old_value) > limit ||
        std::abs(new_value) > limit) {
      return damaged();
    }
    delta = {static_cast<uint32_t>(index), static_cast<int16_t>(old_value),
             static_cast<int16_t>(new_value)};
    next = index + 1;
  }
  if (at != raw.size()) return damaged();
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

void FoldInto(const TileDeltas& deltas, TileDeltas* state) {
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
