// Edits that were baked into the records of the base generation: what entries are there beside
// those that follow from the weights. Read from the `history` family, where the bake left them.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "coding/patch_record.h"
#include "db/rocks.h"
#include "ingest/store_layout.h"

namespace lutdb {

class BakedEdits {
 public:
  // All of them: memory follows the number of edited entries. DataLoss when damaged.
  static absl::StatusOr<BakedEdits> Load(const db::Rocks& rocks,
                                         const std::vector<PlannedTable>& tables);

  bool empty() const { return tiles_.empty(); }
  bool Touch(uint32_t table, uint32_t group, uint32_t block) const {
    return tiles_.contains({table, group, block});
  }
  // Puts the edits of one chunk over entries of codes [begin, end) of a block of 64 neurons, 64 per
  // code.
  void Apply(const TableGeometry& geometry, const TileId& tile, uint32_t chunk, uint32_t begin,
             uint32_t end, void* entries) const;

 private:
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, TileDeltas> tiles_;  // table, group, block
};

}  // namespace lutdb
