// The "table" object of a graph file's linear op: how the table's inputs are coded.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "ingest/model_source.h"

namespace lutdb {

// Fills coding_given, chunk, chunks, levels, fixed_scale and input_scales of a table whose inputs
// and neurons are set. When inputs have different numbers of levels and no input_scales are given,
// these are chosen so that every input covers the same range. `where` begins error messages.
// DataLoss.
absl::Status ReadTableCoding(const nlohmann::json& object, const std::string& where,
                             SourceTable* table);

}  // namespace lutdb
