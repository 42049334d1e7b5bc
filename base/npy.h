// NumPy's .npy files: arrays in and out.
//
// Read: format 1.0 to 3.0, C order, little-endian (or one-byte) integers and f32 / f64. Written:
// format 1.0. Not read: Fortran order, big-endian, complex, structured or pickled arrays. A file is
// untrusted: its header is bounded, its shape is checked against the bytes that are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lutdb {

struct NpyArray {
  std::vector<uint64_t> shape;  // empty: one number
  bool integers = false;        // the file holds integers (bool included)
  std::vector<float> values;    // row-major; f64 and wide integers are rounded to the nearest f32

  // What a shape of rows means: the first dimension counts them, the others together are one row.
  // One dimension is one row.
  uint64_t rows() const;
  uint64_t row_width() const;
};

// NotFound, FailedPrecondition (not a file), DataLoss (damaged or not an array), Unimplemented (an
// array of a kind lutdb does not read), ResourceExhausted (values of more than bytes_max bytes as
// f32). Errors name the path.
absl::StatusOr<NpyArray> ReadNpy(const std::string& path, uint64_t bytes_max = UINT64_MAX);
// The same from bytes; `path` is for messages.
absl::StatusOr<NpyArray> ParseNpy(std::string_view bytes, const std::string& path,
                                  uint64_t bytes_max = UINT64_MAX);

// An array of texts, 'U' or 'S' in NumPy's words; a view into the bytes it was parsed from.
struct NpyTexts {
  std::vector<uint64_t> shape;
  uint64_t count = 0;
  uint64_t element_bytes = 0;
  bool wide = false;  // 32 bits per character
  std::string_view data;

  // i < count. False when the text is not ASCII.
  bool Get(uint64_t i, std::string* text) const;
};
bool IsNpyText(std::string_view bytes);
// DataLoss, Unimplemented: as ParseNpy.
absl::StatusOr<NpyTexts> ParseNpyTexts(std::string_view bytes, const std::string& path);

// Writes shape (at least one dimension) and elements, row-major. The elements of `values` fill the
// shape exactly (a check of ours). A new file takes its name only when it is complete; something
// that is not a regular file (a pipe, /dev/stdout) is written as it is.
absl::Status WriteNpy(const std::string& path, absl::Span<const uint64_t> shape,
                      absl::Span<const float> values);
// As int8 when `one_byte`, where every value fits that.
absl::Status WriteNpy(const std::string& path, absl::Span<const uint64_t> shape,
                      absl::Span<const int16_t> values, bool one_byte);

}  // namespace lutdb
