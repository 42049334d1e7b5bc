// Which tables lie side by side in the arena. Tables that read the same value of the graph with the
// same codes (query, key and value; gate and up) are looked up with one list of row numbers, and a
// row of one directly behind a row of another is one long piece of memory instead of several short
// ones. Only the arena knows panels: records stay one table each.
#pragma once

#include <cstdint>
#include <vector>

#include "query/row_places.h"
#include "query/store_reader.h"

namespace lutdb {

using Panel = std::vector<uint32_t>;  // tables, in the order in which the graph runs them

// Every table of the store in exactly one panel, most of them alone. Together are tables of tiles
// that ops of the graph give the same input, whose rows have the same numbers, entries of the same
// type and records of the same chunks. A store whose graph cannot be read has all tables alone.
std::vector<Panel> PanelsOf(const StoreReader& store, const std::vector<RowPlaces>& places);

}  // namespace lutdb
