#include "ingest/safetensors.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "ingest/json_file.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kHeaderBytesMax = 100 << 20;
constexpr uint64_t kHeaderMemberValuesMax = 1 << 16;
constexpr size_t kDimensionsMax = 16;
constexpr size_t kShardsMax = 4096;
constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

// Bits of one element, 0 for a type that is not known. Types of less than a byte exist.
uint32_t ElementBits(const std::string& dtype) {
  static const std::pair<const char*, uint32_t> kTypes[] = {
      {"BOOL", 8},    {"U8", 8},   {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"F8_E8M0", 8}, {"U16", 16}, {"I16", 16}, {"F16", 16},    {"BF16", 16},
      {"U32", 32},    {"I32", 32}, {"F32", 32}, {"U64", 64},    {"I64", 64},
      {"F64", 64},    {"C64", 64}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
  };
  for (const auto& [name, bits] : kTypes) {
    if (dtype == name) return bits;
  }
  return 0;
}

struct Span {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string name;
};

// A list of unsigned integers, or nothing when the field is anything else or too long.
std::optional<std::vector<uint64_t>> UnsignedList(const Json& field, size_t count_max) {
  if (!field.is_array() || field.size() > count_max) return std::nullopt;
  std::vector<uint64_t> list;
  for (const Json& element : field) {
    if (!element.is_number_unsigned()) return std::nullopt;
    list.push_back(element.get<uint64_t>());
  }
  return list;
}

// Bytes of a shape, or nothing when they do not fit 64 bits or are no whole number.
std::optional<uint64_t> ShapeBytes(const std::vector<uint64_t>& shape, uint32_t bits) {
  uint64_t total_bits = bits;
  for (const uint64_t size : shape) {
    if (__builtin_mul_overflow(total_bits, size, &total_bits)) return std::nullopt;
  }
  if (total_bits % 8 != 0) return std::nullopt;
  return total_bits / 8;
}

// Checks one header entry and adds it. data, data_bytes: the part of the file after the header.
absl::Status ReadEntry(const std::string& path, const std::string& name, const Json& entry,
                       const uint8_t* data, uint64_t data_bytes, TensorCatalog* catalog,
                       std::vector<Span>* spans) {
  const std::string where = fmt::format("{}: tensor {}", path, Quote(name));
  if (!entry.is_object()) return DataLoss("{}: its header entry is not an object", where);
  JsonFields fields(entry, where);
  CatalogTensor tensor;
  LUTDB_RETURN_IF_ERROR(fields.String("dtype", JsonFields::kRequired, &tensor.dtype));
  const Json* shape = fields.Find("shape");
  const Json* offsets = fields.Find("data_offsets");
  LUTDB_RETURN_IF_ERROR(fields.RefuseUnread());
  const auto sizes = shape == nullptr ? std::nullopt : UnsignedList(*shape, kDimensionsMax);
  const auto ends = offsets == nullptr ? std::nullopt : UnsignedList(*offsets, 2);
  if (!sizes) return DataLoss("{}: shape must be a list of at most 16 sizes", where);
  if (!ends || ends->size() != 2) return DataLoss("{}: data_offsets must be [begin, end]", where);
  const uint32_t bits = ElementBits(tensor.dtype);
  if (bits == 0) {
    return Unimplemented("{}: element type {} is not known", where, Quote(tensor.dtype));
  }
  const uint64_t begin = (*ends)[0], end = (*ends)[1];
  if (begin > end || end > data_bytes) {
    return DataLoss(
        "{}: bytes {} to {} lie outside the {} bytes of data; the file is truncated or "
        "damaged",
        where, begin, end, data_bytes);
  }
  const auto needed = ShapeBytes(*sizes, bits);
  if (!needed || *needed != end - begin) {
    return DataLoss("{}: shape [{}] of {} needs {} bytes, data_offsets give {}", where,
                    fmt::join(*sizes, ", "), tensor.dtype,
                    needed ? std::to_string(*needed) : "too many", end - begin);
  }
  tensor.shape = *sizes;
  tensor.data = data + begin;
  if (!catalog->tensors.emplace(name, std::move(tensor)).second) {
    return DataLoss("{}: the header lists it twice", where);
  }
  spans->push_back({begin, end, name});
  return absl::OkStatus();
}

// Tensors must cover the data exactly: a hole or an overlap means that header and data do not
// belong together.
absl::Status CheckCoverage(const std::string& path, std::vector<Span> spans, uint64_t data_bytes) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const Span& span : spans) {
    if (span.begin < covered) {
      return DataLoss("{}: tensor {} at byte {} overlaps the tensor before it, which ends at {}",
                      path, Quote(span.name), span.begin, covered);
    }
    if (span.begin > covered) {
      return DataLoss("{}: bytes {} to {} before tensor {} belong to no tensor", path, covered,
                      span.begin, Quote(span.name));
    }
    covered = span.end;
  }
  if (covered != data_bytes) {
    return DataLoss("{}: the last {} bytes belong to no tensor", path, data_bytes - covered);
  }
  return absl::OkStatus();
}

