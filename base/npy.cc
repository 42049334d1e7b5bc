#include "base/npy.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "base/file.h"
#include "base/result_file.h"
#include "base/status.h"

namespace lutdb {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kHeaderBytesMax = 1 << 16;
constexpr size_t kDimensionsMax = 32;

// A cursor over the header, which is a Python dictionary of three fixed keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  bool Parse(std::string* descr, bool* fortran, std::vector<uint64_t>* shape) {
    bool has_descr = false, has_order = false, has_shape = false;
    if (!Take('{')) return false;
    while (!Take('}')) {
      std::string key;
      if (!TakeString(&key) || !Take(':')) return false;
      // A key that comes twice is no header that NumPy writes.
      if (key == "descr") {
        if (std::exchange(has_descr, true) || !TakeString(descr)) return false;
      } else if (key == "fortran_order") {
        if (std::exchange(has_order, true) || !TakeBool(fortran)) return false;
      } else if (key == "shape") {
        if (std::exchange(has_shape, true) || !TakeShape(shape)) return false;
      } else {
        return false;
      }
      if (!Take(',') && !Peek('}')) return false;
    }
    SkipSpace();
    return text_.empty() && has_descr && has_order && has_shape;
  }

 private:
  void SkipSpace() {
    const size_t begin = text_.find_first_not_of(" \t\n\r");
    text_.remove_prefix(std::min(begin, text_.size()));
  }
  bool Peek(char c) {
    SkipSpace();
    return !text_.empty() && text_.front() == c;
  }
  bool Take(char c) {
    if (!Peek(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeString(std::string* value) {
    const char quote = Peek('"') ? '"' : '\'';
    if (!Take(quote)) return false;
    const size_t end = text_.find(quote);
    if (end == std::string_view::npos) return false;
    *value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return true;
  }
  bool TakeBool(bool* value) {
    SkipSpace();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(0, word.size()) != word) continue;
      text_.remove_prefix(word.size());
      *value = word == "True";
      return true;
    }
    return false;
  }
  bool TakeNumber(uint64_t* value) {
    SkipSpace();
    size_t digits = 0;
    *value = 0;
    while (digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9') {
      if (__builtin_mul_overflow(*value, uint64_t{10}, value) ||
          __builtin_add_overflow(*value, static_cast<uint64_t>(text_[digits] - '0'), value)) {
        return false;
      }
      ++digits;
    }
    text_.remove_prefix(digits);
    return digits > 0;
  }
  bool TakeShape(std::vector<uint64_t>* shape) {
    shape->clear();
    if (!Take('(')) return false;
    while (!Take(')')) {
      uint64_t length = 0;
      if (shape->size() == kDimensionsMax || !TakeNumber(&length)) return false;
      shape->push_back(length);
      if (!Take(',') && !Peek(')')) return false;
    }
    return true;
  }

  std::string_view text_;
};

template <typename T>
void Convert(const char* bytes, std::vector<float>* values) {
  for (size_t i = 0; i < values->size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    (*values)[i] = static_cast<float>(value);
  }
}

struct ElementType {
  std::string_view descr;  // without the byte order
  uint64_t bytes;
  bool integers;
  void (*convert)(const char* bytes, std::vector<float>* values);
};
constexpr ElementType kElementTypes[] = {
    {"f4", 4, false, Convert<float>},  {"f8", 8, false, Convert<double>},
    {"i1", 1, true, Convert<int8_t>},  {"u1", 1, true, Convert<uint8_t>},
    {"i2", 2, true, Convert<int16_t>}, {"u2", 2, true, Convert<uint16_t>},
    {"i4", 4, true, Convert<int32_t>}, {"u4", 4, true, Convert<uint32_t>},
    {"i8", 8, true, Convert<int64_t>}, {"u8", 8, true, Convert<uint64_t>},
    {"b1", 1, true, Convert<uint8_t>},
};

// The type of "<f4" and the like; null for one that is not read.
const ElementType* FindElementType(std::string_view descr) {
  if (descr.empty() || std::string_view("<|=").find(descr[0]) == std::string_view::npos) {
    return nullptr;
  }
  for (const ElementType& type : kElementTypes) {
    if (type.descr == descr.substr(1)) return &type;
  }
  return nullptr;
}

