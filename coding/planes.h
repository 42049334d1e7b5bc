// Byte planes: byte k of every element together, each plane written the smallest way that is cheap
// to find. Slopes and source weights are kept so. docs/format.md, "Byte planes".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace lutdb {

// Appends `width` planes of the `count` little-endian elements at `elements` (count * width bytes),
// lowest byte first. Deterministic; reuses a compressor per thread.
void AppendPlanes(const void* elements, size_t count, size_t width, std::string* out);

// Reads what AppendPlanes wrote from the front of *body into elements and advances *body. DataLoss
// when the planes are damaged or end early; elements are then unspecified. Never reads beyond *body
// or writes beyond count * width bytes.
absl::Status ReadPlanes(std::string_view* body, size_t count, size_t width, void* elements);

}  // namespace lutdb
