// Tables that start without weights: every entry is zero until edits or training say otherwise.
//
// To the builder such a table is one whose weights are all zero and whose step is declared, so that
// records, checks and repair are those of every table, and a record is a few bytes. Rejected:
// tables without base records, which every reader would have to know about.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "ingest/model_source.h"
#include "schemas/table_spec.h"

namespace lutdb {

// The weights of a table: its tensor, or zeros of its shape that take no memory.
SourceTensor WeightsOf(const std::vector<SourceTensor>& tensors, const TableSpec& spec);

// Decides what a table without weights needs: a fixed input scale (if none is given, the one that
// lets the widest input's levels end at 1), and the step at which its entries cover `range` in the
// unit of the table's output. InvalidArgument when the step is no normal f32 number.
absl::Status ResolveLearned(float range, TableSpec* spec);

// Unimplemented, naming it, when a table without weights is among them; `what` needs weights.
absl::Status RefuseLearned(const std::vector<SourceTable>& tables, const char* what);

}  // namespace lutdb
