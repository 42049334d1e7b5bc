// Constants of integer-only graphs, one blob per op (db::ThresholdsKey(op index)).
//
// kThresholds turns sums of one table into codes of the next without a float or a multiplication:
//
//   codes[c] = base[c] + sum over lanes of chunk c of lane.code[#{ at <= sums[lane.neuron] }]
//
// One lane is one position of one chunk of the next table; the code values already hold the level
// index times the position's place, and base[c] holds what padded positions contribute. Scale,
// bias, normalisation and activation function are folded into `at`. Lists that are not monotone
// (silu, gelu) are fine: the code values may fall as well as rise.
//
// kTableSums: `bias` has one number per neuron to add to the sums, or none, and there are no lanes.
// Ops of both kinds always have a blob, so that a lost one is noticed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lutdb {

// One position of one chunk: which sum it looks at, and its part of `at` and `code`.
struct ThresholdLane {
  uint32_t neuron = 0;  // index into the sums
  uint32_t chunk = 0;   // of the next table; lanes are sorted by chunk
  uint32_t first = 0;   // at[first .. first + count), strictly ascending
  uint32_t count = 0;
  uint32_t code = 0;  // code[code .. code + count], one more than thresholds
  bool operator==(const ThresholdLane&) const = default;
};

struct Thresholds {
  std::vector<uint16_t> base;        // per chunk of the next table
  std::vector<ThresholdLane> lanes;  // sorted by chunk
  std::vector<int32_t> at;           // of all lanes, one after the other
  std::vector<uint16_t> code;        // of all lanes, one after the other
  std::vector<int32_t> bias;         // kTableSums only: per neuron
  bool operator==(const Thresholds&) const = default;
};

// Little-endian bytes; docs/format.md, "Thresholds".
std::string SerializeThresholds(const Thresholds& thresholds);
// neurons: sums the op reads. codes: of each chunk of the next table (empty for kTableSums). Checks
// every index and that no code can reach codes[c], so that the engine can trust the result;
// DataLoss otherwise, Unimplemented for a newer version.
absl::StatusOr<Thresholds> ParseThresholds(std::string_view bytes, uint32_t neurons,
                                           absl::Span<const uint32_t> codes);

}  // namespace lutdb
