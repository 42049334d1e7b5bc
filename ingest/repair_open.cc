#include "ingest/repair_open.h"

#include <algorithm>

#include "base/status.h"
#include "db/kept_blobs.h"
#include "db/mend_manifest.h"
#include "db/store_files.h"

namespace lutdb {
namespace {

uint64_t CountHistory(const db::Rocks& rocks) {
  uint64_t records = 0;
  db::Cursor cursor = rocks.Scan(db::Family::kHistory, "c", "d");  // commits
  for (; cursor.Valid(); cursor.Next()) ++records;
  return records;
}

// The generation in use is the one that was committed to last: a newer one, of a bake that was cut
// short before it was announced, has as many commits at most, and then holds the same.
absl::Status MendGeneration(const std::string& store, RepairReport* report) {
  const absl::Status damage = db::ReadGeneration(store).status();
  if (damage.code() != absl::StatusCode::kDataLoss) return damage;
  uint32_t best = 0;
  uint64_t most = 0;
  for (const uint32_t generation : db::ListGenerations(store)) {
    db::OpenOptions options;
    options.history_only = true;
    const auto rocks = db::Rocks::OpenForReading(db::GenerationPath(store, generation), options);
    if (!rocks.ok()) continue;
    const uint64_t records = CountHistory(**rocks);
    if (best != 0 && records < most) continue;
    best = generation;
    most = records;
  }
  if (best == 0) return damage;
  ++report->files_rebuilt;
  return db::AnnounceGeneration(store, best);
}

bool BlobsAreWhole(const db::Rocks& rocks) {
  const std::vector<db::LiveFile> files = rocks.LiveFiles();
  return std::all_of(files.begin(), files.end(), [&](const db::LiveFile& file) {
    return file.family != db::Family::kDefault || rocks.VerifyFile(file).ok();
  });
}

bool IsDamaged(const absl::StatusOr<db::OpenedStore>& opened) {
  return opened.ok() ? !BlobsAreWhole(*opened->rocks)
                     : opened.status().code() == absl::StatusCode::kDataLoss;
}

// What says that `repair` mends is not what `repair` should say.
absl::Status BeyondRepair(const absl::Status& status) {
  const std::string message = Message(status);
  const size_t advice = message.find("`lutdb ");  // behind a colon or a semicolon
  if (advice == std::string::npos) return status;
  return DataLoss(
      "{}: nothing holds it besides; copy a backup back, or build the store again from its model",
      message.substr(0, advice - 2));
}

}  // namespace

absl::StatusOr<db::OpenedStore> OpenToRepair(const std::string& store, RepairReport* report) {
  if (IsDirectory(store)) LUTDB_RETURN_IF_ERROR(MendGeneration(store, report));
  auto opened = db::OpenStore(store, db::Access::kWrite, {});
  for (const auto mend : {db::MendManifest, db::MendBlobs}) {
    if (!IsDirectory(db::RocksPath(store)) || !IsDamaged(opened)) continue;
    // Closed first: what is put back must not be open.
    opened = absl::UnknownError("closed");
    LUTDB_ASSIGN_OR_RETURN(const bool mended, mend(db::RocksPath(store)));
    report->files_rebuilt += mended;
    opened = db::OpenStore(store, db::Access::kWrite, {});
  }
  for (const auto check : {db::CheckKeptManifest, db::CheckKeptBlobs}) {
    // Made anew when the database is closed.
    if (opened.ok()) report->files_rebuilt += !check(db::RocksPath(store)).ok();
  }
  if (opened.status().code() != absl::StatusCode::kDataLoss) return opened;
  db::OpenOptions options;
  options.accept_lost_writes = true;
  auto shorter = db::OpenStore(store, db::Access::kWrite, options);
  if (!shorter.ok()) return BeyondRepair(opened.status());
  report->unrecoverable.push_back(Message(opened.status()));
  shorter->rocks->AcceptLostWrites();
  return shorter;
}

}  // namespace lutdb
