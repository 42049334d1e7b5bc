// A small store of random tables, made through db and coding alone, with the scalar definition of
// every entry beside it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coding/levels.h"
#include "schemas/manifest.h"

namespace lutdb::testing {

class SmallTable {
 public:
  // Random weights (some rows and columns zero) from `seed`.
  SmallTable(const TableSpec& spec, uint32_t seed);

  const TableSpec& spec() const { return spec_; }
  const TableGeometry& geometry() const { return geometry_; }
  const std::vector<float>& steps() const { return steps_; }
  int64_t Slope(uint32_t neuron, uint32_t chunk, uint32_t position) const;
  // The entry, by EntryOf.
  int32_t Expected(uint32_t neuron, uint32_t chunk, uint32_t code) const;

 private:
  TableSpec spec_;
  TableGeometry geometry_;
  std::vector<float> weights_;  // neurons x inputs
  std::vector<float> steps_;
};

class SmallStore {
 public:
  // Writes a finished store of these tables (ids are set to their order) into a fresh directory
  // named after `name`; dies when that fails. content: goes into the manifest's hashes.
  SmallStore(const std::string& name, std::vector<TableSpec> specs, uint32_t content = 1);
  ~SmallStore();
  SmallStore(const SmallStore&) = delete;

  const std::string& path() const { return path_; }
  const std::vector<SmallTable>& tables() const { return tables_; }
  const SmallTable& table(size_t i) const { return tables_[i]; }

 private:
  std::string path_;
  std::vector<SmallTable> tables_;
};

// A spec with consecutive chunks.
struct UniformTable {
  std::string name = "t";
  uint32_t inputs = 10;
  uint32_t neurons = 70;
  uint32_t chunk = 1;
  int bits = 4;
  Grid grid = Grid::kSigned;
  EntryType entry = EntryType::kI16;
  Layout layout = Layout::kTile;
  Codec codec = Codec::kProduct;
  bool mirror = false;
};
TableSpec SpecOf(const UniformTable& table);
// Chunks of 1, 2 and 3 inputs, permuted, overlapping, of mixed bits and grids.
TableSpec ListsSpec(const std::string& name, Layout layout, Codec codec, bool mirror);
// Every kind of table worth telling apart, named for what it is.
std::vector<TableSpec> ManySpecs();

}  // namespace lutdb::testing
