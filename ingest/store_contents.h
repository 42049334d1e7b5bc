// A finished store as the builder once planned it: layout, steps and small blobs, read and judged.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "db/manifest.h"
#include "ingest/baked_edits.h"
#include "ingest/store_layout.h"

namespace lutdb {

struct StoreContents {
  StoreLayout layout;
  std::vector<std::vector<float>> steps;  // per table; empty: damaged or missing
  BakedEdits baked;                       // empty also when they are damaged
  // False when something that records are made from, besides weights and steps, cannot be read.
  bool sources_known = true;
};

// Problems of blobs go to `problem`, one line each; a status is returned when the tables themselves
// are impossible and nothing further can be checked.
absl::StatusOr<StoreContents> ReadContents(const db::OpenedStore& store,
                                           const std::function<void(const absl::Status&)>& problem);

}  // namespace lutdb
