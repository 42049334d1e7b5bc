// The public entry: plan, first pass, then a job, unless the store is there already.

#include <chrono>

#include "base/status.h"
#include "db/manifest.h"
#include "db/store_files.h"
#include "ingest/build_job.h"
#include "ingest/parallel.h"
#include "lutdb/build.h"

namespace lutdb {
namespace {

// A store under the final name: OK and already_built when it is of this plan.
absl::Status CheckFinished(const std::string& store, const PlanHashes& hashes,
                           BuildReport* report) {
  LUTDB_ASSIGN_OR_RETURN(const db::OpenedStore opened, db::OpenStore(store, db::Access::kRead, {}));
  const Manifest& manifest = opened.manifest;
  if (!(manifest.plan_hash == hashes.plan)) {
    return FailedPrecondition(
        "{} holds a store of another plan (another model, options or version of lutdb); nothing "
        "was "
        "changed: choose another name, or remove it first",
        store);
  }
  report->already_built = true;
  report->ranges = manifest.ranges;
  report->ranges_resumed = manifest.ranges_resumed;
  report->content_hash = manifest.content_hash;
  for (const TableStats& stats : manifest.stats) {
    report->records += stats.records;
    report->raw_bytes += stats.raw_bytes;
  }
  for (const TensorSpec& tensor : manifest.tensors) report->records += RowBlocks(tensor);
  for (const db::LiveFile& file : opened.rocks->LiveFiles()) report->stored_bytes += file.bytes;
  // Left when the build ended between its last two steps.
  return RemovePath(db::JournalPath(store));
}

}  // namespace

absl::StatusOr<BuildReport> BuildStore(const std::string& model, const std::string& store,
                                       const BuildOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (store.empty()) return InvalidArgument("the store needs a name");
  std::string path = store;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (PathExists(path) && !IsDirectory(db::RocksPath(path))) {
    return FailedPrecondition("{} exists and is no lutdb store; choose another name", path);
  }
  LUTDB_ASSIGN_OR_RETURN(const MemoryPlan memory,
                         PlanMemory(options.memory_bytes, options.threads));
  LUTDB_ASSIGN_OR_RETURN(const BuildPlan plan, ResolvePlan(model, options));
  ProgressMeter progress(options.progress);
  uint64_t weights_bytes = 0;
  for (const SourceTensor& tensor : plan.source.tensors) weights_bytes += tensor.bytes();
  progress.Start("steps", weights_bytes, 0);
  LUTDB_ASSIGN_OR_RETURN(const TensorPass pass,
                         PassOverTensors(plan.source, plan.layout.tables,
                                         ThreadsOf(options.threads), options.cancel, &progress));
  progress.Finish();
  const PlanHashes hashes = HashesOf(plan, pass);
  BuildReport report;
  if (PathExists(path)) {
    LUTDB_RETURN_IF_ERROR(CheckFinished(path, hashes, &report));
  } else {
    BuildJob job(plan, pass, hashes, path, options, memory, &progress);
    LUTDB_RETURN_IF_ERROR(job.Run(&report));
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace lutdb
