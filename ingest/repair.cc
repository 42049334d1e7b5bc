// lutdb repair: every damaged range of table records is made again from the kept weights, by the
// same code that built it. The edit history is another family and is not touched.

#include <algorithm>
#include <cstring>
#include <set>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/status.h"
#include "db/keys.h"
#include "db/manifest.h"
#include "db/store_files.h"
#include "ingest/forced_isa.h"
#include "ingest/kept_tensor.h"
#include "ingest/parallel.h"
#include "ingest/progress_meter.h"
#include "ingest/range_check.h"
#include "ingest/range_writer.h"
#include "ingest/repair_open.h"
#include "ingest/tensor_pass.h"
#include "lutdb/build.h"

namespace lutdb {
namespace {

// Whether an error says that bytes are wrong or gone. Others say nothing about them: too many open
// files, no memory, a disk that does not answer, a record of a newer version. Files are not
// replaced on their word.
bool IsDamage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kNotFound;
}

class Repairer {
 public:
  // report: what opening the store mended already.
  Repairer(db::OpenedStore store, RepairReport report, const VerifyOptions& options)
      : store_(std::move(store)),
        options_(options),
        meter_(options.progress),
        report_(std::move(report)) {}

  absl::StatusOr<RepairReport> Run() {
    // Blobs are judged at the end, when what can be mended has been.
    LUTDB_RETURN_IF_ERROR(Read(nullptr));
    LUTDB_RETURN_IF_ERROR(MendSteps());
    LUTDB_RETURN_IF_ERROR(FindDamage());
    LUTDB_RETURN_IF_ERROR(RemovePath(Staging()));
    LUTDB_RETURN_IF_ERROR(MakeDirectory(Staging()));
    for (const size_t range : damaged_) LUTDB_RETURN_IF_ERROR(MendRange(range));
    LUTDB_RETURN_IF_ERROR(ReplaceFiles());
    // What is still wrong with the blobs cannot be had from weights.
    LUTDB_RETURN_IF_ERROR(Read(&report_.unrecoverable));
    return std::move(report_);
  }

 private:
  // What the store holds besides records; damage of it is added to `lines`, if there are any.
  absl::Status Read(std::vector<std::string>* lines) {
    absl::Status unread;
    const auto judge = [&](const absl::Status& problem) {
      if (!IsDamage(problem)) unread.Update(problem);
      if (lines != nullptr) lines->push_back(Message(problem));
    };
    LUTDB_ASSIGN_OR_RETURN(contents_, ReadContents(store_, judge));
    return unread;
  }

  // Steps that are missing or damaged follow from the weights.
  absl::Status MendSteps() {
    for (uint32_t t = 0; t < contents_.layout.tables.size(); ++t) {
      const PlannedTable& table = contents_.layout.tables[t];
      if (!contents_.steps[t].empty() || !contents_.sources_known) continue;
      if (table.spec.weight_tensor == kNone) {
        if (table.spec.learned_step == 0) continue;
        LUTDB_RETURN_IF_ERROR(
            WriteSteps(t, std::vector<float>(table.spec.neurons, table.spec.learned_step)));
        continue;
      }
      const TensorSpec& spec = contents_.layout.tensors[table.spec.weight_tensor];
      LUTDB_ASSIGN_OR_RETURN(const auto weights, KeptTensor::Open(*store_.rocks, spec));
      if (const absl::Status loaded = weights->Load(0, spec.rows); !loaded.ok()) {
        if (!IsDamage(loaded)) return loaded;
        report_.unrecoverable.push_back(Message(loaded));
        continue;
      }
      std::vector<float> steps(table.spec.neurons);
      LUTDB_RETURN_IF_ERROR(
          StepsOfRows(weights->source(), table, 0, table.spec.neurons, steps.data()));
      if (table.spec.shared_step) ShareSteps(table, &steps);
      LUTDB_RETURN_IF_ERROR(WriteSteps(t, std::move(steps)));
    }
    return absl::OkStatus();
  }

  absl::Status WriteSteps(uint32_t table, std::vector<float> steps) {
    const std::string bytes(reinterpret_cast<const char*>(steps.data()),
                            steps.size() * sizeof(float));
    const std::vector<db::Write> writes = {{db::Family::kDefault, db::StepsKey(table), bytes}};
    LUTDB_RETURN_IF_ERROR(store_.rocks->Apply(writes));
    contents_.steps[table] = std::move(steps);
    ++report_.records_rebuilt;
    return absl::OkStatus();
  }

  // A range is damaged when its file is, or when a record of it is.
  absl::Status FindDamage() {
    const std::vector<RangePlan>& ranges = contents_.layout.ranges;
    for (const db::LiveFile& file : store_.rocks->LiveFiles()) {
      const absl::Status status = store_.rocks->VerifyFile(file);
      if (status.ok()) continue;
      if (!IsDamage(status)) return status;
      bool planned = false;
      for (size_t i = 0; i < ranges.size(); ++i) {
        if (!Overlaps(file, ranges[i])) continue;
        damaged_.insert(i);
        planned = true;
      }
      if (!planned) report_.unrecoverable.push_back(Message(status));
    }
    std::mutex mutex;
    const auto check = [&](uint64_t i, unsigned) -> absl::Status {
      RangeFindings found;
      const absl::Status status = CheckRange(*store_.rocks, contents_, ranges[i], &found);
      meter_.Add(ranges[i].raw_bytes, ranges[i].raw_bytes, 0);
      if (status.ok() || !IsDamage(status)) return status;
      const std::lock_guard lock(mutex);
      damaged_.insert(i);
      return absl::OkStatus();
    };
    uint64_t total = 0;
    for (const RangePlan& range : ranges) total += range.raw_bytes;
    meter_.Start("records", total, 0);
    LUTDB_RETURN_IF_ERROR(
        ParallelFor(ranges.size(), ThreadsOf(options_.threads), options_.cancel, check));
    meter_.Finish();
    return absl::OkStatus();
  }

