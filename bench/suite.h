// The measurements of `./dev bench`: groups of figures that share what they are measured on. Each
// group makes what it needs in the scratch folder, checks that results are right before it times
// them, and removes it again, so that the suite never needs the disk or memory of two groups.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "bench/report.h"

namespace lutdb::bench {

struct Suite {
  std::string folder;              // scratch; exists
  std::string peers;               // where `./dev bench --peers` put the peers
  std::vector<std::string> names;  // figures wanted; empty: all
  bool quick = false;              // small sizes, to see that everything runs
  Report report;

  bool Wants(const std::string& name) const;
  bool WantsAny(const std::vector<std::string>& some) const;
};

// The groups, in the order they run.
void MeasureHot(Suite* suite);       // hot.cc
void MeasureFrontier(Suite* suite);  // frontier.cc
void MeasureStorage(Suite* suite);   // storage.cc
void MeasureCold(Suite* suite);      // cold.cc

// Names of every figure, in the order of the groups.
const std::vector<std::string>& FigureNames();

// A failure ends the suite: figures of something broken help nobody.
[[noreturn]] void Die(const std::string& message);
inline void Check(const absl::Status& status) {
  if (!status.ok()) Die(Message(status));
}
template <typename T>
T Checked(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

}  // namespace lutdb::bench
