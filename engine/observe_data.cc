#include <charconv>
#include <cmath>

#include "base/file.h"
#include "base/npy.h"
#include "base/status.h"
#include "engine/csv_reader.h"
#include "engine/idx_file.h"
#include "engine/observe.h"

namespace lutdb {
namespace {

constexpr uint64_t kTextBytesMax = uint64_t{1} << 30;

bool EndsWith(const std::string& path, std::string_view ending) {
  return path.size() >= ending.size() &&
         path.compare(path.size() - ending.size(), ending.size(), ending) == 0;
}

bool ToNumber(const std::string& field, float* number) {
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  *number = static_cast<float>(value);
  return error == std::errc() && end == field.data() + field.size();
}

absl::StatusOr<std::vector<float>> ReadCsvRows(const std::string& path, uint32_t width) {
  LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kTextBytesMax));
  CsvReader reader(text, path);
  std::vector<std::string> fields;
  std::vector<float> rows;
  for (bool first = true;; first = false) {
    LUTDB_ASSIGN_OR_RETURN(const bool more, reader.Next(&fields));
    if (!more) return rows;
    if (fields.size() != width) {
      return InvalidArgument("{}, line {}: {} columns, but the network takes {} inputs", path,
                             reader.line(), fields.size(), width);
    }
    for (size_t i = 0; i < fields.size(); ++i) {
      float number = 0;
      if (!ToNumber(fields[i], &number)) {
        if (first && i == 0) break;  // a line of names
        return DataLoss("{}, line {}: \"{}\" is not a number", path, reader.line(), fields[i]);
      }
      rows.push_back(number);
    }
  }
}

absl::StatusOr<std::vector<float>> ReadNpyRows(const std::string& path, uint32_t width) {
  LUTDB_ASSIGN_OR_RETURN(NpyArray array, ReadNpy(path));
  if (array.row_width() != width) {
    return InvalidArgument("{} has rows of {} numbers, but the network takes {} inputs", path,
                           array.row_width(), width);
  }
  return std::move(array.values);
}

absl::StatusOr<std::vector<float>> ReadImages(const std::string& path, uint32_t width) {
  LUTDB_ASSIGN_OR_RETURN(const std::unique_ptr<IdxFile> images, IdxFile::Open(path));
  if (images->item_bytes() != width) {
    return InvalidArgument("the images of {} have {} pixels, but the network takes {} inputs", path,
                           images->item_bytes(), width);
  }
  std::vector<uint8_t> pixels(width);
  std::vector<float> rows;
  for (uint32_t i = 0; i < images->count(); ++i) {
    LUTDB_RETURN_IF_ERROR(images->Read(absl::MakeSpan(pixels)));
    for (const uint8_t pixel : pixels) rows.push_back(static_cast<float>(pixel) / 255.0f);
  }
  return rows;
}

}  // namespace

absl::StatusOr<std::vector<float>> ReadCalibrationRows(const std::string& path, uint32_t width) {
  auto rows = EndsWith(path, ".csv")   ? ReadCsvRows(path, width)
              : EndsWith(path, ".npy") ? ReadNpyRows(path, width)
                                       : ReadImages(path, width);
  LUTDB_RETURN_IF_ERROR(rows.status());
  if (rows->empty()) return DataLoss("{} has no rows to calibrate with", path);
  for (size_t i = 0; i < rows->size(); ++i) {
    if (std::isfinite((*rows)[i])) continue;
    return DataLoss("{}: row {}, input {} is not a finite number", path, i / width, i % width);
  }
  return rows;
}

}  // namespace lutdb
