// lutdb verify: quick, deep, exact. Problems are findings, not errors.

#include <sys/stat.h>

#include <algorithm>
#include <mutex>

#include "base/status.h"
#include "db/kept_blobs.h"
#include "db/manifest.h"
#include "db/mend_manifest.h"
#include "db/store_files.h"
#include "ingest/exact_check.h"
#include "ingest/forced_isa.h"
#include "ingest/parallel.h"
#include "ingest/progress_meter.h"
#include "ingest/range_check.h"
#include "lutdb/build.h"

namespace lutdb {
namespace {

constexpr uint32_t kSampledRecords = 8;  // of each table, by a quick verify
constexpr size_t kProblemsMax = 1000;    // lines kept

class Verifier {
 public:
  Verifier(const db::OpenedStore& store, const VerifyOptions& options)
      : store_(store),
        options_(options),
        threads_(ThreadsOf(options.threads)),
        meter_(options.progress) {}

  absl::StatusOr<VerifyReport> Run() {
    LUTDB_ASSIGN_OR_RETURN(contents_, ReadContents(store_, [&](const absl::Status& problem) {
                             Add(Message(problem));
                           }));
    LUTDB_RETURN_IF_ERROR(options_.deep ? CheckFiles() : CheckSizes());
    LUTDB_RETURN_IF_ERROR(options_.deep ? CheckAllRecords() : CheckSample());
    if (options_.deep) CheckCopies();
    if (options_.exact_fraction > 0) LUTDB_RETURN_IF_ERROR(CheckExactly());
    report_.clean = report_.problems.empty();
    return std::move(report_);
  }

 private:
  void Add(std::string problem) {
    const std::lock_guard lock(mutex_);
    // A lost file is met by every record of it.
    std::vector<std::string>& known = report_.problems;
    if (std::find(known.begin(), known.end(), problem) != known.end()) return;
    if (known.size() < kProblemsMax) known.push_back(std::move(problem));
  }
  // Damage is a finding; what keeps us from looking is an error.
  absl::Status Judge(const absl::Status& status) {
    if (status.code() == absl::StatusCode::kCancelled) return status;
    if (!status.ok()) Add(Message(status));
    return absl::OkStatus();
  }

  absl::Status CheckSizes() {
    for (const db::LiveFile& file : store_.rocks->LiveFiles()) {
      struct stat found;
      if (::stat(file.path.c_str(), &found) != 0) {
        if (store_.rocks->IsLive(file)) Add(fmt::format("{}: the file is missing", file.path));
      } else if (static_cast<uint64_t>(found.st_size) != file.bytes) {
        Add(fmt::format("{}: it has {} bytes, not {}", file.path, found.st_size, file.bytes));
      }
      ++report_.files_checked;
    }
    return absl::OkStatus();
  }

  absl::Status CheckFiles() {
    const std::vector<db::LiveFile> files = store_.rocks->LiveFiles();
    uint64_t total = 0;
    for (const db::LiveFile& file : files) total += file.bytes;
    meter_.Start("files", total, 0);
    const auto check = [&](uint64_t i, unsigned) -> absl::Status {
      LUTDB_RETURN_IF_ERROR(Judge(store_.rocks->VerifyFile(files[i])));
      meter_.Add(files[i].bytes, files[i].bytes, 0);
      return absl::OkStatus();
    };
    LUTDB_RETURN_IF_ERROR(ParallelFor(files.size(), threads_, options_.cancel, check));
    meter_.Finish();
    report_.files_checked = files.size();
    report_.bytes_checked = total;
    return absl::OkStatus();
  }

  absl::Status CheckAllRecords() {
    const std::vector<RangePlan>& ranges = contents_.layout.ranges;
    uint64_t total = 0;
    for (const RangePlan& range : ranges) total += range.raw_bytes;
    meter_.Start("records", total, 0);
    Hash128 cells;
    const auto check = [&](uint64_t i, unsigned) -> absl::Status {
      RangeFindings found;
      LUTDB_RETURN_IF_ERROR(Judge(CheckRange(*store_.rocks, contents_, ranges[i], &found)));
      meter_.Add(ranges[i].raw_bytes, ranges[i].raw_bytes, 0);
      const std::lock_guard lock(mutex_);
      cells += found.cells;
      report_.records_checked += found.records;
      return absl::OkStatus();
    };
    LUTDB_RETURN_IF_ERROR(ParallelFor(ranges.size(), threads_, options_.cancel, check));
    meter_.Finish();
    if (report_.problems.empty() && !(cells == store_.manifest.content_hash)) {
      Add(fmt::format("content hash is {}, the manifest says {}", cells.Hex(),
                      store_.manifest.content_hash.Hex()));
    }
    return absl::OkStatus();
  }