std::string FormatHeader(std::string_view descr, absl::Span<const uint64_t> shape) {
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (", descr);
  for (uint64_t length : shape) dictionary += fmt::format("{}, ", length);
  dictionary += "), }";
  // The data begins at a multiple of 64 bytes, so that it can be mapped.
  const size_t before = kMagic.size() + 2 + 2;
  const size_t padding = 63 - (before + dictionary.size()) % 64;
  dictionary += std::string(padding, ' ') + "\n";
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xff),
             static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

void CheckShape(absl::Span<const uint64_t> shape, size_t count) {
  uint64_t elements = 1;
  for (uint64_t length : shape) elements *= length;
  LUTDB_CHECK(!shape.empty() && elements == count);
}

}  // namespace

uint64_t NpyArray::rows() const { return shape.size() < 2 ? 1 : shape[0]; }
uint64_t NpyArray::row_width() const {
  uint64_t width = 1;
  for (size_t i = shape.size() < 2 ? 0 : 1; i < shape.size(); ++i) width *= shape[i];
  return width;
}

namespace {

struct NpyHeader {
  std::string descr;
  std::vector<uint64_t> shape;
  std::string_view data;  // what follows the header
};

absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view bytes, const std::string& path) {
  if (bytes.size() < 10 || bytes.substr(0, kMagic.size()) != kMagic) {
    return DataLoss("{}: not a .npy file", path);
  }
  const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])); };
  const uint64_t major = byte(6);
  if (major < 1 || major > 3) {
    return Unimplemented("{}: .npy format {} is not known; versions 1 to 3 are read", path, major);
  }
  const size_t begin = major == 1 ? 10 : 12;
  if (bytes.size() < begin) return DataLoss("{}: the .npy header is cut off", path);
  uint64_t header_bytes = byte(8) | byte(9) << 8;
  if (major > 1) header_bytes |= byte(10) << 16 | byte(11) << 24;
  if (header_bytes > kHeaderBytesMax || header_bytes > bytes.size() - begin) {
    return DataLoss("{}: the .npy header says it has {} bytes; the file is damaged", path,
                    header_bytes);
  }
  NpyHeader header;
  bool fortran = false;
  HeaderParser parser(bytes.substr(begin, header_bytes));
  if (!parser.Parse(&header.descr, &fortran, &header.shape)) {
    return DataLoss("{}: the .npy header cannot be read; save the array with numpy.save", path);
  }
  if (fortran && header.shape.size() > 1) {
    return Unimplemented("{}: Fortran order is not read; save numpy.ascontiguousarray(x)", path);
  }
  header.data = bytes.substr(begin + header_bytes);
  return header;
}

// How many elements of element_bytes (at least 1) there are, when they fill the data exactly.
absl::StatusOr<uint64_t> CountElements(const NpyHeader& header, uint64_t element_bytes,
                                       const std::string& path) {
  uint64_t data_bytes = element_bytes;
  bool fits = true;
  for (uint64_t length : header.shape) {
    fits = fits && !__builtin_mul_overflow(data_bytes, length, &data_bytes);
  }
  if (!fits || data_bytes != header.data.size()) {
    return DataLoss("{}: the shape in the header does not fit the {} bytes of data", path,
                    header.data.size());
  }
  return data_bytes / element_bytes;
}

// One string of an 'S' (bytes) or 'U' (32-bit characters) array, without the zeros that pad it.
bool DecodeText(std::string_view bytes, bool wide, std::string* text) {
  const size_t unit = wide ? 4 : 1;
  text->clear();
  size_t kept = 0;
  for (size_t i = 0; i < bytes.size(); i += unit) {
    uint32_t character = static_cast<uint8_t>(bytes[i]);
    // Names of tables are ASCII in every format that is read.
    for (size_t k = 1; k < unit; ++k) character |= static_cast<uint8_t>(bytes[i + k]) << (8 * k);
    if (character >= 0x80) return false;
    text->push_back(static_cast<char>(character));
    if (character != 0) kept = text->size();
  }
  text->resize(kept);
  return true;
}

}  // namespace

