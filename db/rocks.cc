#include "db/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/check.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/status.h"
#include "db/file_checksum.h"
#include "db/kept_blobs.h"
#include "db/mend_manifest.h"
#include "db/read_plan.h"
#include "db/rocks_options.h"
#include "db/write_mark.h"

namespace lutdb::db {

// Memtables are flushed when they have 16 MiB (rocks_options.cc); of the families that are written
// one by one there are two.
constexpr uint64_t kLogBytesMax = 64 << 20;
constexpr uint64_t kSpareDiskBytes = 1 << 20;
constexpr uint64_t kRoomCheckBytes = 64 << 10;  // written between two looks at the disk

struct Rocks::State {
  State(const std::string& database_path, const OpenOptions& options)
      : path(database_path), cache(rocksdb::NewLRUCache(options.cache_bytes)) {}

  PlannedReads reads;

  // Opens for writing.
  absl::Status Open(const rocksdb::DBOptions& options) {
    rocksdb::DB* raw = nullptr;
    LUTDB_RETURN_IF_ERROR(TranslateOpen(
        rocksdb::DB::Open(options, path, Families(cache, false), &families, &raw), path));
    database.reset(raw);
    writable = true;
    logged_bytes = LogBytes();
    return absl::OkStatus();
  }

  // Writes end while what is in the log still fits into a table file beside it: a store never fills
  // its disk so far that it cannot be flushed, or opened for writing and thinned out.
  absl::Status ReserveRoom(uint64_t bytes) {
    const uint64_t logged = logged_bytes += bytes;
    if (logged < next_room_check) return absl::OkStatus();
    const uint64_t kept = std::min(logged, kLogBytesMax) + kSpareDiskBytes;
    const auto free = FreeDiskBytes(path);
    if (free.ok() && *free < bytes + kept) {
      logged_bytes -= bytes;
      return ResourceExhausted(
          "{}: the disk is full: {} bytes are left, and {} are kept so that the store can be "
          "opened and flushed: free some space and try again",
          path, *free, kept);
    }
    next_room_check = logged + kRoomCheckBytes;
    return absl::OkStatus();
  }

  // All that was written so far is durable.
  void NoteWrites() {
    CrashPoint("write.logged");
    if (mark == nullptr) mark = std::make_unique<WriteMark>(path);
    mark->Note(database->GetLatestSequenceNumber());
    CrashPoint("write.noted");
  }

  // mark: of ReadWriteMark before the database was opened.
  absl::Status CheckWritesAreThere(uint64_t mark) const {
    const uint64_t there = database->GetLatestSequenceNumber();
    if (there >= mark) return absl::OkStatus();
    return DataLoss(
        "{} has lost the newest {} of its writes: its log ({}) is damaged; `lutdb repair` goes on "
        "without them",
        path, mark - there, fmt::join(LogNames(), ", "));
  }

  std::vector<std::string> LogNames() const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) {
      if (entry.path().extension() == ".log") names.push_back(entry.path().filename());
    }
    return names;
  }

  uint64_t LogBytes() const {
    uint64_t bytes = 0;
    std::error_code failed;
    for (const std::string& name : LogNames()) {
      const uint64_t size = std::filesystem::file_size(JoinPath(path, name), failed);
      if (!failed) bytes += size;
    }
    return bytes;
  }

  std::string path;
  std::atomic<uint64_t> logged_bytes{0};  // since the last flush, at least
  std::atomic<uint64_t> next_room_check{0};
  std::shared_ptr<rocksdb::Cache> cache;
  std::unique_ptr<rocksdb::DB> database;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  bool writable = false;
  std::unique_ptr<WriteMark> mark;  // made by the first write

  std::vector<LiveFile> LiveFiles() const;

  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return families[static_cast<size_t>(family)];
  }
  ~State() {
    // What the log holds goes to table files, all of whose bytes have checksums that are looked at.
    // Where that fails the log is still there, and read when the database is opened.
    if (mark != nullptr) (void)database->Flush({}, families);
    const std::vector<LiveFile> files =
        database != nullptr && writable ? LiveFiles() : std::vector<LiveFile>();
    // Handles before the database: the other order aborts in Debian's build.
    for (rocksdb::ColumnFamilyHandle* handle : families) {
      if (handle != nullptr) database->DestroyColumnFamilyHandle(handle);
    }
    if (database == nullptr || !writable) return;
    if (!database->Close().ok()) return;
    KeepManifest(path);
    KeepBlobs(path, files);
  }
};

