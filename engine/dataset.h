// The readers behind LoadDataset, one per format, and the naming of classes that they share.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lutdb/dataset.h"

namespace lutdb {

// Each reads one format; options and shape as for LoadDataset, with bytes_max set.
absl::StatusOr<Dataset> LoadCsv(const DataOptions& options, const DataShape& shape);
absl::StatusOr<Dataset> LoadIdxImages(const DataOptions& options, const DataShape& shape);
absl::StatusOr<Dataset> LoadNpy(const DataOptions& options, const DataShape& shape);
absl::StatusOr<Dataset> LoadWav(const DataOptions& options, const DataShape& shape);

// Numbers the classes of a file in order of appearance, then in the order of the outputs.
class ClassNumbering {
 public:
  // The number of a class for now; `where` ("line 7") is remembered for its first appearance.
  // ResourceExhausted for more than 65,536 classes.
  absl::StatusOr<uint32_t> Number(std::string_view name, const std::string& where);
  // Replaces the numbers in `labels` by indices of outputs and gives the names in that order.
  // The order is that of DataOptions::classes.
  absl::Status Finish(const DataOptions& options, const DataShape& shape, Dataset* data) const;

 private:
  std::map<std::string, uint32_t, std::less<>> numbers_;
  std::vector<std::string> names_, first_seen_;
};

// ResourceExhausted when `rows` rows of a data set are more than bytes_max.
absl::Status CheckDataBytes(const std::string& source, uint64_t rows, uint64_t width,
                            uint64_t bytes_max);

}  // namespace lutdb
