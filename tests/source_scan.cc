#include "tests/source_scan.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

namespace lutdb::tidy {
namespace {

constexpr size_t kLinesMax = 600;
constexpr size_t kColumnsMax = 100;
constexpr size_t kFunctionLinesMax = 70;

// What each layer may include, itself and include/lutdb apart.
const std::map<std::string, std::set<std::string>>& LayerRules() {
  static const std::map<std::string, std::set<std::string>> rules = {
      {"include/lutdb", {}},
      {"base", {}},
      {"schemas", {"base"}},
      {"coding", {"schemas", "base"}},
      {"engine/kernels", {"coding", "schemas", "base"}},
      {"db", {"schemas", "base"}},
      {"query", {"db", "coding", "engine/kernels", "schemas", "base"}},
      {"ingest", {"db", "coding", "engine/kernels", "schemas", "base"}},
      {"engine", {"query", "engine/kernels", "db", "coding", "schemas", "base"}},
      {"cli", {"ingest", "query", "engine", "engine/kernels", "db", "coding", "schemas", "base"}},
  };
  return rules;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}
bool StartsWith(const std::string& text, const std::string& begin) {
  return text.compare(0, begin.size(), begin) == 0;
}
bool IsCpp(const std::string& path) { return EndsWith(path, ".cc") || EndsWith(path, ".h"); }

std::string At(const std::string& path, size_t line, const std::string& what) {
  return path + ":" + std::to_string(line) + ": " + what;
}

// "#include <x>" or "#include "x"" -> x and whether it stands in angle brackets.
bool ParseInclude(const std::string& line, std::string* name, bool* angle) {
  if (!StartsWith(line, "#include")) return false;
  const size_t begin = line.find_first_of("<\"");
  if (begin == std::string::npos) return false;
  const size_t end = line.find_first_of(">\"", begin + 1);
  if (end == std::string::npos) return false;
  *name = line.substr(begin + 1, end - begin - 1);
  *angle = line[begin] == '<';
  return true;
}

// The target layer of an include as it is written from the root of the repository.
std::string IncludedLayer(const std::string& name) {
  if (StartsWith(name, "lutdb/")) return "include/lutdb";
  return LayerOf(name);
}

// Text with comments, strings and characters blanked, lines kept, so that braces can be counted.
std::string BlankNonCode(const std::string& text) {
  std::string code = text;
  enum { kCode, kLineComment, kBlockComment, kString, kCharacter } state = kCode;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (state == kCode) {
      const bool digit_separator = i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1]));
      if (c == 'R' && next == '"') {  // R"tag( ... )tag"
        const size_t open = std::min(text.find('(', i), text.size());
        std::string closing = text.substr(i + 1, open - i - 1);
        closing[0] = ')';
        closing += '"';
        const size_t close = text.find(closing, open);
        const size_t end = close == std::string::npos ? text.size() : close + closing.size();
        for (size_t j = i; j < end; ++j) code[j] = text[j] == '\n' ? '\n' : ' ';
        i = end - 1;
        continue;
      }
      if (c == '/' && next == '/') state = kLineComment;
      if (c == '/' && next == '*') state = kBlockComment;
      if (c == '"') state = kString;
      if (c == '\'' && !digit_separator) state = kCharacter;
      if (state != kCode) code[i] = ' ';
      continue;
    }
    if (c != '\n') code[i] = ' ';
    if (state == kLineComment && c == '\n') state = kCode;
    if (state == kBlockComment && c == '*' && next == '/') {
      code[++i] = ' ';
      state = kCode;
    }
    if (state == kString || state == kCharacter) {
      if (c == '\\' && next != '\0') {
        ++i;
        if (text[i] != '\n') code[i] = ' ';
      } else if (c == (state == kString ? '"' : '\'')) {
        state = kCode;
      }
    }
  }
  return code;
}

// True when the text before an opening brace says that a namespace, type or list begins there
// rather than a function body. `head` is the code since the last ';', '{' or '}'.
bool OpensScopeOfOthers(const std::string& head) {
  std::istringstream words(head);
  std::string word;
  bool parameters = false;
  for (char c : head) parameters |= c == ')';
  while (words >> word) {
    if (word == "namespace" || word == "extern") return true;
    if (!parameters && (word == "class" || word == "struct" || word == "enum" || word == "union")) {
      return true;
    }
  }
  return !parameters;  // an initialiser
}

// Functions are the outermost braces after a parameter list; lambdas and blocks inside them count
// as part of them.
void CheckFunctions(const SourceFile& file, Problems* problems) {
  const std::string code = BlankNonCode(file.text);
  size_t line = 1, head_begin = 0, function_line = 0, function_depth = 0, depth = 0, head_line = 1;
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (c == '\n') ++line;
    if (std::isspace(static_cast<unsigned char>(code[head_begin])) && head_begin < i) {
      head_begin = i;  // the head begins at its first word
      head_line = line;
    }
    if (c == '{') {
      ++depth;
      if (function_depth == 0 && !OpensScopeOfOthers(code.substr(head_begin, i - head_begin))) {
        function_depth = depth;
        function_line = head_line;
      }
    } else if (c == '}' && depth > 0) {
      if (depth == function_depth) {
        function_depth = 0;
        const size_t lines = line - function_line + 1;
        if (lines > kFunctionLinesMax) {
          problems->push_back(At(file.path, function_line,
                                 "a function of " + std::to_string(lines) + " lines; split it"));
        }
      }
      --depth;
    }
    if (c == '{' || c == '}' || c == ';') {
      head_begin = i + 1;
      head_line = line;
      if (head_begin >= code.size()) break;
    }
  }
}

