#include "ingest/gguf.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/gguf_blocks.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersionMin = 2, kVersionMax = 3;
constexpr uint32_t kDimensionsMax = 4;
constexpr uint32_t kAlignmentDefault = 32;
constexpr uint32_t kAlignmentMax = 1 << 30;

// A tensor's place in the data part, before the data part's own place is known.
struct Placed {
  std::string name;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

absl::Status CheckVersion(const std::string& path, uint32_t version) {
  if (version >= kVersionMin && version <= kVersionMax) return absl::OkStatus();
  if ((version & 0xffff) == 0 && version != 0) {
    return Unimplemented("{}: is a big-endian GGUF file; lutdb reads little-endian ones", path);
  }
  return Unimplemented("{}: GGUF version {} is not implemented; lutdb reads 2 and 3", path,
                       version);
}

absl::StatusOr<uint32_t> ReadAlignment(const GgufMetadata& metadata) {
  uint32_t alignment = kAlignmentDefault;
  LUTDB_RETURN_IF_ERROR(metadata.Unsigned("general.alignment", 1, kAlignmentMax, &alignment));
  if ((alignment & (alignment - 1)) != 0) {
    return DataLoss("{}: general.alignment is {}, which is no power of two", metadata.where(),
                    alignment);
  }
  return alignment;
}

// Bytes of a tensor whose rows have dimensions[0] elements.
absl::StatusOr<uint64_t> TensorBytes(const std::string& where, const GgufType& type,
                                     const std::vector<uint64_t>& dimensions) {
  uint64_t elements = 1;
  bool fits = true;
  for (const uint64_t size : dimensions) {
    if (size == 0) return DataLoss("{}: a dimension is 0", where);
    fits = fits && !__builtin_mul_overflow(elements, size, &elements);
  }
  if (!dimensions.empty() && dimensions[0] % type.elements != 0) {
    return DataLoss("{}: rows of {} elements are no whole number of {} blocks of {}", where,
                    dimensions[0], type.name, type.elements);
  }
  if (dimensions.empty() && type.elements != 1) {
    return DataLoss("{}: a single element cannot be of type {}", where, type.name);
  }
  uint64_t bytes = 0;
  if (!fits || __builtin_mul_overflow(elements / type.elements, uint64_t{type.bytes}, &bytes)) {
    return DataLoss("{}: sizes [{}] are too large for any file", where,
                    fmt::join(dimensions, ", "));
  }
  return bytes;
}

// Reads one description; the tensor gets its data later.
absl::Status ReadTensor(const std::string& path, GgufCursor* cursor, uint32_t alignment,
                        Placed* placed, CatalogTensor* tensor) {
  constexpr char kWhat[] = "the descriptions of tensors";
  std::string_view name;
  LUTDB_RETURN_IF_ERROR(cursor->String(kWhat, &name));
  placed->name = name;
  const std::string where = fmt::format("{}: tensor {}", path, Quote(name));
  uint32_t count = 0;
  LUTDB_RETURN_IF_ERROR(cursor->U32(kWhat, &count));
  if (count > kDimensionsMax) {
    return DataLoss("{}: has {} dimensions, GGUF allows {}", where, count, kDimensionsMax);
  }
  std::vector<uint64_t> dimensions(count);
  for (uint64_t& size : dimensions) LUTDB_RETURN_IF_ERROR(cursor->U64(kWhat, &size));
  uint32_t id = 0;
  LUTDB_RETURN_IF_ERROR(cursor->U32(kWhat, &id));
  LUTDB_RETURN_IF_ERROR(cursor->U64(kWhat, &placed->offset));
  const GgufType* type = FindGgufType(id);
  if (type == nullptr || type->bytes == 0) {
    return Unimplemented("{}: type {}{} is not supported; lutdb reads {}", where,
                         type == nullptr ? "" : std::string(type->name) + " = ", id,
                         ReadableGgufTypes());
  }
  LUTDB_ASSIGN_OR_RETURN(placed->bytes, TensorBytes(where, *type, dimensions));
  if (placed->offset % alignment != 0) {
    return DataLoss("{}: offset {} is no multiple of the alignment {}", where, placed->offset,
                    alignment);
  }
  tensor->dtype = type->plain_type != nullptr ? type->plain_type : type->name;
  tensor->packed = type->unpack != nullptr ? type : nullptr;
  // Sizes of 1 at the end are what some writers pad with.
  while (dimensions.size() > 2 && dimensions.back() == 1) dimensions.pop_back();
  tensor->shape.assign(dimensions.rbegin(), dimensions.rend());
  return absl::OkStatus();
}

absl::Status CheckPlaces(const std::string& path, std::vector<Placed> all, uint64_t data_bytes) {
  std::sort(all.begin(), all.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  uint64_t covered = 0;
  for (const Placed& placed : all) {
    if (placed.offset > data_bytes || placed.bytes > data_bytes - placed.offset) {
      return DataLoss(
          "{}: tensor {} needs {} bytes from byte {} of the data, which has {}; the file is "
          "truncated or damaged",
          path, Quote(placed.name), placed.bytes, placed.offset, data_bytes);
    }
    if (placed.offset < covered) {
      return DataLoss("{}: tensor {} overlaps the tensor before it, which ends at byte {}", path,
                      Quote(placed.name), covered);
    }
    covered = placed.offset + placed.bytes;
  }
  return absl::OkStatus();
}

// A model in several files says so; each file has only some of the tensors.
absl::Status RefuseParts(const GgufMetadata& metadata) {
  uint32_t parts = 1;
  LUTDB_RETURN_IF_ERROR(metadata.Unsigned("split.count", 0, UINT32_MAX, &parts));
  if (parts <= 1) return absl::OkStatus();
  return Unimplemented(
      "{}: is one of {} parts of a model; lutdb reads whole files, so merge them first "
      "(llama-gguf-split --merge)",
      metadata.where(), parts);
}

}  // namespace

bool LooksLikeGguf(const MappedFile& file) { return file.view().starts_with(kMagic); }

absl::StatusOr<GgufFile> OpenGguf(MappedFile mapped) {
  const std::string path = mapped.path();
  const std::string_view bytes = mapped.view();
  if (!bytes.starts_with(kMagic)) return DataLoss("{}: does not begin as a GGUF file does", path);
  GgufCursor cursor(bytes, path);
  LUTDB_RETURN_IF_ERROR(cursor.Skip(kMagic.size(), "the header"));
  uint32_t version = 0;
  LUTDB_RETURN_IF_ERROR(cursor.U32("the header", &version));
  LUTDB_RETURN_IF_ERROR(CheckVersion(path, version));
  uint64_t tensors = 0, pairs = 0;
  LUTDB_RETURN_IF_ERROR(cursor.U64("the header", &tensors));
  LUTDB_RETURN_IF_ERROR(cursor.U64("the header", &pairs));

  GgufFile file;
  LUTDB_ASSIGN_OR_RETURN(file.metadata, GgufMetadata::Read(pairs, path, &cursor));
  LUTDB_RETURN_IF_ERROR(RefuseParts(file.metadata));
  LUTDB_ASSIGN_OR_RETURN(const uint32_t alignment, ReadAlignment(file.metadata));
  file.catalog.path = path;
  std::vector<Placed> places;
  for (uint64_t i = 0; i < tensors; ++i) {
    Placed placed;
    CatalogTensor tensor;
    LUTDB_RETURN_IF_ERROR(ReadTensor(path, &cursor, alignment, &placed, &tensor));
    if (!file.catalog.tensors.emplace(placed.name, std::move(tensor)).second) {
      return DataLoss("{}: tensor {} is there twice", path, Quote(placed.name));
    }
    places.push_back(std::move(placed));
  }
  const uint64_t data_begin = (cursor.at() + alignment - 1) / alignment * alignment;
  const uint64_t data_bytes = data_begin > bytes.size() ? 0 : bytes.size() - data_begin;
  LUTDB_RETURN_IF_ERROR(CheckPlaces(path, places, data_bytes));
  for (const Placed& placed : places) {
    file.catalog.tensors.find(placed.name)->second.data =
        mapped.data() + data_begin + placed.offset;
  }
  file.catalog.files.push_back(std::make_unique<MappedFile>(std::move(mapped)));
  return file;
}

}  // namespace lutdb
