// A source tensor as the store keeps it, filled from records on demand and seen as if it were
// mapped: what verify and repair recompute entries from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "db/rocks.h"
#include "ingest/model_source.h"
#include "schemas/table_spec.h"

namespace lutdb {

// Address space for the whole tensor, memory for the rows that were loaded. Not thread-safe; must
// not outlive the database.
class KeptTensor {
 public:
  // ResourceExhausted when there is no address space.
  static absl::StatusOr<std::unique_ptr<KeptTensor>> Open(const db::Rocks& rocks,
                                                          const TensorSpec& spec);
  ~KeptTensor();
  KeptTensor(const KeptTensor&) = delete;

  // Makes rows [begin, end) readable through source(); loaded ones are not read again. DataLoss
  // when a record is missing or damaged.
  absl::Status Load(uint64_t begin, uint64_t end);
  // Lets go of all rows.
  void Drop();
  const SourceTensor& source() const { return source_; }

 private:
  KeptTensor(const db::Rocks& rocks, const TensorSpec& spec) : rocks_(rocks), spec_(spec) {}
  const db::Rocks& rocks_;
  TensorSpec spec_;
  SourceTensor source_;
  uint8_t* memory_ = nullptr;
  uint64_t bytes_ = 0;
  std::vector<bool> loaded_;  // per record
  std::string rows_;
};

}  // namespace lutdb
