#include "engine/csv_columns.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/status.h"

namespace lutdb {
namespace {

constexpr size_t kDerivedMax = 4096;

// The whole of `text` as a number.
bool ReadNumber(const std::string& text, double* value) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, *value);
  return error == std::errc() && stop == end;
}

// For a message of one line.
std::string Shown(const std::string& field) {
  std::string shown = field.substr(0, 40);
  for (char& c : shown) c = static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c;
  return shown;
}

bool IsMissing(const std::string& field) {
  if (field.empty() || field == "?") return true;
  if (field.size() > 4) return false;
  std::string lower = field;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

}  // namespace

absl::StatusOr<uint32_t> CsvColumns::Find(const std::string& name) const {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found != names_.end()) return static_cast<uint32_t>(found - names_.begin());
  const size_t shown = std::min<size_t>(names_.size(), 12);
  return InvalidArgument("{} has no column '{}'; it has {}{}", path_, name,
                         fmt::join(names_.begin(), names_.begin() + shown, ", "),
                         names_.size() > shown ? ", ..." : "");
}

bool CsvColumns::ReadOperand(const std::string& word, Operand* operand) const {
  const auto found = std::find(names_.begin(), names_.end(), word);
  operand->is_column = found != names_.end();
  if (operand->is_column) {
    operand->column = static_cast<uint32_t>(found - names_.begin());
    return true;
  }
  return ReadNumber(word, &operand->number) && std::isfinite(operand->number);
}

absl::Status CsvColumns::AddDerivation(const std::string& expression) {
  const size_t equals = expression.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == expression.size()) {
    return InvalidArgument("--derive '{}' is not of the form name=a/b", expression);
  }
  const std::string name = expression.substr(0, equals);
  if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
    return InvalidArgument("--derive '{}': {} has a column '{}' already", expression, path_, name);
  }
  if (derivations_.size() == kDerivedMax) {
    return InvalidArgument("more than {} derived columns", kDerivedMax);
  }
  const std::string right = expression.substr(equals + 1);
  Derivation derivation;
  bool read = false;
  if (const size_t compare = right.find("=="); compare != std::string::npos) {
    derivation.operation = '=';
    derivation.text = right.substr(compare + 2);
    LUTDB_ASSIGN_OR_RETURN(derivation.a.column, Find(right.substr(0, compare)));
    if (derivation.a.column >= file_columns_) {
      return InvalidArgument("--derive '{}': == compares columns of the file only", expression);
    }
    derivation.a.is_column = read = true;
  }
  // Names may hold signs themselves (and numbers do), so every split is tried.
  for (size_t at = 1; !read && at + 1 < right.size(); ++at) {
    derivation.operation = right[at];
    read = std::string_view("/*+-").find(right[at]) != std::string_view::npos &&
           ReadOperand(right.substr(0, at), &derivation.a) &&
           ReadOperand(right.substr(at + 1), &derivation.b);
  }
  if (!read) {
    return InvalidArgument(
        "--derive '{}': '{}' is no a/b, a*b, a+b or a-b of two columns (or a column and a number), "
        "and no column==text",
        expression, right);
  }
  names_.push_back(name);
  derivations_.push_back(std::move(derivation));
  return absl::OkStatus();
}

void CsvColumns::Use(uint32_t column, bool as_text) {
  (as_text ? as_text_ : as_number_)[column] = true;
  if (!is_derived(column)) return;
  const Derivation& derivation = derivations_[column - file_columns_];
  if (derivation.a.is_column) Use(derivation.a.column, derivation.operation == '=');
  if (derivation.b.is_column) Use(derivation.b.column, false);
}

absl::Status CsvColumns::ChooseInputs(const DataOptions& options, const DataShape& shape) {
  LUTDB_ASSIGN_OR_RETURN(target_, Find(options.target));
  as_number_.assign(names_.size(), false);
  as_text_.assign(names_.size(), false);
  const std::vector<std::string>& listed =
      options.columns.empty() ? shape.input_names : options.columns;
  for (const std::string& name : listed) {
    LUTDB_ASSIGN_OR_RETURN(const uint32_t column, Find(name));
    if (column == target_) return InvalidArgument("the target '{}' is among the inputs", name);
    inputs_.push_back(column);
  }
  if (listed.empty()) {
    // What the target is made of would give it away.
    Use(target_, false);
    for (uint32_t column = 0; column < names_.size(); ++column) {
      if (!as_number_[column] && !as_text_[column]) inputs_.push_back(column);
    }
    as_number_.assign(names_.size(), false);
    as_text_.assign(names_.size(), false);
  }
  for (const uint32_t column : inputs_) Use(column, false);
  // The target itself is a number or a text, as the network wants it: Read knows.
  const bool target_is_input = as_number_[target_];
  Use(target_, false);
  as_number_[target_] = target_is_input;
  return absl::OkStatus();
}

