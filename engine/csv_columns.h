// Which columns of a CSV file a data set is made of, and the numbers a record gives for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/dataset.h"

namespace lutdb {

class CsvColumns {
 public:
  // `names` are the file's columns in order. InvalidArgument: a column that is not there or named
  // twice, a derivation that cannot be read, inputs that are not as many as the network's.
  static absl::StatusOr<CsvColumns> Create(const std::vector<std::string>& names,
                                           const DataOptions& options, const DataShape& shape);

  const std::vector<uint32_t>& inputs() const { return inputs_; }
  uint32_t target() const { return target_; }
  const std::string& name(uint32_t column) const { return names_[column]; }
  bool is_derived(uint32_t column) const { return column >= file_columns_; }

  enum class Outcome { kWhole, kIncomplete };
  // Numbers of every column in use (the others are left), derived ones included, into `values`
  // (one per column). The target is read as a number unless `text_target`. kIncomplete: a field in
  // use is missing, and its column is in `missing`. DataLoss naming `where` and the column for what
  // is not a finite number.
  absl::StatusOr<Outcome> Read(absl::Span<const std::string> fields, const std::string& where,
                               bool text_target, std::vector<double>* values,
                               uint32_t* missing) const;

 private:
  struct Operand {
    bool is_column = false;
    uint32_t column = 0;
    double number = 0;
  };
  struct Derivation {
    char operation = '/';  // / * + - or = (the text of a column is `text`)
    Operand a, b;
    std::string text;
  };

  absl::StatusOr<uint32_t> Find(const std::string& name) const;
  bool ReadOperand(const std::string& word, Operand* operand) const;
  absl::Status AddDerivation(const std::string& expression);
  absl::Status ChooseInputs(const DataOptions& options, const DataShape& shape);
  absl::Status CheckInputs(const DataShape& shape) const;
  // Marks the file's columns that `column` is made of.
  void Use(uint32_t column, bool as_text);
  absl::StatusOr<double> Derive(const Derivation& derivation, absl::Span<const std::string> fields,
                                absl::Span<const double> values) const;

  std::string path_;
  std::vector<std::string> names_;  // the file's columns, then the derived ones
  uint32_t file_columns_ = 0;
  std::vector<Derivation> derivations_;
  std::vector<uint32_t> inputs_;
  uint32_t target_ = 0;
  std::vector<bool> as_number_, as_text_;  // how a column is used
};

}  // namespace lutdb
