// Build a store from a model file, check it against the weights it came from, mend it, copy it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lutdb/options.h"
#include "lutdb/types.h"

namespace lutdb {

struct PlanTable {
  std::string name;
  uint32_t inputs = 0;
  uint32_t neurons = 0;
  uint32_t chunk = 0;  // inputs per chunk; 0 when chunks are given as lists
  uint32_t codes = 0;  // of the largest chunk
  int input_bits = 0;
  uint64_t raw_bytes = 0;
  uint64_t stored_bytes_estimate = 0;
  uint64_t read_bytes_per_token = 0;
};

// What tables would cost and lose with so many bits for each input.
struct PlanChoice {
  int input_bits = 0;
  uint64_t raw_bytes = 0;
  // Squared error of a table's outputs over their squares on the calibration data, before entries
  // are rounded: the mean over the tables.
  double error = 0;
};

// What a build would cost and give.
struct PlanReport {
  std::string architecture;
  uint64_t weights = 0;                // weights that become tables
  uint64_t weights_bytes = 0;          // all tensors as they are in the model file
  uint64_t raw_bytes = 0;              // addressable: every entry
  uint64_t stored_bytes_estimate = 0;  // on disk, kept source weights included
  uint64_t read_bytes_per_token = 0;   // entries read for one input vector
  uint64_t free_disk_bytes = 0;        // where the store would be (0: not asked)
  std::vector<PlanTable> tables;
  std::vector<PlanChoice> choices;  // with calibration data, unless a codebook is asked for
};
// Reads the model's headers and samples its weights; builds nothing. NotFound when there is no such
// file, DataLoss when it is not what it claims, Unimplemented for an architecture or element type
// that is not known, InvalidArgument for options that do not fit the model.
absl::StatusOr<PlanReport> PlanBuild(const std::string& model, const BuildOptions& options);

struct BuildReport {
  bool already_built = false;  // a finished store of the same plan was there
  uint64_t ranges = 0;
  uint64_t ranges_resumed = 0;
  uint64_t records = 0;
  uint64_t raw_bytes = 0;
  uint64_t stored_bytes = 0;
  double seconds = 0;
  Hash128 content_hash;
};
// Builds `store`, or resumes an interrupted build of the same plan. Nothing appears under the final
// name before everything is durable. Errors of PlanBuild; FailedPrecondition when a store (or
// half-built one) of another plan is there, ResourceExhausted when the disk cannot hold the result,
// Cancelled when cancelled.
absl::StatusOr<BuildReport> BuildStore(const std::string& model, const std::string& store,
                                       const BuildOptions& options);

struct VerifyOptions {
  bool deep = false;          // every byte of every live file, every record's checksum
  double exact_fraction = 0;  // share of cells recomputed from the kept weights (and edits)
  uint64_t seed = 1;          // which cells
  unsigned threads = 0;
  ProgressFn progress;
  const std::atomic<bool>* cancel = nullptr;
};
struct VerifyReport {
  bool clean = true;
  std::vector<std::string> problems;  // one line each: file or key range, and what is wrong
  uint64_t files_checked = 0;
  uint64_t bytes_checked = 0;
  uint64_t records_checked = 0;
  uint64_t cells_recomputed = 0;
  uint64_t commits_checked = 0;  // by History::Check, which callers add
};
// Quick by default: manifest, files, sizes, a sample of records. Problems found are in the report;
// a status is returned only when verifying itself could not be done.
absl::StatusOr<VerifyReport> VerifyStore(const std::string& store, const VerifyOptions& options);

struct RepairReport {
  uint64_t files_rebuilt = 0;
  uint64_t records_rebuilt = 0;
  // Damage to the kept weights or to the edit history themselves, which nothing else holds.
  std::vector<std::string> unrecoverable;
};
// Rebuilds what is damaged from the kept weights; edits stay. What nothing else holds is listed in
// `unrecoverable`, as are records whose weights are damaged too; a status is returned only when
// repairing itself could not be done.
absl::StatusOr<RepairReport> RepairStore(const std::string& store, const VerifyOptions& options);

struct BackupOptions {
  // Every byte written anew and checked, instead of hard links to table files, which cost nothing
  // but share what happens to the disk. To another file system it is always so.
  bool copy = false;
  double wait_seconds = 30;  // for a writer to finish
  ProgressFn progress;       // of what is written anew
  const std::atomic<bool>* cancel = nullptr;
};
struct BackupReport {
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t linked_bytes = 0;  // of these, shared with the store
  Hash128 content_hash;       // of the base generation
};
// Copies a store as it is between two writes, with all its history, to a directory that does not
// exist yet; the copy is a store like any other, and copying it back restores it. Readers and
// writers go on meanwhile. Nothing appears under the final name before it is durable; what a copy
// that was interrupted has written so far is kept as `to`.copying, and the next one to the same
// place goes on from there. FailedPrecondition when `to` exists or a writer does not finish,
// ResourceExhausted when the disk has no room, Cancelled; errors of Store::Open.
absl::StatusOr<BackupReport> BackupStore(const std::string& store, const std::string& to,
                                         const BackupOptions& options);

}  // namespace lutdb