absl::Status CsvColumns::CheckInputs(const DataShape& shape) const {
  if (shape.inputs == 0 || inputs_.size() == shape.inputs) return absl::OkStatus();
  const size_t shown = std::min<size_t>(inputs_.size(), 12);
  std::vector<std::string> names;
  for (size_t i = 0; i < shown; ++i) names.push_back(names_[inputs_[i]]);
  return InvalidArgument(
      "{} gives {} inputs ({}{}), but the network takes {}; choose them with "
      "--columns",
      path_, inputs_.size(), fmt::join(names, ", "), inputs_.size() > shown ? ", ..." : "",
      shape.inputs);
}

absl::StatusOr<CsvColumns> CsvColumns::Create(const std::vector<std::string>& names,
                                              const DataOptions& options, const DataShape& shape) {
  CsvColumns columns;
  columns.path_ = options.csv;
  columns.names_ = names;
  columns.file_columns_ = static_cast<uint32_t>(names.size());
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return InvalidArgument("{} names the column '{}' twice", options.csv, *twice);
  }
  if (options.target.empty()) {
    return InvalidArgument("{}: which column to predict? Give it with --target", options.csv);
  }
  for (const std::string& expression : options.derive) {
    LUTDB_RETURN_IF_ERROR(columns.AddDerivation(expression));
  }
  LUTDB_RETURN_IF_ERROR(columns.ChooseInputs(options, shape));
  LUTDB_RETURN_IF_ERROR(columns.CheckInputs(shape));
  return columns;
}

absl::StatusOr<double> CsvColumns::Derive(const Derivation& derivation,
                                          absl::Span<const std::string> fields,
                                          absl::Span<const double> values) const {
  if (derivation.operation == '=') {
    return fields[derivation.a.column] == derivation.text ? 1.0 : 0.0;
  }
  const auto value = [&](const Operand& operand) {
    return operand.is_column ? values[operand.column] : operand.number;
  };
  const double a = value(derivation.a), b = value(derivation.b);
  switch (derivation.operation) {
    case '/':
      return a / b;
    case '*':
      return a * b;
    case '+':
      return a + b;
    default:
      return a - b;
  }
}

absl::StatusOr<CsvColumns::Outcome> CsvColumns::Read(absl::Span<const std::string> fields,
                                                     const std::string& where, bool text_target,
                                                     std::vector<double>* values,
                                                     uint32_t* missing) const {
  values->resize(names_.size());
  const auto is_number = [&](uint32_t column) {
    return as_number_[column] || (column == target_ && !text_target);
  };
  for (uint32_t column = 0; column < file_columns_; ++column) {
    const bool used = as_number_[column] || as_text_[column] || column == target_;
    if (!used || !IsMissing(fields[column])) continue;
    *missing = column;
    return Outcome::kIncomplete;
  }
  for (uint32_t column = 0; column < names_.size(); ++column) {
    double& value = (*values)[column];
    if (is_derived(column)) {
      if (!as_number_[column] && column != target_) continue;
      LUTDB_ASSIGN_OR_RETURN(value, Derive(derivations_[column - file_columns_], fields, *values));
    } else {
      if (!is_number(column)) continue;
      if (!ReadNumber(fields[column], &value)) {
        return DataLoss("{}, column '{}': '{}' is not a number", where, names_[column],
                        Shown(fields[column]));
      }
    }
    if (!(std::fabs(value) <= double{std::numeric_limits<float>::max()})) {
      return DataLoss("{}, column '{}': {} is not a finite 32-bit number", where, names_[column],
                      value);
    }
  }
  return Outcome::kWhole;
}

}  // namespace lutdb
