// Patches: many entries and what becomes of each, as `edit` reads them and `diff --patch` writes
// them. JSON Lines, one entry a line,
//
//   {"store": "<content hash>"}                            first line only, may be left out
//   {"address": "hidden[3, 17, 200]", "raw": 51}
//   {"table": "hidden", "neuron": 3, "chunk": 17, "code": 200, "scale": 0.5}
//
// with one of "value" (real), "raw" (entry), "add" (real), "add_raw" (entry) and "scale" (factor);
// or a .npz of the arrays table (names or numbers), neuron, chunk, code and one of value, raw, add,
// add_raw and scale, each with one element per entry or one for all, and perhaps store.
//
// Read piece by piece and checked against the shapes of the tables: what a patch may take in memory
// does not depend on what it says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "lutdb/store.h"

namespace lutdb::cli {

enum class PatchOp : uint8_t { kValue, kRaw, kAdd, kAddRaw, kScale };

struct PatchEntry {
  EntryKey key = {};
  PatchOp op = PatchOp::kRaw;
  double operand = 0;   // finite; whole for kRaw and kAddRaw
  uint64_t number = 0;  // its line, or its index in the arrays
};

struct PatchSinks {
  std::function<absl::Status(const std::string& hash)> store;
  std::function<absl::Status(const PatchEntry&)> entry;
};

// The tables a patch may name.
class PatchTables {
 public:
  // info outlives the tables.
  explicit PatchTables(const StoreInfo& info);
  // NotFound.
  absl::StatusOr<uint32_t> Find(const std::string& name) const;
  absl::StatusOr<uint32_t> Find(uint64_t number) const;
  // OutOfRange names the entry. A table of unlike chunks may have fewer codes in this one.
  absl::Status Check(const EntryKey& key) const;
  const TableInfo& at(uint32_t table) const { return info_.tables[table]; }

 private:
  const StoreInfo& info_;
  absl::flat_hash_map<std::string, uint32_t> by_name_;
};

// "hidden[3, 17, 200]"
std::string EntryAddress(const StoreInfo& info, const EntryKey& key);

// One line of a patch, without its end. `first`: it may be the line that names the store. Errors do
// not name the line.
absl::Status ReadPatchLine(std::string_view line, const PatchTables& tables, bool first,
                           const PatchSinks& sinks);

// A whole patch: a file of JSON Lines, "-" for standard input, or a file called *.npz. Errors name
// the place; those of what the patch says are DataLoss, NotFound or OutOfRange; FailedPrecondition
// for a patch without entries.
absl::Status ReadPatch(const std::string& path, const PatchTables& tables, const PatchSinks& sinks);
absl::Status ReadPatchArrays(const std::string& path, const PatchTables& tables,
                             const PatchSinks& sinks);

// "p.jsonl line 3: " + the message; InvalidArgument becomes DataLoss, since the words that are
// wrong are those of a file.
absl::Status InPatch(const std::string& place, const absl::Status& status);

}  // namespace lutdb::cli
