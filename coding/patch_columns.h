// Bodies of large patches: gaps, values before and values after in byte planes of their own, as
// differences along the codes. Where a whole table was tuned the values before are products, which
// rise evenly, and those after were often rounded to some power of two: seven bits an entry instead
// of 36. docs/format.md, "History".
#pragma once

#include <string>
#include <string_view>

#include "coding/patch_record.h"

namespace lutdb {

// with_before: the values before are kept, too. deltas: ascending by index.
void AppendPatchColumns(const TileDeltas& deltas, bool with_before, std::string* out);

// Restores `count` deltas from a whole body; before is 0 where it was not kept. False when the body
// is damaged. What values and indices may be is for the caller to check.
bool ReadPatchColumns(std::string_view body, size_t count, bool with_before, TileDeltas* deltas);

}  // namespace lutdb
