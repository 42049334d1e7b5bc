// What an interrupted build has finished: a text file of one line per event, each with its own
// checksum, appended and synced before anything relies on it. A torn last line is as if it had
// never been written. docs/format.md, "The journal", has the lines.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "ingest/build_plan.h"
#include "ingest/range_writer.h"

namespace lutdb {

struct JournalState {
  bool has_plan = false;  // false: a new or unreadable journal, nothing is known to be finished
  PlanHashes plan;
  std::map<uint64_t, RangeResult> sealed;  // range index -> result
  std::set<uint64_t> ingested;
};

// Reads as far as lines are whole. ResourceExhausted for a file that is absurdly large; an absent
// file is an empty state.
absl::StatusOr<JournalState> ReadJournal(const std::string& path);

// Appends lines. Not thread-safe.
class JournalWriter {
 public:
  // Starts over with a plan line, replacing what is there.
  static absl::StatusOr<std::unique_ptr<JournalWriter>> Create(const std::string& path,
                                                               const PlanHashes& plan);
  // Goes on after `state`, dropping a torn line.
  static absl::StatusOr<std::unique_ptr<JournalWriter>> Resume(const std::string& path,
                                                               const JournalState& state);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;

  // Each is durable when it returns.
  absl::Status Sealed(uint64_t range, const RangeResult& result);
  absl::Status Ingested(const std::vector<uint64_t>& ranges);

 private:
  JournalWriter(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status Append(const std::string& lines);

  std::string path_;
  int descriptor_;
};

}  // namespace lutdb
