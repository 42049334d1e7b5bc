// The scanner behind tidy_test.cc: what a source file of ours may look like.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lutdb::tidy {

// One file of the repository: its path from the root and its text.
struct SourceFile {
  std::string path;
  std::string text;
};

// Every rule gives one line per violation, "path:line: what is wrong", and nothing for a good file.
using Problems = std::vector<std::string>;

// Includes go down the layers only; only db includes RocksDB; public headers include nothing but
// the standard library, Abseil and each other.
Problems CheckIncludes(const SourceFile& file);
// Files of at most 600 lines (data tables included), lines of at most 100 columns, functions of at
// most 70 lines, no markers of unfinished work, no paths of one machine.
Problems CheckText(const SourceFile& file);
// File names say what a file is about.
Problems CheckName(const std::string& path);
// Every source is in a target: its path from the folder of some CMakeLists.txt stands in that file.
Problems CheckRegistered(const std::vector<SourceFile>& files);

// The layer a path belongs to, "" for what is outside the layers (tests, bench, examples).
std::string LayerOf(const std::string& path);

}  // namespace lutdb::tidy
