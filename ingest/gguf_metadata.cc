#include "ingest/gguf_metadata.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

using Type = GgufValueType;

// Bytes of one element, 0 for strings, arrays and unknown types.
uint32_t ElementBytes(Type type) {
  switch (type) {
    case Type::kU8:
    case Type::kI8:
    case Type::kBool:
      return 1;
    case Type::kU16:
    case Type::kI16:
      return 2;
    case Type::kU32:
    case Type::kI32:
    case Type::kF32:
      return 4;
    case Type::kU64:
    case Type::kI64:
    case Type::kF64:
      return 8;
    default:
      return 0;
  }
}

// The integer at `from`, sign-extended, or nothing for other types. u64 beyond 2^63 - 1 come out
// negative, which no caller takes.
std::optional<int64_t> IntegerAt(Type type, const uint8_t* from) {
  switch (type) {
    case Type::kU8:
      return LoadLittle<uint8_t>(from);
    case Type::kI8:
      return LoadLittle<int8_t>(from);
    case Type::kU16:
      return LoadLittle<uint16_t>(from);
    case Type::kI16:
      return LoadLittle<int16_t>(from);
    case Type::kU32:
      return LoadLittle<uint32_t>(from);
    case Type::kI32:
      return LoadLittle<int32_t>(from);
    case Type::kU64:
    case Type::kI64:
      return LoadLittle<int64_t>(from);
    default:
      return std::nullopt;
  }
}

}  // namespace

absl::Status GgufCursor::Skip(uint64_t count, const char* what) {
  if (count > bytes_.size() - at_) {
    return DataLoss("{}: cut off in {}, at byte {}", where_, what, bytes_.size());
  }
  at_ += count;
  return absl::OkStatus();
}

absl::Status GgufCursor::U32(const char* what, uint32_t* out) {
  const uint64_t from = at_;
  LUTDB_RETURN_IF_ERROR(Skip(sizeof(*out), what));
  *out = LoadLittle<uint32_t>(bytes_.data() + from);
  return absl::OkStatus();
}

absl::Status GgufCursor::U64(const char* what, uint64_t* out) {
  const uint64_t from = at_;
  LUTDB_RETURN_IF_ERROR(Skip(sizeof(*out), what));
  *out = LoadLittle<uint64_t>(bytes_.data() + from);
  return absl::OkStatus();
}

absl::Status GgufCursor::String(const char* what, std::string_view* out) {
  uint64_t length = 0;
  LUTDB_RETURN_IF_ERROR(U64(what, &length));
  const uint64_t from = at_;
  LUTDB_RETURN_IF_ERROR(Skip(length, what));
  *out = bytes_.substr(from, length);
  return absl::OkStatus();
}

absl::Status GgufCursor::SkipElements(const std::string& key, Type type, uint64_t count) {
  if (type == Type::kString) {
    for (uint64_t i = 0; i < count; ++i) {
      std::string_view ignored;
      LUTDB_RETURN_IF_ERROR(String("a string of the metadata", &ignored));
    }
    return absl::OkStatus();
  }
  const uint32_t bytes = ElementBytes(type);
  if (bytes == 0) {
    if (type == Type::kArray) {
      return Unimplemented("{}: key {} holds arrays in an array, which lutdb does not read", where_,
                           Quote(key));
    }
    return Unimplemented(
        "{}: key {} has values of type {}, which is not known; the file is "
        "damaged or of a newer format",
        where_, Quote(key), static_cast<uint32_t>(type));
  }
  if (count > (bytes_.size() - at_) / bytes) {
    return DataLoss("{}: key {} should hold {} values, but the file ends before", where_,
                    Quote(key), count);
  }
  at_ += count * bytes;
  return absl::OkStatus();
}

absl::Status GgufCursor::Value(const std::string& key, GgufValue* out) {
  uint32_t type = 0;
  LUTDB_RETURN_IF_ERROR(U32("the metadata", &type));
  out->is_array = static_cast<Type>(type) == Type::kArray;
  out->count = 1;
  if (out->is_array) {
    LUTDB_RETURN_IF_ERROR(U32("the metadata", &type));
    LUTDB_RETURN_IF_ERROR(U64("the metadata", &out->count));
  }
  out->type = static_cast<Type>(type);
  out->data = reinterpret_cast<const uint8_t*>(bytes_.data()) + at_;
  return SkipElements(key, out->type, out->count);
}

absl::StatusOr<GgufMetadata> GgufMetadata::Read(uint64_t count, const std::string& where,
                                                GgufCursor* cursor) {
  GgufMetadata metadata;
  metadata.where_ = where;
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view name;
    LUTDB_RETURN_IF_ERROR(cursor->String("the metadata", &name));
    if (name.empty()) return DataLoss("{}: key {} of the metadata has no name", where, i);
    const std::string key(name);
    GgufValue value;
    LUTDB_RETURN_IF_ERROR(cursor->Value(key, &value));
    if (!metadata.values_.emplace(key, value).second) {
      return DataLoss("{}: the metadata has the key {} twice", where, Quote(key));
    }
  }
  return metadata;
}