  // What repair would need, should the files be damaged that they are copies of.
  void CheckCopies() {
    for (const auto check : {db::CheckKeptManifest, db::CheckKeptBlobs}) {
      const absl::Status kept = check(db::RocksPath(store_.path));
      if (!kept.ok()) Add(Message(kept) + ": a copy that `lutdb repair` makes anew");
    }
  }

  // First and last record of every table and some between, spread evenly.
  absl::Status CheckSample() {
    const std::vector<PlannedTable>& tables = contents_.layout.tables;
    const auto check = [&](uint64_t i, unsigned) -> absl::Status {
      const TableGeometry& geometry = tables[i].geometry;
      if (tables[i].spec.layout != Layout::kTile) return absl::OkStatus();
      const uint64_t records = uint64_t{geometry.chunk_groups()} * geometry.neuron_blocks();
      const uint64_t samples = std::min<uint64_t>(records, kSampledRecords);
      for (uint64_t s = 0; s < samples; ++s) {
        const uint64_t record = samples == 1 ? 0 : (records - 1) * s / (samples - 1);
        LUTDB_RETURN_IF_ERROR(Judge(CheckTileRecord(
            *store_.rocks, tables[i], static_cast<uint32_t>(record / geometry.neuron_blocks()),
            static_cast<uint32_t>(record % geometry.neuron_blocks()))));
      }
      const std::lock_guard lock(mutex_);
      report_.records_checked += samples;
      return absl::OkStatus();
    };
    return ParallelFor(tables.size(), threads_, options_.cancel, check);
  }

  absl::Status CheckExactly() {
    std::vector<std::pair<uint32_t, uint32_t>> blocks;  // table, neuron block
    for (uint32_t t = 0; t < contents_.layout.tables.size(); ++t) {
      const PlannedTable& table = contents_.layout.tables[t];
      if (table.spec.weight_tensor == kNone) continue;  // learned: there is nothing to compare with
      for (uint32_t b = 0; b < table.geometry.neuron_blocks(); ++b) blocks.emplace_back(t, b);
    }
    meter_.Start("exact", blocks.size(), 0);
    const auto check = [&](uint64_t i, unsigned) -> absl::Status {
      const auto cells =
          CheckBlockExactly(*store_.rocks, contents_, blocks[i].first, blocks[i].second,
                            options_.exact_fraction, options_.seed);
      LUTDB_RETURN_IF_ERROR(Judge(cells.status()));
      meter_.Add(1, 0, 0);
      const std::lock_guard lock(mutex_);
      report_.cells_recomputed += cells.ok() ? *cells : 0;
      return absl::OkStatus();
    };
    LUTDB_RETURN_IF_ERROR(ParallelFor(blocks.size(), threads_, options_.cancel, check));
    meter_.Finish();
    return absl::OkStatus();
  }

  const db::OpenedStore& store_;
  const VerifyOptions& options_;
  const unsigned threads_;
  ProgressMeter meter_;
  StoreContents contents_;
  std::mutex mutex_;
  VerifyReport report_;
};

// When the database does not open, its files can still be told apart.
absl::StatusOr<VerifyReport> VerifyWithoutOpening(const std::string& store,
                                                  const absl::Status& reason) {
  VerifyReport report;
  report.clean = false;
  report.problems.push_back(Message(reason));
  LUTDB_RETURN_IF_ERROR(
      db::VerifyLooseFiles(db::RocksPath(store), [&](const std::string& path, absl::Status status) {
        ++report.files_checked;
        if (!status.ok()) report.problems.push_back(Message(status));
        (void)path;
      }));
  return report;
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyStore(const std::string& store, const VerifyOptions& options) {
  LUTDB_RETURN_IF_ERROR(ApplyForcedIsa());
  if (!(options.exact_fraction >= 0 && options.exact_fraction <= 1)) {
    return InvalidArgument("--exact {}: a fraction from 0 to 1 is wanted", options.exact_fraction);
  }
  auto opened = db::OpenStore(store, db::Access::kRead, {});
  if (!opened.ok()) {
    const absl::StatusCode code = opened.status().code();
    const bool damaged =
        code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnavailable;
    if (!damaged || !IsDirectory(db::RocksPath(store))) return opened.status();
    return VerifyWithoutOpening(store, opened.status());
  }
  return Verifier(*opened, options).Run();
}

}  // namespace lutdb
