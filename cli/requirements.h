// What edits must keep true of the neurons and chunks they touch: --require monotone,bounds=A:B.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lutdb/history.h"
#include "lutdb/store.h"

namespace lutdb::cli {

struct Requirements {
  // Along the levels of each input of the chunk, the entries of a neuron only rise or only fall.
  bool monotone = false;
  // Every entry of a neuron in the chunk lies within these, in real units.
  std::optional<std::pair<double, double>> bounds;

  bool any() const { return monotone || bounds.has_value(); }
  std::vector<std::string> Words() const;  // as they were asked for
};

// "monotone", "bounds=A:B" or both with a comma between. InvalidArgument.
absl::StatusOr<Requirements> ParseRequirements(const std::string& text);

// Whether the requirements hold once `changes` are made to what `store` reads: looks at all codes
// of each neuron and chunk that changes. FailedPrecondition names the first offender.
absl::Status CheckRequirements(const Requirements& requirements, const Store& store,
                               absl::Span<const EntryChange> changes);

}  // namespace lutdb::cli