// The words of a CMakeLists.txt. Those that use the variable of a foreach() stand for one word for
// each of its items.
std::set<std::string> ListedWords(std::string text) {
  std::map<std::string, std::vector<std::string>> loops;
  for (size_t at = text.find("foreach("); at != std::string::npos;
       at = text.find("foreach(", at + 1)) {
    const size_t begin = at + std::string("foreach(").size();
    std::istringstream items(text.substr(begin, text.find(')', begin) - begin));
    std::string variable;
    items >> variable;
    for (std::string item; items >> item;) loops["${" + variable + "}"].push_back(item);
  }
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '(' || c == ')' || c == '"'; }, ' ');
  std::set<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    words.insert(word);
    for (const auto& [variable, items] : loops) {
      const size_t place = word.find(variable);
      if (place == std::string::npos) continue;
      for (const std::string& item : items) {
        words.insert(std::string(word).replace(place, variable.size(), item));
      }
    }
  }
  return words;
}

}  // namespace

std::string LayerOf(const std::string& path) {
  if (StartsWith(path, "include/lutdb/")) return "include/lutdb";
  if (StartsWith(path, "engine/kernels/")) return "engine/kernels";
  const std::string folder = path.substr(0, path.find('/'));
  return folder != path && LayerRules().count(folder) > 0 ? folder : "";
}

Problems CheckIncludes(const SourceFile& file) {
  Problems problems;
  const std::string layer = LayerOf(file.path);
  const std::vector<std::string> lines = Lines(file.text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string name;
    bool angle = false;
    if (!IsCpp(file.path) || !ParseInclude(lines[i], &name, &angle)) continue;
    if (StartsWith(name, "rocksdb/") && layer != "db") {
      problems.push_back(At(file.path, i + 1, "only db/ includes RocksDB"));
    }
    if (layer.empty()) continue;
    const std::string target = angle ? "" : IncludedLayer(name);
    const bool allowed = target.empty() || target == layer || target == "include/lutdb" ||
                         LayerRules().at(layer).count(target) > 0;
    if (!allowed) {
      problems.push_back(At(file.path, i + 1, layer + " may not include " + target));
    }
    if (layer != "include/lutdb") continue;
    const bool standard = angle && name.find_first_of("./") == std::string::npos;
    if (!standard && !StartsWith(name, "absl/") && target != "include/lutdb") {
      problems.push_back(At(file.path, i + 1, "public headers include only std, absl and lutdb"));
    }
  }
  return problems;
}

Problems CheckText(const SourceFile& file) {
  Problems problems;
  const std::vector<std::string> lines = Lines(file.text);
  // Written in two halves, so that this file passes its own test.
  const std::vector<std::string> unfinished = {std::string("FIX") + "ME", std::string("TO") + "DO"};
  const std::vector<std::string> machine_paths = {
      std::string("/ho") + "me/", std::string("/wo") + "rk/", std::string("/ro") + "ot/"};
  const bool cpp = IsCpp(file.path);
  if (cpp && lines.size() > kLinesMax) {
    problems.push_back(At(file.path, lines.size(), "a file of more than 600 lines; split it"));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const size_t columns = std::count_if(lines[i].begin(), lines[i].end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    });
    if (cpp && columns > kColumnsMax) {
      problems.push_back(At(file.path, i + 1, "a line of more than 100 columns"));
    }
    for (const std::string& word : unfinished) {
      if (lines[i].find(word) != std::string::npos) {
        problems.push_back(At(file.path, i + 1, "a marker of unfinished work: " + word));
      }
    }
    for (const std::string& path : machine_paths) {
      if (lines[i].find(path) != std::string::npos) {
        problems.push_back(At(file.path, i + 1, "a path of one machine: " + path));
      }
    }
  }
  if (cpp) CheckFunctions(file, &problems);
  return problems;
}

Problems CheckName(const std::string& path) {
  std::string stem = path.substr(path.rfind('/') + 1);
  stem = stem.substr(0, stem.find('.'));
  for (const char* vague : {"util", "utils", "helper", "helpers", "common", "misc"}) {
    const std::string suffix = std::string("_") + vague;
    if (stem == vague || EndsWith(stem, suffix) || StartsWith(stem, std::string(vague) + "_")) {
      return {path + ": name the concept, not '" + vague + "'"};
    }
  }
  return {};
}

Problems CheckRegistered(const std::vector<SourceFile>& files) {
  Problems problems;
  std::map<std::string, std::set<std::string>> words;  // folder of a CMakeLists.txt -> its words
  for (const SourceFile& file : files) {
    if (!EndsWith("/" + file.path, "/CMakeLists.txt")) continue;
    words[file.path.substr(0, file.path.size() - 14)] = ListedWords(file.text);
  }
  for (const SourceFile& file : files) {
    if (!EndsWith(file.path, ".cc")) continue;
    const bool found = std::any_of(words.begin(), words.end(), [&](const auto& list) {
      return StartsWith(file.path, list.first) &&
             list.second.count(file.path.substr(list.first.size())) > 0;
    });
    if (!found) problems.push_back(file.path + ": is in no CMakeLists.txt");
  }
  return problems;
}

}  // namespace lutdb::tidy