absl::StatusOr<NpyArray> ParseNpy(std::string_view bytes, const std::string& path,
                                  uint64_t bytes_max) {
  LUTDB_ASSIGN_OR_RETURN(NpyHeader header, ParseNpyHeader(bytes, path));
  const ElementType* type = FindElementType(header.descr);
  if (type == nullptr) {
    return Unimplemented("{}: elements of type '{}' are not read; use float32 or an integer type",
                         path, header.descr);
  }
  LUTDB_ASSIGN_OR_RETURN(const uint64_t count, CountElements(header, type->bytes, path));
  if (count > bytes_max / sizeof(float)) {
    return ResourceExhausted("{}: its {} values are more than the {} bytes it may take in memory",
                             path, count, bytes_max);
  }
  NpyArray array;
  array.shape = std::move(header.shape);
  array.integers = type->integers;
  array.values.resize(count);
  type->convert(header.data.data(), &array.values);
  return array;
}

absl::StatusOr<NpyTexts> ParseNpyTexts(std::string_view bytes, const std::string& path) {
  LUTDB_ASSIGN_OR_RETURN(const NpyHeader header, ParseNpyHeader(bytes, path));
  const std::string_view descr = header.descr;
  const bool wide = descr.substr(0, 2) == "<U";
  if (!wide && descr.substr(0, 2) != "|S") {
    return Unimplemented("{}: elements of type '{}' are not text", path, descr);
  }
  uint64_t characters = 0;
  for (const char c : descr.substr(2)) {
    if (c < '0' || c > '9' || characters > kHeaderBytesMax) {
      return DataLoss("{}: '{}' is no type of texts", path, descr);
    }
    characters = characters * 10 + static_cast<uint64_t>(c - '0');
  }
  if (characters == 0) return DataLoss("{}: all texts are empty", path);
  NpyTexts array;
  array.shape = header.shape;
  array.element_bytes = characters * (wide ? 4 : 1);
  array.wide = wide;
  array.data = header.data;
  LUTDB_ASSIGN_OR_RETURN(array.count, CountElements(header, array.element_bytes, path));
  return array;
}

bool NpyTexts::Get(uint64_t i, std::string* text) const {
  LUTDB_CHECK(i < count);
  return DecodeText(data.substr(i * element_bytes, element_bytes), wide, text);
}

bool IsNpyText(std::string_view bytes) {
  const auto header = ParseNpyHeader(bytes, "");
  return header.ok() && header->descr.size() > 1 &&
         (header->descr[1] == 'U' || header->descr[1] == 'S');
}

absl::StatusOr<NpyArray> ReadNpy(const std::string& path, uint64_t bytes_max) {
  LUTDB_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return ParseNpy(file.view(), path, bytes_max);
}

absl::Status WriteNpy(const std::string& path, absl::Span<const uint64_t> shape,
                      absl::Span<const float> values) {
  CheckShape(shape, values.size());
  LUTDB_ASSIGN_OR_RETURN(const auto file, ResultFile::Create(path));
  const std::string header = FormatHeader("<f4", shape);
  file->Write(header.data(), header.size());
  file->Write(values.data(), values.size() * sizeof(float));
  return file->Finish();
}

absl::Status WriteNpy(const std::string& path, absl::Span<const uint64_t> shape,
                      absl::Span<const int16_t> values, bool one_byte) {
  CheckShape(shape, values.size());
  LUTDB_ASSIGN_OR_RETURN(const auto file, ResultFile::Create(path));
  const std::string header = FormatHeader(one_byte ? "|i1" : "<i2", shape);
  file->Write(header.data(), header.size());
  if (!one_byte) {
    file->Write(values.data(), values.size() * sizeof(int16_t));
    return file->Finish();
  }
  int8_t piece[4096];
  for (size_t begin = 0; begin < values.size(); begin += sizeof(piece)) {
    const size_t count = std::min(sizeof(piece), values.size() - begin);
    std::transform(values.begin() + begin, values.begin() + begin + count, piece,
                   [](int16_t value) { return static_cast<int8_t>(value); });
    file->Write(piece, count);
  }
  return file->Finish();
}

}  // namespace lutdb
