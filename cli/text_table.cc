#include "cli/text_table.h"

#include <algorithm>

#include "base/check.h"

namespace lutdb::cli {
namespace {

// Characters, not bytes: continuation bytes of UTF-8 take no room on the screen.
size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

void AppendPadded(const std::string& text, size_t width, TextTable::Align align,
                  std::string* line) {
  const std::string padding(width - std::min(width, Width(text)), ' ');
  if (align == TextTable::Align::kRight) *line += padding;
  *line += text;
  if (align == TextTable::Align::kLeft) *line += padding;
}

void EndLine(std::string* line, std::string* text) {
  line->erase(line->find_last_not_of(' ') + 1);
  *text += *line + "\n";
  line->clear();
}

}  // namespace

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

void TextTable::Add(std::vector<std::string> cells) {
  LUTDB_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void TextTable::AddRule() { rows_.emplace_back(); }

std::string TextTable::Format() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = Width(columns_[i].title);
    for (const auto& row : rows_) {
      if (!row.empty()) width = std::max(width, Width(row[i]));
    }
    widths.push_back(width);
  }
  std::string text, line;
  const auto add = [&](auto&& cell) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += "  ";
      AppendPadded(cell(i), widths[i], columns_[i].align, &line);
    }
    EndLine(&line, &text);
  };
  const auto add_rule = [&] { add([&](size_t i) { return std::string(widths[i], '-'); }); };
  add([&](size_t i) { return columns_[i].title; });
  add_rule();
  for (const auto& row : rows_) {
    if (row.empty()) {
      add_rule();
    } else {
      add([&](size_t i) { return row[i]; });
    }
  }
  return text;
}

std::string FormatFacts(const std::vector<std::pair<std::string, std::string>>& facts) {
  size_t width = 0;
  for (const auto& [name, value] : facts) width = std::max(width, Width(name));
  std::string text, line;
  for (const auto& [name, value] : facts) {
    AppendPadded(name, width + 2, TextTable::Align::kLeft, &line);
    line += value;
    EndLine(&line, &text);
  }
  return text;
}

}  // namespace lutdb::cli
