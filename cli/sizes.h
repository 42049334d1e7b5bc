// Sizes and counts as people write and read them: "2GiB", "1.5 TiB", "1,048,576", "3 min 20 s".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace lutdb::cli {

// A whole number with an optional unit B, KiB, MiB, GiB, TiB (or K, M, G, T: the same powers of
// 1024), upper or lower case, a space allowed between the two. InvalidArgument for anything else,
// a negative number, or a size that does not fit 64 bits. KB, MB and GB are refused, because they
// mean different things to different people.
absl::StatusOr<uint64_t> ParseSize(std::string_view text);

// "512 B", "1.50 KiB", "20.4 GiB": three digits, the largest unit that leaves at least 1.
std::string HumanBytes(double bytes);
// "1,048,576"
std::string HumanCount(uint64_t count);
// "0.42 s", "1 min 05 s", "2 h 10 min"
std::string HumanSeconds(double seconds);

}  // namespace lutdb::cli
