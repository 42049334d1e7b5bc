#include "engine/csv_reader.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr size_t kFieldsMax = 65536;

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

CsvReader::CsvReader(std::string_view text, std::string path)
    : rest_(text), path_(std::move(path)) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (rest_.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    rest_.remove_prefix(kByteOrderMark.size());
  }
}

bool CsvReader::AtLineEnd() const {
  return rest_.empty() || rest_[0] == '\n' || rest_.substr(0, 2) == "\r\n";
}

// After the opening quote.
absl::Status CsvReader::ReadQuoted(std::string* field) {
  for (;;) {
    const size_t quote = rest_.find('"');
    if (quote == std::string_view::npos) {
      return DataLoss("{}, line {}: a quote is not closed", path_, record_line_);
    }
    const std::string_view piece = rest_.substr(0, quote);
    line_ += static_cast<uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
    field->append(piece);
    rest_.remove_prefix(quote + 1);
    if (rest_.empty() || rest_[0] != '"') return absl::OkStatus();
    field->push_back('"');
    rest_.remove_prefix(1);
  }
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>* fields) {
  while (!rest_.empty() && AtLineEnd()) {
    rest_.remove_prefix(rest_[0] == '\n' ? 1 : 2);
    ++line_;
  }
  record_line_ = line_;
  if (rest_.empty()) return false;
  size_t count = 0;
  for (;;) {
    if (count == kFieldsMax) {
      return DataLoss("{}, line {}: more than {} fields", path_, record_line_, kFieldsMax);
    }
    if (fields->size() == count) fields->emplace_back();
    std::string& field = (*fields)[count++];
    field.clear();
    if (!rest_.empty() && rest_[0] == '"') {
      rest_.remove_prefix(1);
      LUTDB_RETURN_IF_ERROR(ReadQuoted(&field));
      if (!AtLineEnd() && rest_[0] != ',') {
        return DataLoss("{}, line {}: text follows a closing quote", path_, record_line_);
      }
    } else {
      size_t end = std::min(rest_.find_first_of(",\n"), rest_.size());
      if (end < rest_.size() && rest_[end] == '\n' && end > 0 && rest_[end - 1] == '\r') --end;
      field = Trim(rest_.substr(0, end));
      rest_.remove_prefix(end);
    }
    if (AtLineEnd()) break;
    rest_.remove_prefix(1);  // the comma
  }
  fields->resize(count);
  return true;
}

}  // namespace lutdb