struct Values::State {
  // Values are pinned in the block cache, which must not go before they do.
  std::shared_ptr<rocksdb::Cache> cache;
  std::vector<rocksdb::PinnableSlice> values;  // of the distinct keys, sorted
  std::vector<rocksdb::Status> statuses;
  std::vector<rocksdb::Slice> keys;
  std::vector<uint32_t> order;  // sorted positions of the caller's keys
  std::vector<uint32_t> place;  // caller's index -> index into values
};

Values::Values() : state_(std::make_unique<State>()) {}
Values::~Values() = default;
size_t Values::size() const { return state_->place.size(); }
bool Values::found(size_t i) const { return state_->statuses[state_->place[i]].ok(); }
std::string_view Values::operator[](size_t i) const {
  return ToView(state_->values[state_->place[i]]);
}

struct Cursor::State {
  std::string begin, end;
  rocksdb::Slice begin_slice, end_slice;
  std::string path;
  std::unique_ptr<rocksdb::Iterator> iterator;
};

Cursor::Cursor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Cursor::~Cursor() = default;
Cursor::Cursor(Cursor&&) noexcept = default;
bool Cursor::Valid() const { return state_->iterator->Valid(); }
void Cursor::Next() { state_->iterator->Next(); }
void Cursor::Seek(std::string_view key) { state_->iterator->Seek(ToSlice(key)); }
std::string_view Cursor::key() const { return ToView(state_->iterator->key()); }
std::string_view Cursor::value() const { return ToView(state_->iterator->value()); }
absl::Status Cursor::status() const { return Translate(state_->iterator->status(), state_->path); }

Rocks::Rocks(std::unique_ptr<State> state) : state_(std::move(state)) {}
Rocks::~Rocks() = default;

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::Create(const std::string& path,
                                                     const OpenOptions& options) {
  rocksdb::DBOptions database = DatabaseOptions(options);
  database.create_if_missing = true;
  database.error_if_exists = true;
  database.create_missing_column_families = true;
  auto state = std::make_unique<State>(path, options);
  LUTDB_RETURN_IF_ERROR(state->Open(database));
  return std::unique_ptr<Rocks>(new Rocks(std::move(state)));
}

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::OpenForReading(const std::string& path,
                                                             const OpenOptions& options) {
  auto state = std::make_unique<State>(path, options);
  const uint64_t mark = ReadWriteMark(path);
  LUTDB_RETURN_IF_ERROR(CheckManifest(path));
  rocksdb::DB* raw = nullptr;
  LUTDB_RETURN_IF_ERROR(
      TranslateOpen(rocksdb::DB::OpenForReadOnly(DatabaseOptions(options), path,
                                                 Families(state->cache, options.history_only),
                                                 &state->families, &raw),
                    path));
  state->database.reset(raw);
  if (!options.accept_lost_writes) LUTDB_RETURN_IF_ERROR(state->CheckWritesAreThere(mark));
  if (options.history_only) {  // by number of family: those left out stay null
    std::vector<rocksdb::ColumnFamilyHandle*> opened(kFamilies, nullptr);
    opened[static_cast<size_t>(Family::kDefault)] = state->families[0];
    opened[static_cast<size_t>(Family::kHistory)] = state->families[1];
    state->families = std::move(opened);
  }
  return std::unique_ptr<Rocks>(new Rocks(std::move(state)));
}

