// Addresses of entries: table[neurons, chunks, codes] with NumPy indexing.
//
// Parsing knows no table: an Address is what was written. Resolve turns one index into the list it
// means for an axis of a given length, by NumPy's rules: slices are clipped, a single integer out
// of range is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

// An integer, or a slice begin:end:step whose parts may be left out. Numbers beyond +-2^62 are held
// at that, which changes nothing for any axis.
struct AxisIndex {
  bool is_slice = true;
  bool has_begin = false;  // slices; integers are in `begin`
  bool has_end = false;
  int64_t begin = 0;
  int64_t end = 0;
  int64_t step = 1;  // never 0
};

inline constexpr size_t kAddressAxes = 3;
inline constexpr const char* kAxisNames[kAddressAxes] = {"neuron", "chunk", "code"};

struct Address {
  std::string table;
  std::vector<AxisIndex> axes;  // at most three; those left out mean all
};

// A name without brackets means the whole table. The last `[` begins the indices, so that names may
// hold anything else; space around names, numbers and colons is ignored. InvalidArgument says what
// was expected at which place.
absl::StatusOr<Address> ParseAddress(std::string_view text);

// Index list of one axis with `count` elements; may be empty. OutOfRange for an integer outside,
// naming the valid range; ResourceExhausted for more than 2^31 indices. `axis` and `table` are for
// messages.
absl::StatusOr<std::vector<uint32_t>> Resolve(const AxisIndex& index, uint32_t count,
                                              const char* axis, const std::string& table);

}  // namespace lutdb
