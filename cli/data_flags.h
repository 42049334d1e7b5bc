// The options that name a data set; `eval` and `tune` share them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "lutdb/dataset.h"

namespace lutdb::cli {

struct DataFlags {
  DataOptions options;

  // Whether the words name rows: CSV, idx images, arrays or recordings.
  bool given() const;
};

// The sources --csv, --images, --inputs and --wav go to `sources`, a group of which the caller
// requires what it wants; what describes them goes to `app`. `flags` must outlive the parsing.
void AddDataFlags(CLI::App& app, CLI::Option_group* sources, DataFlags* flags);

// --valid-fraction and --seed: which rows are held out.
void AddHeldOut(CLI::App& app, double* valid_fraction, uint64_t* seed, const std::string& help);

}  // namespace lutdb::cli
