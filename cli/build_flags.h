// The options that decide what is built; `plan` and `build` share them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "lutdb/options.h"

namespace lutdb::cli {

// Words as given on the command line; a word that is not one of the allowed is refused by the
// parser.
struct BuildFlags {
  BuildOptions options;
  std::string grid = "signed";
  std::string entry = "i16";
  std::string layout = "tile";
  std::string codec = "smallest";
};

// `flags` must outlive the parsing.
void AddBuildFlags(CLI::App& app, BuildFlags* flags);
// The options with the words turned into what they name.
BuildOptions ToBuildOptions(const BuildFlags& flags);

}  // namespace lutdb::cli
