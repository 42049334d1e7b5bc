#include <cmath>

#include "base/npy.h"
#include "base/status.h"
#include "engine/dataset.h"

namespace lutdb {
namespace {

absl::Status CheckFinite(const std::string& path, const NpyArray& array, uint64_t width) {
  for (size_t i = 0; i < array.values.size(); ++i) {
    if (std::isfinite(array.values[i])) continue;
    return DataLoss("{}, row {}, element {}: {} is not a finite 32-bit number", path, i / width,
                    i % width, array.values[i]);
  }
  return absl::OkStatus();
}

absl::Status ReadClasses(const DataOptions& options, const DataShape& shape, const NpyArray& array,
                         Dataset* data) {
  ClassNumbering classes;
  for (size_t i = 0; i < array.values.size(); ++i) {
    const float value = array.values[i];
    if (value != std::floor(value) || std::fabs(value) > 16777216.0f) {
      return DataLoss("{}, row {}: {} is not a class number", options.npy_targets, i, value);
    }
    LUTDB_ASSIGN_OR_RETURN(const uint32_t number,
                           classes.Number(std::to_string(static_cast<int64_t>(value)),
                                          fmt::format("{}, row {}", options.npy_targets, i)));
    data->labels.push_back(number);
  }
  data->has_classes = true;
  return classes.Finish(options, shape, data);
}

}  // namespace

absl::StatusOr<Dataset> LoadNpy(const DataOptions& options, const DataShape& shape) {
  if (options.npy_targets.empty()) {
    return InvalidArgument("{}: give what to answer with --targets", options.npy_inputs);
  }
  LUTDB_ASSIGN_OR_RETURN(NpyArray inputs, ReadNpy(options.npy_inputs, options.bytes_max));
  LUTDB_ASSIGN_OR_RETURN(NpyArray targets, ReadNpy(options.npy_targets, options.bytes_max));
  if (inputs.shape.size() < 2) {
    return DataLoss("{} has {} dimensions; rows of inputs have two", options.npy_inputs,
                    inputs.shape.size());
  }
  const uint64_t rows = inputs.shape[0], width = inputs.row_width();
  if (targets.shape.empty() || targets.shape[0] != rows) {
    return DataLoss("{} has {} rows but {} has {}", options.npy_inputs, rows, options.npy_targets,
                    targets.shape.empty() ? 0 : targets.shape[0]);
  }
  if (rows == 0 || width == 0) return DataLoss("{} holds no rows", options.npy_inputs);
  if (rows > UINT32_MAX || width > UINT32_MAX) {
    return ResourceExhausted("{}: too many rows", options.npy_inputs);
  }
  if (shape.inputs > 0 && width != shape.inputs) {
    return InvalidArgument("{} gives {} inputs, but the network takes {}", options.npy_inputs,
                           width, shape.inputs);
  }
  LUTDB_RETURN_IF_ERROR(CheckFinite(options.npy_inputs, inputs, width));
  Dataset data;
  data.source = options.npy_inputs;
  data.rows = rows;
  data.width = static_cast<uint32_t>(width);
  data.inputs = std::move(inputs.values);
  const uint64_t target_width = targets.values.size() / rows;
  LUTDB_RETURN_IF_ERROR(
      CheckFinite(options.npy_targets, targets, target_width == 0 ? 1 : target_width));
  if (target_width == 1 && shape.outputs != 1) {
    LUTDB_RETURN_IF_ERROR(ReadClasses(options, shape, targets, &data));
    return data;
  }
  if (target_width != shape.outputs) {
    return InvalidArgument("{} gives {} values per row, but the network answers {}",
                           options.npy_targets, target_width, shape.outputs);
  }
  data.target_width = static_cast<uint32_t>(target_width);
  data.targets = std::move(targets.values);
  return data;
}

}  // namespace lutdb