// The file a shard name of the index means, provided that it lies in the directory itself.
absl::StatusOr<std::string> ShardPath(const std::string& directory, const std::string& index,
                                      const std::string& name) {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    return DataLoss(
        "{}: weight_map names {}, which is not a plain file name; shards must lie beside "
        "the index",
        index, Quote(name));
  }
  const std::string path = JoinPath(directory, name);
  std::error_code error;
  const auto home = std::filesystem::canonical(directory, error);
  const auto real = error ? home : std::filesystem::canonical(path, error);
  if (error) return NotFound("{}: named by {}, but {}", path, index, error.message());
  if (real.parent_path() != home) {
    return DataLoss("{}: the link leads out of the model's directory; put the file itself there",
                    path);
  }
  return path;
}

absl::StatusOr<TensorCatalog> OpenShards(const std::string& directory) {
  const std::string index = JoinPath(directory, kIndexFile);
  LUTDB_ASSIGN_OR_RETURN(const Json object, ReadJsonObject(index));
  const auto map = object.find("weight_map");
  if (map == object.end() || !map->is_object()) {
    return DataLoss("{}: weight_map is missing or not an object", index);
  }
  TensorCatalog all;
  all.path = directory;
  std::map<std::string, TensorCatalog> shards;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string()) {
      return DataLoss("{}: weight_map gives no file name for {}", index, Quote(name));
    }
    const std::string& file_name = file.get_ref<const std::string&>();
    auto shard = shards.find(file_name);
    if (shard == shards.end()) {
      if (shards.size() == kShardsMax) {
        return DataLoss("{}: names more than {} files", index, kShardsMax);
      }
      LUTDB_ASSIGN_OR_RETURN(const std::string path, ShardPath(directory, index, file_name));
      LUTDB_ASSIGN_OR_RETURN(TensorCatalog catalog, OpenSafetensorsFile(path));
      shard = shards.emplace(file_name, std::move(catalog)).first;
    }
    const auto tensor = shard->second.tensors.find(name);
    if (tensor == shard->second.tensors.end()) {
      return DataLoss("{}: tensor {} is not in {}, where the index says it is", index, Quote(name),
                      Quote(file_name));
    }
    all.tensors.emplace(name, tensor->second);
  }
  for (auto& [name, shard] : shards) {
    for (auto& file : shard.files) all.files.push_back(std::move(file));
  }
  return all;
}

}  // namespace

bool LooksLikeSafetensors(const MappedFile& file) {
  if (file.size() < kLengthBytes + 2) return false;
  const uint64_t header_bytes = LoadLittle<uint64_t>(file.data());
  return header_bytes >= 2 && header_bytes <= file.size() - kLengthBytes &&
         file.data()[kLengthBytes] == '{';
}

absl::StatusOr<TensorCatalog> OpenSafetensorsFile(const std::string& path) {
  LUTDB_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  if (file.size() < kLengthBytes) {
    return DataLoss("{}: {} bytes are too few for a safetensors file; it is truncated", path,
                    file.size());
  }
  const uint64_t header_bytes = LoadLittle<uint64_t>(file.data());
  if (header_bytes > file.size() - kLengthBytes) {
    return DataLoss(
        "{}: the header should have {} bytes, the file has {}; it is truncated or not "
        "safetensors",
        path, header_bytes, file.size());
  }
  if (header_bytes > kHeaderBytesMax) {
    return DataLoss("{}: a header of {} bytes is more than the format allows ({})", path,
                    header_bytes, kHeaderBytesMax);
  }
  const std::string_view header = file.view().substr(kLengthBytes, header_bytes);
  const uint8_t* data = file.data() + kLengthBytes + header_bytes;
  const uint64_t data_bytes = file.size() - kLengthBytes - header_bytes;
  TensorCatalog catalog;
  catalog.path = path;
  std::vector<Span> spans;
  LUTDB_RETURN_IF_ERROR(ForEachMember(
      header, path + ", header", kHeaderMemberValuesMax, [&](std::string& name, Json& entry) {
        if (name == "__metadata__") return absl::OkStatus();
        return ReadEntry(path, name, entry, data, data_bytes, &catalog, &spans);
      }));
  LUTDB_RETURN_IF_ERROR(CheckCoverage(path, std::move(spans), data_bytes));
  catalog.files.push_back(std::make_unique<MappedFile>(std::move(file)));
  return catalog;
}

absl::StatusOr<TensorCatalog> OpenSafetensorsDirectory(const std::string& directory) {
  const std::string single = JoinPath(directory, kSingleFile);
  if (PathExists(single)) return OpenSafetensorsFile(single);
  if (PathExists(JoinPath(directory, kIndexFile))) return OpenShards(directory);
  return NotFound("{}: holds neither {} nor {}", directory, kSingleFile, kIndexFile);
}

}  // namespace lutdb
