// Measurements that go with an edit: `eval` of the model as it is and as it would be.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/output.h"
#include "lutdb/dataset.h"
#include "lutdb/eval.h"
#include "lutdb/history.h"

namespace lutdb::cli {

struct MeasureFlags {
  DataOptions rows;  // CSV, idx images or arrays
  std::string tokens, text;
  uint32_t window = 0;

  bool given() const;
  std::string Source() const;  // the files, for people
};

// --eval-csv and --target, --eval-images and --eval-labels, --eval-inputs and --eval-targets,
// --eval-tokens, --eval-text, --eval-window.
void AddMeasureFlags(CLI::App& app, MeasureFlags* flags);

// Evaluates the model at a ref, with changes that are not committed on top (null: none).
absl::StatusOr<EvalReport> Measure(const MeasureFlags& flags, const std::string& store,
                                   const std::string& at, const std::vector<EntryChange>* pending);

Json FiguresJson(const EvalReport& report);
// "accuracy 0.958 -> 0.957 (-0.001)", one line per figure.
std::string FormatFigures(const Json& before, const Json& after);

}  // namespace lutdb::cli
