// Commits and changed entries, as people read them and as JSON.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/output.h"
#include "lutdb/history.h"
#include "lutdb/store.h"

namespace lutdb::cli {

inline constexpr size_t kIdDigits = 12;  // of a commit, where people read it
// What people wrote, without what a terminal would obey: other control characters than ends of
// lines and tabs become \xNN.
std::string Printable(std::string_view text);
std::string ShortId(const std::string& id);  // "the build" for ""
// "2026-11-21 12:20:03 UTC"
std::string FormatTime(int64_t seconds);

// Keys id, parents, author, time (seconds since 1970), message, entries, notes (an object or null).
Json CommitJson(const CommitInfo& commit);
// With the figures that were measured before and after.
std::string FormatCommit(const CommitInfo& commit);

// Keys table, neuron, chunk, code, before, after (entries), value_before, value_after (real). The
// names of before and after can be others.
struct ChangeNames {
  std::string before = "before";
  std::string after = "after";
};
// Written piece by piece.
absl::Status WriteChangesJson(const Store& store, const std::vector<EntryChange>& changes,
                              const ChangeNames& names, Output& output);
// A table of the first changes, and how many there are.
absl::Status PrintChanges(const Store& store, const std::vector<EntryChange>& changes,
                          const ChangeNames& names, Output& output);

// The content hash that the store had when it was built: what tells stores apart, whatever was
// edited or baked since.
absl::StatusOr<std::string> BuildHash(const Store& store, const std::string& path);

}  // namespace lutdb::cli
