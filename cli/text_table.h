// A table for people: columns as wide as their widest cell, numbers to the right.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lutdb::cli {

class TextTable {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };

  explicit TextTable(std::vector<Column> columns);
  // One cell per column; missing ones are empty, surplus ones are an error of ours.
  void Add(std::vector<std::string> cells);
  // A line across, before a row of totals.
  void AddRule();
  // Lines end in '\n'; no trailing spaces.
  std::string Format() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

// "name   value" lines, names aligned: the head of a report.
std::string FormatFacts(const std::vector<std::pair<std::string, std::string>>& facts);

}  // namespace lutdb::cli
