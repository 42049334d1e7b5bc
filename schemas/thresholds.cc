#include "schemas/thresholds.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr uint32_t kMagic = 0x5248544c;  // "LTHR"
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 7 * sizeof(uint32_t);

absl::Status Damaged(const char* what) {
  return DataLoss("thresholds are damaged: {}; `lutdb verify` the store", what);
}

// Takes `count` numbers from the front of bytes, whose length was checked as a whole.
template <typename T>
std::vector<T> Take(std::string_view* bytes, size_t count) {
  std::vector<T> values(count);
  if (count != 0) std::memcpy(values.data(), bytes->data(), count * sizeof(T));
  bytes->remove_prefix(count * sizeof(T));
  return values;
}

template <typename T>
void Append(const std::vector<T>& values, std::string* to) {
  to->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Every index and every code that can come out.
absl::Status CheckLanes(const Thresholds& t, uint32_t neurons, absl::Span<const uint32_t> codes) {
  std::vector<uint64_t> most(t.base.begin(), t.base.end());
  uint32_t chunk = 0;
  for (const ThresholdLane& lane : t.lanes) {
    if (lane.neuron >= neurons) return Damaged("a neuron is out of range");
    if (lane.chunk >= codes.size() || lane.chunk < chunk) return Damaged("chunks are not in order");
    chunk = lane.chunk;
    const auto at = t.at.begin() + lane.first;
    if (std::adjacent_find(at, at + lane.count, std::greater_equal<>()) != at + lane.count) {
      return Damaged("a list is not ascending");
    }
    const auto code = t.code.begin() + lane.code;
    most[chunk] += *std::max_element(code, code + lane.count + 1);
  }
  for (size_t c = 0; c < most.size(); ++c) {
    if (most[c] >= codes[c]) return Damaged("a code is out of range");
  }
  return absl::OkStatus();
}

}  // namespace

std::string SerializeThresholds(const Thresholds& t) {
  std::string bytes;
  for (const size_t value : {size_t{kMagic}, size_t{kVersion}, t.base.size(), t.lanes.size(),
                             t.at.size(), t.code.size(), t.bias.size()}) {
    AppendLittle(static_cast<uint32_t>(value), &bytes);
  }
  for (const ThresholdLane& lane : t.lanes) {
    AppendLittle(lane.neuron, &bytes);
    AppendLittle(lane.chunk, &bytes);
    AppendLittle(lane.count, &bytes);
  }
  Append(t.at, &bytes);
  Append(t.bias, &bytes);
  Append(t.base, &bytes);
  Append(t.code, &bytes);
  return bytes;
}

absl::StatusOr<Thresholds> ParseThresholds(std::string_view bytes, uint32_t neurons,
                                           absl::Span<const uint32_t> codes) {
  if (bytes.size() < kHeaderBytes) return Damaged("too short");
  const std::vector<uint32_t> header = Take<uint32_t>(&bytes, kHeaderBytes / sizeof(uint32_t));
  if (header[0] != kMagic) return Damaged("wrong magic number");
  if (header[1] > kVersion) {
    return Unimplemented("thresholds are of version {}, this lutdb knows {}", header[1], kVersion);
  }
  const uint64_t chunks = header[2], lanes = header[3], ats = header[4];
  const uint64_t code_count = header[5], biases = header[6];
  const uint64_t expected = lanes * 12 + ats * 4 + biases * 4 + chunks * 2 + code_count * 2;
  if (bytes.size() != expected || code_count != ats + lanes) return Damaged("wrong length");
  if (chunks != codes.size()) return Damaged("wrong number of chunks");
  if (biases != 0 && biases != neurons) return Damaged("wrong number of neurons");

  Thresholds t;
  const std::vector<uint32_t> raw_lanes = Take<uint32_t>(&bytes, lanes * 3);
  t.at = Take<int32_t>(&bytes, ats);
  t.bias = Take<int32_t>(&bytes, biases);
  t.base = Take<uint16_t>(&bytes, chunks);
  t.code = Take<uint16_t>(&bytes, code_count);
  t.lanes.resize(lanes);
  uint64_t first = 0;
  for (size_t l = 0; l < lanes; ++l) {
    const uint32_t* raw = &raw_lanes[3 * l];
    if (raw[2] > ats - first) return Damaged("a list is too long");
    t.lanes[l] = {raw[0], raw[1], static_cast<uint32_t>(first), raw[2],
                  static_cast<uint32_t>(first + l)};
    first += raw[2];
  }
  if (first != ats) return Damaged("lists do not add up");
  if (absl::Status status = CheckLanes(t, neurons, codes); !status.ok()) return status;
  return t;
}

}  // namespace lutdb