  bool Overlaps(const db::LiveFile& file, const RangePlan& range) const {
    return file.family == range.family && file.first_key <= LastKey(contents_.layout, range) &&
           file.last_key >= FirstKey(contents_.layout, range);
  }

  absl::Status MendRange(size_t index) {
    const RangePlan& range = contents_.layout.ranges[index];
    const std::string name = Describe(contents_.layout, range);
    if (range.family == db::Family::kWeights) {
      report_.unrecoverable.push_back(
          name + ": damaged, and nothing holds them besides; build the store again from its model");
      return absl::OkStatus();
    }
    if (!contents_.sources_known) {
      report_.unrecoverable.push_back(
          name + ": what it was made from, besides the weights, cannot be read");
      return absl::OkStatus();
    }
    const PlannedTable& table = contents_.layout.tables[range.first_id];
    const bool learned = table.spec.weight_tensor == kNone;
    if ((learned && table.spec.learned_step == 0) || contents_.steps[range.first_id].empty()) {
      report_.unrecoverable.push_back(name + ": there are no weights to make it from");
      return absl::OkStatus();
    }
    if (learned) return Rewrite(index, nullptr);
    const TensorSpec& spec = contents_.layout.tensors[table.spec.weight_tensor];
    LUTDB_ASSIGN_OR_RETURN(const auto weights, KeptTensor::Open(*store_.rocks, spec));
    if (const absl::Status loaded = weights->Load(0, spec.rows); !loaded.ok()) {
      if (!IsDamage(loaded)) return loaded;
      report_.unrecoverable.push_back(name + ": " + Message(loaded));
      return absl::OkStatus();
    }
    return Rewrite(index, &weights->source());
  }

  std::string StagedFile(size_t range) const {
    return JoinPath(Staging(), fmt::format("range-{}.sst", range));
  }
  std::string Staging() const { return JoinPath(store_.path, "repair"); }

  // Without weights for a table that starts as zero.
  absl::Status Rewrite(size_t index, const SourceTensor* weights) {
    const RangePlan& range = contents_.layout.ranges[index];
    std::vector<SourceTensor> tensors(contents_.layout.tensors.size());
    if (weights != nullptr) {
      tensors[contents_.layout.tables[range.first_id].spec.weight_tensor] = *weights;
    }
    const RangeInputs inputs{.layout = &contents_.layout,
                             .weights = &tensors,
                             .steps = &contents_.steps,
                             .baked = &contents_.baked};
    RangeOptions options;
    options.cancel = options_.cancel;
    LUTDB_ASSIGN_OR_RETURN(const RangeResult result,
                           WriteRange(inputs, range, StagedFile(index), options));
    ++report_.files_rebuilt;
    report_.records_rebuilt += result.records;
    rewritten_.push_back(index);
    return absl::OkStatus();
  }

  // New files are written and synced before old ones go. All old ones go before the first new one
  // comes, because RocksDB reads a file's neighbours when it takes a new one. Cut short between the
  // two, ranges are missing: verify says so, and repair makes them again.
  absl::Status ReplaceFiles() {
    LUTDB_RETURN_IF_ERROR(SyncDirectory(Staging()));
    for (const db::LiveFile& file : store_.rocks->LiveFiles()) {
      const bool replaced = std::any_of(rewritten_.begin(), rewritten_.end(), [&](size_t index) {
        return Overlaps(file, contents_.layout.ranges[index]);
      });
      if (replaced) LUTDB_RETURN_IF_ERROR(store_.rocks->DropFile(file));
    }
    CrashPoint("repair.dropped");
    for (const db::Family family : {db::Family::kTile, db::Family::kRow}) {
      std::vector<std::string> files;
      for (const size_t index : rewritten_) {
        if (contents_.layout.ranges[index].family == family) files.push_back(StagedFile(index));
      }
      if (!files.empty()) LUTDB_RETURN_IF_ERROR(store_.rocks->Ingest(family, files));
    }
    CrashPoint("repair.ingested");
    return RemovePath(Staging());
  }

  db::OpenedStore store_;
  const VerifyOptions& options_;
  ProgressMeter meter_;
  StoreContents contents_;
  std::set<size_t> damaged_;
  std::vector<size_t> rewritten_;
  RepairReport report_;
};

}  // namespace

absl::StatusOr<RepairReport> RepairStore(const std::string& store, const VerifyOptions& options) {
  LUTDB_RETURN_IF_ERROR(ApplyForcedIsa());
  RepairReport report;
  LUTDB_ASSIGN_OR_RETURN(db::OpenedStore opened, OpenToRepair(store, &report));
  auto repaired = Repairer(std::move(opened), std::move(report), options).Run();
  if (repaired.status().code() != absl::StatusCode::kUnavailable) return repaired;
  return Error(absl::StatusCode::kUnavailable,
               "{}; if the disk cannot read that file any more, move it away and repair again",
               Message(repaired.status()));
}

}  // namespace lutdb
