// The key-value pairs of a GGUF file, read in place: nothing is copied before somebody asks for it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lutdb {

// Value types of the format, by their numbers in the file.
enum class GgufValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// One value, or an array of them, checked to lie in the file.
struct GgufValue {
  GgufValueType type = GgufValueType::kU8;  // of the value, or of the array's elements
  bool is_array = false;
  uint64_t count = 1;
  const uint8_t* data = nullptr;  // strings: a u64 length before the bytes of each
};

// Reads what a GGUF file has before its tensors. Every read is checked against the file's end.
class GgufCursor {
 public:
  // where names the file in errors. bytes outlive the cursor.
  GgufCursor(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  // what names the thing in the error when the file ends within it. DataLoss.
  absl::Status U32(const char* what, uint32_t* out);
  absl::Status U64(const char* what, uint64_t* out);
  // The bytes of a string, in place.
  absl::Status String(const char* what, std::string_view* out);
  absl::Status Value(const std::string& key, GgufValue* out);
  absl::Status Skip(uint64_t count, const char* what);
  uint64_t at() const { return at_; }

 private:
  absl::Status SkipElements(const std::string& key, GgufValueType type, uint64_t count);

  std::string_view bytes_;
  std::string where_;
  uint64_t at_ = 0;
};

// All pairs of one file. Getters leave *out alone when the key is absent, and say DataLoss naming
// file and key when the value is of another kind or out of range.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  // Takes `count` pairs. Keys are not empty and different; DataLoss, Unimplemented (a type of a
  // newer format).
  static absl::StatusOr<GgufMetadata> Read(uint64_t count, const std::string& where,
                                           GgufCursor* cursor);

  const std::string& where() const { return where_; }
  bool Has(const std::string& key) const { return values_.contains(key); }
  const GgufValue* Find(const std::string& key) const;

  // Any integer type; within [min, max].
  absl::Status Unsigned(const std::string& key, uint64_t min, uint64_t max, uint64_t* out) const;
  absl::Status Unsigned(const std::string& key, uint64_t min, uint64_t max, uint32_t* out) const;
  // f32, f64 or an integer; finite and within [min, max].
  absl::Status Number(const std::string& key, double min, double max, double* out) const;
  absl::Status Boolean(const std::string& key, bool* out) const;
  absl::Status String(const std::string& key, std::string* out) const;
  // Arrays of at most count_max elements; any integer type for Integers.
  absl::Status Strings(const std::string& key, uint64_t count_max,
                       std::vector<std::string>* out) const;
  absl::Status Floats(const std::string& key, uint64_t count_max, std::vector<float>* out) const;
  absl::Status Integers(const std::string& key, uint64_t count_max,
                        std::vector<int64_t>* out) const;

 private:
  absl::StatusOr<const GgufValue*> Array(const std::string& key, uint64_t count_max) const;
  absl::Status WrongKind(const std::string& key, const char* wanted) const;

  std::string where_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

}  // namespace lutdb
