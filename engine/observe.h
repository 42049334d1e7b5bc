// Calibration data from files. ObserveTables of lutdb/calibration.h runs it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

// Rows of `width` finite numbers, one after the other; at least one. Errors as ObserveTables.
absl::StatusOr<std::vector<float>> ReadCalibrationRows(const std::string& path, uint32_t width);

}  // namespace lutdb
