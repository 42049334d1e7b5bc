// Comma-separated values (RFC 4180: quotes doubled inside quotes, line breaks allowed there).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace lutdb {

// Reads the records of a text that outlives it. Memory: one record.
class CsvReader {
 public:
  // `path` is for messages. A byte order mark is passed over.
  CsvReader(std::string_view text, std::string path);

  // The next record's fields, spaces around unquoted ones removed; empty lines are passed over.
  // False at the end. DataLoss for a quote that is not closed or not at the ends of its field, and
  // for more than 65,536 fields.
  absl::StatusOr<bool> Next(std::vector<std::string>* fields);
  uint64_t line() const { return record_line_; }  // where the record began, from 1

 private:
  absl::Status ReadQuoted(std::string* field);
  bool AtLineEnd() const;

  std::string_view rest_;
  std::string path_;
  uint64_t line_ = 1, record_line_ = 1;
};

}  // namespace lutdb
