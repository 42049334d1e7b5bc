// Stores of one random layer, and a table of it ready to be looked up.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/look_up_add.h"
#include "engine/thread_team.h"
#include "lutdb/options.h"
#include "query/row_source.h"
#include "query/store_reader.h"

namespace lutdb::bench {

struct LayerShape {
  uint32_t inputs = 4096;
  uint32_t neurons = 4096;
};

// Weights of the layer, neurons x inputs, normal with deviation 0.02; the same for the same shape.
std::vector<float> LayerWeights(const LayerShape& shape);

// Signed levels of so many bits, so many inputs to a chunk, i8 entries.
BuildOptions LayerOptions(int bits, uint32_t chunk);

// Builds folder/name.lut with the one table "l"; the model file is removed. Ends the program when
// that fails.
std::string BuildLayer(const std::string& folder, const std::string& name, const LayerShape& shape,
                       BuildOptions options);

// The table of such a store, opened with an arena and a number of threads; rows are made on
// row_threads, or as many as add them if those are more.
class OpenLayer {
 public:
  OpenLayer(const std::string& store, uint64_t arena_bytes, unsigned threads,
            uint64_t cache_bytes = 64 << 20, unsigned row_threads = 2);

  const TableGeometry& geometry() const { return store_->geometry(0); }
  const StoreReader& store() const { return *store_; }
  RowSource& rows() { return *rows_; }
  LookUpAdd& sums() { return *sums_; }

  // Looks rows up until no call has to make any: all of the table is in the arena then.
  void Warm();
  // Random codes of one vector, each code of its chunk as likely as any.
  std::vector<uint16_t> RandomCodes();
  // Sums of `codes` by the definition of every entry, for `count` of the neurons, are those that
  // look-up and add finds; ends the program otherwise.
  void CheckSums(const std::vector<uint16_t>& codes);

  std::mt19937_64& random() { return random_; }

 private:
  std::unique_ptr<StoreReader> store_;
  std::unique_ptr<RowSource> rows_;
  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<LookUpAdd> sums_;
  std::mt19937_64 random_{17};
};

}  // namespace lutdb::bench
