// Whether a text is well-formed XML, for the part of it that our pictures use: elements, quoted
// attributes, text and the five named entities.
#pragma once

#include <cctype>
#include <string>
#include <vector>

namespace lutdb {

// "" or what is wrong.
inline std::string XmlProblem(const std::string& xml) {
  std::vector<std::string> open;
  size_t i = 0, roots = 0;
  const auto name = [&] {
    const size_t begin = i;
    while (i < xml.size() && (isalnum(static_cast<unsigned char>(xml[i])) || xml[i] == '-')) ++i;
    return xml.substr(begin, i - begin);
  };
  const auto character = [&](bool in_text) -> bool {
    const auto c = static_cast<unsigned char>(xml[i]);
    if (c < 0x20 && c != '\n' && c != '\t') return false;
    if (c == '&') {
      const size_t end = xml.find(';', i);
      if (end == std::string::npos) return false;
      const std::string entity = xml.substr(i + 1, end - i - 1);
      if (entity != "amp" && entity != "lt" && entity != "gt" && entity != "quot") return false;
      i = end;
    }
    if (!in_text && c == '<') return false;
    ++i;
    return true;
  };
  while (i < xml.size()) {
    if (xml[i] != '<') {
      if (open.empty() && !isspace(static_cast<unsigned char>(xml[i]))) return "text outside";
      if (!character(true)) return "a bad character at " + std::to_string(i);
      continue;
    }
    ++i;
    if (i < xml.size() && xml[i] == '/') {
      ++i;
      const std::string closed = name();
      if (open.empty() || open.back() != closed) return "</" + closed + "> closes nothing";
      open.pop_back();
      if (i >= xml.size() || xml[i++] != '>') return "an unfinished end tag";
      continue;
    }
    const std::string element = name();
    if (element.empty()) return "a tag without a name";
    if (open.empty() && ++roots > 1) return "two roots";
    while (i < xml.size() && xml[i] == ' ') {
      ++i;
      if (name().empty()) return "an attribute without a name in " + element;
      if (xml.compare(i, 2, "=\"") != 0) return "an attribute without quotes in " + element;
      i += 2;
      while (i < xml.size() && xml[i] != '"') {
        if (!character(false)) return "a bad character in an attribute of " + element;
      }
      ++i;
    }
    if (xml.compare(i, 2, "/>") == 0) {
      i += 2;
    } else if (i < xml.size() && xml[i] == '>') {
      ++i;
      open.push_back(element);
    } else {
      return "an unfinished tag " + element;
    }
  }
  if (!open.empty()) return open.back() + " is not closed";
  return roots == 1 ? "" : "no root";
}

}  // namespace lutdb