absl::StatusOr<std::unique_ptr<Rocks>> Rocks::OpenForWriting(const std::string& path,
                                                             const OpenOptions& options) {
  rocksdb::DBOptions database = DatabaseOptions(options);
  database.create_missing_column_families = true;  // a creation cut short is completed
  auto state = std::make_unique<State>(path, options);
  const uint64_t mark = ReadWriteMark(path);
  LUTDB_RETURN_IF_ERROR(CheckManifest(path));
  LUTDB_RETURN_IF_ERROR(state->Open(database));
  if (!options.accept_lost_writes) LUTDB_RETURN_IF_ERROR(state->CheckWritesAreThere(mark));
  return std::unique_ptr<Rocks>(new Rocks(std::move(state)));
}

absl::StatusOr<std::string> Rocks::Get(Family family, std::string_view key) const {
  std::string value;
  LUTDB_RETURN_IF_ERROR(Translate(
      state_->database->Get({}, state_->family(family), ToSlice(key), &value), state_->path));
  return value;
}

absl::Status Rocks::MultiGet(Family family, absl::Span<const std::string> keys,
                             Values* values) const {
  Values::State& out = *values->state_;
  const size_t count = keys.size();
  out.order.resize(count);
  out.place.resize(count);
  out.keys.clear();
  std::iota(out.order.begin(), out.order.end(), 0u);
  if (!std::is_sorted(keys.begin(), keys.end())) {
    std::sort(out.order.begin(), out.order.end(),
              [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  }
  for (const uint32_t i : out.order) {
    // RocksDB 7.8 can answer a key given twice wrongly: each distinct key is asked once.
    if (out.keys.empty() || ToView(out.keys.back()) != keys[i]) out.keys.emplace_back(keys[i]);
    out.place[i] = static_cast<uint32_t>(out.keys.size() - 1);
  }
  const size_t distinct = out.keys.size();
  if (distinct == 0) return absl::OkStatus();
  if (out.values.size() < distinct) {
    out.values = std::vector<rocksdb::PinnableSlice>(distinct);
    out.statuses.resize(distinct);
  }
  for (rocksdb::PinnableSlice& value : out.values) value.Reset();  // before the cache they are in
  out.cache = state_->cache;
  state_->reads.Run(distinct, [&](size_t begin, size_t end, bool keep) {
    rocksdb::ReadOptions read;
    read.fill_cache = keep;
    for (size_t i = begin; i < end; ++i) out.values[i].Reset();
    state_->database->MultiGet(read, state_->family(family), end - begin, out.keys.data() + begin,
                               out.values.data() + begin, out.statuses.data() + begin,
                               /*sorted_input=*/true);
  });
  for (size_t i = 0; i < distinct; ++i) {
    if (!out.statuses[i].ok() && !out.statuses[i].IsNotFound()) {
      return Translate(out.statuses[i], state_->path);
    }
  }
  return absl::OkStatus();
}

Cursor Rocks::Scan(Family family, std::string_view begin, std::string_view end,
                   uint64_t readahead_bytes) const {
  auto state = std::make_unique<Cursor::State>();
  state->begin = begin;
  state->end = end;
  state->begin_slice = state->begin;
  state->end_slice = state->end;
  state->path = state_->path;
  rocksdb::ReadOptions read;
  read.iterate_lower_bound = &state->begin_slice;
  if (!end.empty()) read.iterate_upper_bound = &state->end_slice;
  read.readahead_size = readahead_bytes;
  state->iterator.reset(state_->database->NewIterator(read, state_->family(family)));
  state->iterator->Seek(state->begin_slice);
  return Cursor(std::move(state));
}

absl::Status Rocks::Apply(absl::Span<const Write> writes, Sync sync) {
  // A checksum per key guards the batch on its way through memory into the log and memtable.
  constexpr size_t kProtectionBytes = 8;
  rocksdb::WriteBatch batch(0, 0, kProtectionBytes, 0);
  bool makes_room = true;  // deletes only, as gc does
  for (const Write& write : writes) {
    rocksdb::ColumnFamilyHandle* family = state_->family(write.family);
    const rocksdb::Status added = write.is_delete ? batch.Delete(family, write.key)
                                                  : batch.Put(family, write.key, write.value);
    LUTDB_RETURN_IF_ERROR(Translate(added, state_->path));
    makes_room &= write.is_delete;
  }
  if (!makes_room) LUTDB_RETURN_IF_ERROR(state_->ReserveRoom(batch.GetDataSize()));
  rocksdb::WriteOptions options;
  options.sync = sync == Sync::kNow;
  const rocksdb::Status written = state_->database->Write(options, &batch);
  if (written.ok() && sync == Sync::kNow) state_->NoteWrites();
  return Translate(written, state_->path);
}

void Rocks::AcceptLostWrites() { state_->NoteWrites(); }

absl::Status Rocks::CopyTo(const std::string& path) const {
  rocksdb::Checkpoint* raw = nullptr;
  LUTDB_RETURN_IF_ERROR(
      Translate(rocksdb::Checkpoint::Create(state_->database.get(), &raw), state_->path));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  LUTDB_RETURN_IF_ERROR(Translate(checkpoint->CreateCheckpoint(path), path));
  return MakePrivate(path);
}

void Rocks::KeepCopies() const {
  KeepManifest(state_->path);
  KeepBlobs(state_->path, LiveFiles());
}

absl::Status Rocks::Compact(Family family) {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  return Translate(
      state_->database->CompactRange(options, state_->family(family), nullptr, nullptr),
      state_->path);
}

absl::Status Rocks::Flush() {
  const rocksdb::Status flushed =
      state_->database->Flush(rocksdb::FlushOptions(), state_->families);
  if (flushed.ok()) state_->logged_bytes = state_->next_room_check = 0;
  return Translate(flushed, state_->path);
}

namespace {

// First and last key of a finished file, read by an iterator whose errors count.
absl::StatusOr<std::pair<std::string, std::string>> KeysOfFile(Family family,
                                                               const std::string& path) {
  const rocksdb::Options options(DatabaseOptions({}), FamilyOptions(family, nullptr));
  rocksdb::SstFileReader reader(options);
  LUTDB_RETURN_IF_ERROR(Translate(reader.Open(path), path));
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> iterator(reader.NewIterator(read));
  std::pair<std::string, std::string> keys;
  iterator->SeekToFirst();
  LUTDB_RETURN_IF_ERROR(Translate(iterator->status(), path));
  if (!iterator->Valid()) return DataLoss("{} is damaged: it holds no record", path);
  keys.first = iterator->key().ToString();
  iterator->SeekToLast();
  LUTDB_RETURN_IF_ERROR(Translate(iterator->status(), path));
  if (!iterator->Valid()) return DataLoss("{} is damaged: it holds no last record", path);
  keys.second = iterator->key().ToString();
  return keys;
}

}  // namespace

// RocksDB 7.8 does not look at the status of the iterator that finds a file's first and last key: a
// read error there gives the file a wrong range, and records that nobody finds. So the ranges are
// compared with what we read ourselves; files taken wrongly go again.
absl::Status Rocks::Ingest(Family family, const std::vector<std::string>& paths) {
  std::set<std::pair<std::string, std::string>> expected;
  for (const std::string& path : paths) {
    LUTDB_ASSIGN_OR_RETURN(auto keys, KeysOfFile(family, path));
    expected.insert(std::move(keys));
  }
  std::set<std::string> before;
  for (const LiveFile& file : LiveFiles()) before.insert(file.path);
  LUTDB_RETURN_IF_ERROR(IngestUnchecked(family, paths));
  std::vector<LiveFile> taken;
  bool right = true;
  for (LiveFile& file : LiveFiles()) {
    if (file.family != family || before.contains(file.path)) continue;
    right = right && expected.contains({file.first_key, file.last_key});
    taken.push_back(std::move(file));
  }
  if (right && taken.size() == paths.size()) return absl::OkStatus();
  for (const LiveFile& file : taken) (void)DropFile(file);
  return Unavailable("{}: files from {} on could not be read while they were taken in: try again",
                     state_->path, paths.empty() ? "none" : paths.front());
}

absl::Status Rocks::IngestUnchecked(Family family, const std::vector<std::string>& paths) {
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.failed_move_fall_back_to_copy = false;
  options.write_global_seqno = false;  // the file stays as it was checked
  options.allow_global_seqno = false;  // overlap with what is there is an error
  options.snapshot_consistency = false;
  options.allow_blocking_flush = false;
  options.fail_if_not_bottommost_level = true;
  options.verify_checksums_before_ingest = true;
  options.verify_file_checksum = true;
  // The checksum made while the file was written is the one that counts: a wrong read now would
  // give another, which every later look at the file would contradict.
  rocksdb::IngestExternalFileArg files;
  files.column_family = state_->family(family);
  files.external_files = paths;
  files.options = options;
  for (const std::string& path : paths) {
    std::string checksum = TakeWrittenChecksum(path);
    if (checksum.empty() && family != Family::kRow) {  // of a process before this one
      uint64_t bytes = 0;
      LUTDB_ASSIGN_OR_RETURN(checksum, ChecksumOfFile(path, &bytes));
    }
    files.files_checksums.push_back(std::move(checksum));
    files.files_checksum_func_names.emplace_back(FileChecksumFactory()->Name());
  }
  // All or none, says RocksDB, which for none takes what it reads. For rows that is what is done: a
  // build of them would have to read all it wrote once more.
  const std::vector<std::string>& known = files.files_checksums;
  if (std::find(known.begin(), known.end(), "") != known.end()) {
    files.files_checksums.clear();
    files.files_checksum_func_names.clear();
  }
  const rocksdb::Status status = state_->database->IngestExternalFiles({files});
  if (status.IsInvalidArgument() || status.IsTryAgain()) {
    return FailedPrecondition("{}: files from {} on overlap what is there ({})", state_->path,
                              paths.empty() ? "none" : paths.front(), OneLine(status));
  }
  return Translate(status, state_->path);
}

std::vector<LiveFile> Rocks::LiveFiles() const { return state_->LiveFiles(); }

std::vector<LiveFile> Rocks::State::LiveFiles() const {
  std::vector<rocksdb::LiveFileMetaData> metadata;
  database->GetLiveFilesMetaData(&metadata);
  std::vector<LiveFile> files;
  for (const rocksdb::LiveFileMetaData& file : metadata) {
    LiveFile live;
    live.path = file.db_path + file.name;
    live.bytes = file.size;
    live.first_key = file.smallestkey;
    live.last_key = file.largestkey;
    live.checksum = file.file_checksum;
    for (int i = 0; i < kFamilies; ++i) {
      if (file.column_family_name == FamilyName(static_cast<Family>(i))) {
        live.family = static_cast<Family>(i);
      }
    }
    files.push_back(std::move(live));
  }
  return files;
}

bool Rocks::IsLive(const LiveFile& file) const {
  const auto lists = [&](const Rocks& rocks) {
    const std::vector<LiveFile> files = rocks.LiveFiles();
    return std::any_of(files.begin(), files.end(),
                       [&](const LiveFile& live) { return live.path == file.path; });
  };
  if (state_->writable) return lists(*this);
  // What was opened for reading shows the files of that time.
  OpenOptions options;
  options.tolerate_damage = true;
  options.accept_lost_writes = true;
  const auto now = OpenForReading(state_->path, options);
  return !now.ok() || lists(**now);
}

absl::Status Rocks::DropFile(const LiveFile& file) {
  const rocksdb::Slice first(file.first_key), last(file.last_key);
  const rocksdb::RangePtr range(&first, &last);
  LUTDB_RETURN_IF_ERROR(
      Translate(rocksdb::DeleteFilesInRanges(state_->database.get(), state_->family(file.family),
                                             &range, 1, /*include_end=*/true),
                state_->path));
  for (const LiveFile& live : LiveFiles()) {
    if (live.path == file.path) return Unavailable("{} could not be dropped", file.path);
  }
  return absl::OkStatus();
}

}  // namespace lutdb::db
