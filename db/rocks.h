// Bytes in, bytes out: the only layer that knows RocksDB. It never interprets a value.
//
// Goals: right options for Debian's RocksDB 7.8.3 (each with its reason in rocks.cc), statuses
// translated once, no RocksDB type in any header. Base families (tile, row, weights) are
// ingest-only and never compacted; everything edited lives in `history` and `default`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lutdb::db {

enum class Family : uint8_t { kDefault = 0, kTile = 1, kRow = 2, kWeights = 3, kHistory = 4 };
inline constexpr int kFamilies = 5;

struct OpenOptions {
  uint64_t cache_bytes = 64 << 20;  // RocksDB block cache
  int open_files_max = 512;         // tables are opened when first read
  double wait_seconds = 30;         // writers: how long to wait for another writer
  // For reading only: opens the families `default` and `history` alone, which is quick in any
  // store.
  bool history_only = false;
  // Opens although SST files are damaged or missing, to find and mend them (verify, repair). Reads
  // of what is damaged are DataLoss all the same.
  bool tolerate_damage = false;
  // Opens although the newest writes that were acknowledged are lost (repair): DataLoss otherwise.
  bool accept_lost_writes = false;
};

// Values found by MultiGet; the memory belongs to the object and is reused by the next call. They
// stay valid when the Rocks is closed. Blocks they lie in cannot leave the block cache before them.
class Values {
 public:
  Values();
  ~Values();
  Values(const Values&) = delete;
  size_t size() const;
  bool found(size_t i) const;
  std::string_view operator[](size_t i) const;  // valid until the next MultiGet into this object

 private:
  friend class Rocks;
  struct State;
  std::unique_ptr<State> state_;
};

// An ordered scan over [begin, end) of a family; an empty end means to the last key. Not
// thread-safe; must not outlive the Rocks.
class Cursor {
 public:
  ~Cursor();
  Cursor(Cursor&&) noexcept;
  bool Valid() const;  // false at the end and after an error
  void Next();
  void Seek(std::string_view key);
  std::string_view key() const;
  std::string_view value() const;  // valid until the cursor moves
  absl::Status status() const;     // an error met by the scan

 private:
  friend class Rocks;
  struct State;
  explicit Cursor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

enum class Sync : uint8_t { kNow, kLater };

struct Write {
  Family family;
  std::string key;
  std::string value;
  bool is_delete = false;
};

struct LiveFile {
  std::string path;  // the directory given to open, and the file's name
  Family family;
  uint64_t bytes = 0;
  std::string first_key;
  std::string last_key;
  std::string checksum;  // of the whole file, as recorded when it was made
};

// A database. Reads are thread-safe. Closed by the destructor.
class Rocks {
 public:
  // Creates an empty database in a directory that exists.
  static absl::StatusOr<std::unique_ptr<Rocks>> Create(const std::string& path,
                                                       const OpenOptions& options);
  // Never locks, never writes.
  static absl::StatusOr<std::unique_ptr<Rocks>> OpenForReading(const std::string& path,
                                                               const OpenOptions& options);
  // The caller holds the store's writer lock (base/file.h FileLock on LockPath).
  static absl::StatusOr<std::unique_ptr<Rocks>> OpenForWriting(const std::string& path,
                                                               const OpenOptions& options);
  ~Rocks();

  // NotFound when absent (and then only: a missing file is DataLoss).
  absl::StatusOr<std::string> Get(Family family, std::string_view key) const;
  // Any order, duplicates allowed (sorted and de-duplicated inside). Missing keys are not errors.
  absl::Status MultiGet(Family family, absl::Span<const std::string> keys, Values* values) const;
  // readahead_bytes 0: RocksDB's own choice.
  Cursor Scan(Family family, std::string_view begin, std::string_view end,
              uint64_t readahead_bytes = 0) const;

  // One atomic batch, synced to disk before it returns or, with kLater, by the next that is.
  absl::Status Apply(absl::Span<const Write> writes, Sync sync = Sync::kNow);
  // For databases opened with accept_lost_writes: what is there now is all there was.
  void AcceptLostWrites();
  // Ingests finished SST files (moved, not copied), atomically, disjoint from what is there and
  // from each other: FailedPrecondition when they overlap, and then none is taken. Durable on
  // return. All of one family.
  absl::Status Ingest(Family family, const std::vector<std::string>& paths);

  std::vector<LiveFile> LiveFiles() const;
  // Whether the database still has a file that it had: history is compacted beside its readers, by
  // this process or another one. True where that cannot be found out.
  bool IsLive(const LiveFile& file) const;
  // Reads every byte of one live file against the checksum recorded when it was made; DataLoss says
  // what is wrong. A file that was compacted away meanwhile is in order.
  absl::Status VerifyFile(const LiveFile& file) const;
  // Drops a live file of a base family whole (repair), damaged or not, so that its range can be
  // ingested anew.
  absl::Status DropFile(const LiveFile& file);
  // A database of its own in a directory that does not exist yet, equal to this one: files are
  // shared by hard links where the file system has them, and neither side sees what the other does
  // later. For opened-for-writing databases.
  absl::Status CopyTo(const std::string& path) const;
  // Copies of what nothing else could make anew (mend_manifest.h, kept_blobs.h), as a writer leaves
  // them when it closes. For databases opened for reading that nobody writes.
  void KeepCopies() const;
  // Rewrites the files of a family without what was deleted from it. For opened-for-writing
  // databases.
  absl::Status Compact(Family family);
  // For opened-for-writing databases: flushes everything, so that closing loses nothing.
  absl::Status Flush();

 private:
  absl::Status IngestUnchecked(Family family, const std::vector<std::string>& paths);

  struct State;
  explicit Rocks(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads every byte of a file against the checksum recorded when it was made, or block by block
// where there is none; DataLoss says what is wrong. For files of databases that nobody writes.
absl::Status VerifyTableFile(const LiveFile& file);

// When a database no longer opens: checks every SST file in the directory, block by block and whole
// from first to last key. Calls on_file for each, in order of name, with its status.
absl::Status VerifyLooseFiles(const std::string& path,
                              const std::function<void(const std::string&, absl::Status)>& on_file);

}  // namespace lutdb::db