const GgufValue* GgufMetadata::Find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

absl::Status GgufMetadata::WrongKind(const std::string& key, const char* wanted) const {
  return DataLoss("{}: key {} must be {}", where_, Quote(key), wanted);
}

absl::Status GgufMetadata::Unsigned(const std::string& key, uint64_t min, uint64_t max,
                                    uint64_t* out) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  const auto integer = value->is_array ? std::nullopt : IntegerAt(value->type, value->data);
  if (!integer) return WrongKind(key, "an integer");
  if (*integer < 0 || static_cast<uint64_t>(*integer) < min ||
      static_cast<uint64_t>(*integer) > max) {
    return DataLoss("{}: key {} is {}, not within {} to {}", where_, Quote(key), *integer, min,
                    max);
  }
  *out = static_cast<uint64_t>(*integer);
  return absl::OkStatus();
}

absl::Status GgufMetadata::Unsigned(const std::string& key, uint64_t min, uint64_t max,
                                    uint32_t* out) const {
  uint64_t wide = *out;
  LUTDB_RETURN_IF_ERROR(Unsigned(key, min, std::min<uint64_t>(max, UINT32_MAX), &wide));
  *out = static_cast<uint32_t>(wide);
  return absl::OkStatus();
}

absl::Status GgufMetadata::Number(const std::string& key, double min, double max,
                                  double* out) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  double number = 0;
  if (value->is_array) return WrongKind(key, "a number");
  if (value->type == Type::kF32) {
    number = LoadLittle<float>(value->data);
  } else if (value->type == Type::kF64) {
    number = LoadLittle<double>(value->data);
  } else if (const auto integer = IntegerAt(value->type, value->data)) {
    number = static_cast<double>(*integer);
  } else {
    return WrongKind(key, "a number");
  }
  if (!(number >= min && number <= max)) {
    return DataLoss("{}: key {} is {}, not within {} to {}", where_, Quote(key), number, min, max);
  }
  *out = number;
  return absl::OkStatus();
}

absl::Status GgufMetadata::Boolean(const std::string& key, bool* out) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (value->is_array || value->type != Type::kBool || *value->data > 1) {
    return WrongKind(key, "true or false");
  }
  *out = *value->data == 1;
  return absl::OkStatus();
}

absl::Status GgufMetadata::String(const std::string& key, std::string* out) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (value->is_array || value->type != Type::kString) return WrongKind(key, "a string");
  out->assign(reinterpret_cast<const char*>(value->data) + sizeof(uint64_t),
              LoadLittle<uint64_t>(value->data));
  return absl::OkStatus();
}

absl::StatusOr<const GgufValue*> GgufMetadata::Array(const std::string& key,
                                                     uint64_t count_max) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return value;
  if (!value->is_array) return WrongKind(key, "an array");
  if (value->count > count_max) {
    return DataLoss("{}: key {} has {} values, more than {}", where_, Quote(key), value->count,
                    count_max);
  }
  return value;
}

absl::Status GgufMetadata::Strings(const std::string& key, uint64_t count_max,
                                   std::vector<std::string>* out) const {
  LUTDB_ASSIGN_OR_RETURN(const GgufValue* value, Array(key, count_max));
  if (value == nullptr) return absl::OkStatus();
  if (value->type != Type::kString) return WrongKind(key, "an array of strings");
  out->clear();
  const uint8_t* from = value->data;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = LoadLittle<uint64_t>(from);
    from += sizeof(length);
    out->emplace_back(reinterpret_cast<const char*>(from), length);
    from += length;
  }
  return absl::OkStatus();
}

absl::Status GgufMetadata::Floats(const std::string& key, uint64_t count_max,
                                  std::vector<float>* out) const {
  LUTDB_ASSIGN_OR_RETURN(const GgufValue* value, Array(key, count_max));
  if (value == nullptr) return absl::OkStatus();
  if (value->type != Type::kF32) return WrongKind(key, "an array of f32 numbers");
  out->clear();
  for (uint64_t i = 0; i < value->count; ++i) {
    out->push_back(LoadLittle<float>(value->data + i * sizeof(float)));
  }
  return absl::OkStatus();
}

absl::Status GgufMetadata::Integers(const std::string& key, uint64_t count_max,
                                    std::vector<int64_t>* out) const {
  LUTDB_ASSIGN_OR_RETURN(const GgufValue* value, Array(key, count_max));
  if (value == nullptr) return absl::OkStatus();
  out->clear();
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto integer = IntegerAt(value->type, value->data + i * ElementBytes(value->type));
    if (!integer) return WrongKind(key, "an array of integers");
    out->push_back(*integer);
  }
  return absl::OkStatus();
}

}  // namespace lutdb
