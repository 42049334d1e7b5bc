// The options that decide what is built; `plan` and `build` share them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/statusor.h"
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
  std::string levels = "grid";
  std::string coding = "levels";
  std::string calibrate;  // file of representative inputs; empty: none
};

// `flags` must outlive the parsing.
void AddBuildFlags(CLI::App& app, BuildFlags* flags);
// The options with the words turned into what they name. InvalidArgument for contradictions.
absl::StatusOr<BuildOptions> ToBuildOptions(const BuildFlags& flags);
// Runs the model's f32 weights over the calibration file, if one is given, and adds what its tables
// saw to the options. A store of the weights is built for it as `scratch` and removed again.
absl::Status Calibrate(const std::string& model, const std::string& scratch,
                       const BuildFlags& flags, BuildOptions* options);

}  // namespace lutdb::cli
