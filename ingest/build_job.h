// One build from plan to published store.
//
// Everything lies in STORE.partial until the end: ranges are written to staging/, sealed in the
// journal, ingested in batches, and the finished directory is renamed. Whatever moment the process
// dies at, the next run adopts every sealed range: a crash can only fall between ingestion and the
// journal, which is told by comparing the database's files with the plan.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/file.h"
#include "ingest/build_plan.h"
#include "ingest/journal.h"
#include "ingest/progress_meter.h"
#include "ingest/range_writer.h"

namespace lutdb {

// How the memory a build may use is spent. The rest of it is the program itself, RocksDB, and what
// the kernel keeps of mapped files for a moment.
struct MemoryPlan {
  unsigned workers = 1;
  uint64_t buffer_bytes = 0;  // of each
};
// InvalidArgument below 64 MiB. memory_bytes 0: a quarter of usable memory.
absl::StatusOr<MemoryPlan> PlanMemory(uint64_t memory_bytes, unsigned threads);

class BuildJob {
 public:
  // All must outlive the job.
  BuildJob(const BuildPlan& plan, const TensorPass& pass, const PlanHashes& hashes,
           const std::string& store, const BuildOptions& options, MemoryPlan memory,
           ProgressMeter* progress);

  // Fills the report's numbers. Errors as BuildStore.
  absl::Status Run(BuildReport* report);

 private:
  absl::Status CheckDisk(const JournalState& state) const;
  absl::Status Open();
  absl::Status OpenDatabase();
  absl::Status Reconcile();
  absl::Status DropStrangers(const std::set<std::string>& adopted);
  absl::Status MakeRanges();
  absl::Status MakeRange(uint64_t index);
  absl::Status IngestReady(bool all);
  absl::StatusOr<Manifest> FinalManifest() const;
  absl::Status WriteContents();
  absl::Status Publish();
  std::string StagedFile(uint64_t index) const;

  const BuildPlan& plan_;
  const TensorPass& pass_;
  const PlanHashes& hashes_;
  const std::string store_;
  const std::string partial_;
  const BuildOptions& options_;
  const MemoryPlan memory_;
  ProgressMeter* progress_;

  std::unique_ptr<FileLock> lock_;  // before rocks_: released after it is closed
  std::unique_ptr<db::Rocks> rocks_;
  std::unique_ptr<JournalWriter> journal_;
  uint64_t ranges_resumed_ = 0;
  std::mutex mutex_;         // journal_, state_, ready_
  std::mutex ingest_mutex_;  // one ingestion at a time; taken before mutex_
  JournalState state_;
  std::vector<uint64_t> ready_;  // sealed, not ingested
};

}  // namespace lutdb
