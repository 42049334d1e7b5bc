// The tables of one kind, seen together: a transformer's layers repeat the same few tables, and a
// person wants one line for "q_proj of all 28 layers".
#pragma once

#include <string>
#include <vector>

namespace lutdb::cli {

struct LayerGroup {
  std::string name;             // "model.layers.*.mlp.up_proj", or the one table's own name
  std::vector<size_t> members;  // indices, ascending
};

// Groups names that differ in one number only ("a.0.b", "a.1.b") and have equal keys; in the order
// of their first members. names and keys are of the same length.
std::vector<LayerGroup> GroupLayers(const std::vector<std::string>& names,
                                    const std::vector<std::string>& keys);

}  // namespace lutdb::cli
