#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "engine/csv_columns.h"
#include "engine/csv_reader.h"
#include "engine/dataset.h"

namespace lutdb {
namespace {

constexpr uint64_t kRowsMax = UINT32_MAX;  // rows are numbered by 32 bits

bool IsDigits(const std::string& field) {
  return !field.empty() && field.find_first_not_of("0123456789+-.eE") == std::string::npos;
}

// The names of the columns; without a header those of the first record, which is read again later.
absl::StatusOr<std::vector<std::string>> ColumnNames(const DataOptions& options,
                                                     CsvReader* reader) {
  std::vector<std::string> fields;
  LUTDB_ASSIGN_OR_RETURN(const bool any, reader->Next(&fields));
  if (!any) return DataLoss("{} is empty", options.csv);
  if (options.header) {
    if (std::all_of(fields.begin(), fields.end(), IsDigits)) {
      return InvalidArgument(
          "{}: the first line names no columns but holds numbers; say "
          "--no-header, and the columns are called c1 to c{}",
          options.csv, fields.size());
    }
    return fields;
  }
  for (size_t i = 0; i < fields.size(); ++i) fields[i] = fmt::format("c{}", i + 1);
  return fields;
}

class CsvLoader {
 public:
  CsvLoader(const DataOptions& options, const DataShape& shape, CsvColumns columns)
      : options_(options), shape_(shape), columns_(std::move(columns)) {
    data_.source = options.csv;
    data_.width = static_cast<uint32_t>(columns_.inputs().size());
    data_.has_classes = shape.outputs != 1;
    if (!data_.has_classes) data_.target_width = 1;
    for (const uint32_t column : columns_.inputs()) {
      data_.input_names.push_back(columns_.name(column));
    }
  }

  absl::Status Add(absl::Span<const std::string> fields, uint64_t line) {
    const std::string where = fmt::format("{}, line {}", options_.csv, line);
    uint32_t missing = 0;
    LUTDB_ASSIGN_OR_RETURN(const CsvColumns::Outcome outcome,
                           columns_.Read(fields, where, data_.has_classes, &values_, &missing));
    if (outcome == CsvColumns::Outcome::kIncomplete) {
      ++data_.dropped_rows;
      if (options_.drop_incomplete) return absl::OkStatus();
      return DataLoss(
          "{}, column '{}': the value is missing; --drop-incomplete leaves such rows "
          "out",
          where, columns_.name(missing));
    }
    if (data_.rows == kRowsMax) return ResourceExhausted("{}: too many rows", where);
    LUTDB_RETURN_IF_ERROR(
        CheckDataBytes(options_.csv, data_.rows + 1, data_.width, options_.bytes_max));
    for (const uint32_t column : columns_.inputs()) {
      data_.inputs.push_back(static_cast<float>(values_[column]));
    }
    ++data_.rows;
    const uint32_t target = columns_.target();
    if (!data_.has_classes) {
      data_.targets.push_back(static_cast<float>(values_[target]));
      return absl::OkStatus();
    }
    const std::string text =
        columns_.is_derived(target) ? fmt::format("{}", values_[target]) : fields[target];
    LUTDB_ASSIGN_OR_RETURN(
        const uint32_t number,
        classes_.Number(text, fmt::format("{}, column '{}'", where, columns_.name(target))));
    data_.labels.push_back(number);
    return absl::OkStatus();
  }

  absl::StatusOr<Dataset> Finish() {
    if (data_.rows == 0) {
      return DataLoss("{} holds no rows{}", options_.csv,
                      data_.dropped_rows > 0 ? " that are complete" : "");
    }
    if (data_.has_classes) LUTDB_RETURN_IF_ERROR(classes_.Finish(options_, shape_, &data_));
    return std::move(data_);
  }

 private:
  const DataOptions& options_;
  const DataShape& shape_;
  CsvColumns columns_;
  ClassNumbering classes_;
  std::vector<double> values_;
  Dataset data_;
};

}  // namespace

absl::StatusOr<Dataset> LoadCsv(const DataOptions& options, const DataShape& shape) {
  LUTDB_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(options.csv));
  CsvReader reader(file.view(), options.csv);
  LUTDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, ColumnNames(options, &reader));
  LUTDB_ASSIGN_OR_RETURN(CsvColumns columns, CsvColumns::Create(names, options, shape));
  if (!options.header) reader = CsvReader(file.view(), options.csv);
  CsvLoader loader(options, shape, std::move(columns));
  std::vector<std::string> fields;
  for (;;) {
    LUTDB_ASSIGN_OR_RETURN(const bool any, reader.Next(&fields));
    if (!any) return loader.Finish();
    if (fields.size() != names.size()) {
      return DataLoss("{}, line {}: {} fields, but the first line has {}", options.csv,
                      reader.line(), fields.size(), names.size());
    }
    LUTDB_RETURN_IF_ERROR(loader.Add(fields, reader.line()));
  }
}

}  // namespace lutdb
