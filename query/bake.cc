#include "query/bake.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "coding/record.h"
#include "db/bulk.h"
#include "db/keys.h"
#include "query/edited_hash.h"
#include "query/lookup.h"
#include "query/workers.h"

namespace lutdb {
namespace {

constexpr uint64_t kReadaheadBytes = 2 << 20;
constexpr uint64_t kRowWindowEntries = 1 << 20;  // of a row table, made at once

// How one edited table changes.
struct BakedTable {
  TableSpec spec;  // of the next generation
  TableGeometry geometry;
  bool whole = false;    // every record changes, not only the edited ones
  uint64_t records = 0;  // written by the bake, and read by it
  uint64_t bytes = 0;
  uint64_t old_records = 0;
  uint64_t old_bytes = 0;
};

class Baker {
 public:
  explicit Baker(const BakeRequest& request) : request_(request), store_(*request.store) {}

  absl::Status Run(const std::string& path) {
    LUTDB_RETURN_IF_ERROR(PlanTables());
    LUTDB_ASSIGN_OR_RETURN(copy_, db::Rocks::OpenForWriting(path, {}));
    staging_ = JoinPath(path, "staging");
    LUTDB_RETURN_IF_ERROR(MakeDirectory(staging_));
    for (const db::Family family : {db::Family::kTile, db::Family::kRow}) {
      LUTDB_RETURN_IF_ERROR(WriteFamily(family));
    }
    LUTDB_RETURN_IF_ERROR(RemovePath(staging_));
    LUTDB_RETURN_IF_ERROR(WriteManifest());
    return copy_->Flush();
  }

 private:
  // A mirrored table keeps one row for two codes, which edits tell apart; and a row of the zero
  // code need not be zero any more.
  absl::Status PlanTables() {
    tables_.resize(store_.geometries().size());
    for (uint32_t id = 0; id < tables_.size(); ++id) {
      const TableEdits* edits = request_.edits->table(id);
      if (edits == nullptr) continue;
      TableSpec spec = store_.spec(id);
      const TableGeometry& old = store_.geometry(id);
      edits->ForEach([&](uint32_t chunk, const ChunkEdits& edited) {
        spec.free_zero |= edited.Find(old.ZeroCode(chunk)) != nullptr;
      });
      spec.mirror = false;
      LUTDB_ASSIGN_OR_RETURN(TableGeometry geometry, TableGeometry::Create(spec));
      tables_[id] = std::make_unique<BakedTable>(
          BakedTable{.spec = spec, .geometry = std::move(geometry), .whole = old.mirror()});
    }
    return absl::OkStatus();
  }

  // The files of a family that hold edited records, written again one by one. All old ones go
  // before the first new one comes, because RocksDB reads a file's neighbours when it takes one.
  absl::Status WriteFamily(db::Family family) {
    std::vector<db::LiveFile> old_files;
    std::vector<std::string> new_files;
    for (const db::LiveFile& file : copy_->LiveFiles()) {
      if (file.family != family || !Affected(file)) continue;
      const std::string path = JoinPath(staging_, std::to_string(new_files.size()) + ".sst");
      LUTDB_RETURN_IF_ERROR(WriteFile(file, path));
      old_files.push_back(file);
      new_files.push_back(path);
    }
    if (new_files.empty()) return absl::OkStatus();
    for (const db::LiveFile& file : old_files) LUTDB_RETURN_IF_ERROR(copy_->DropFile(file));
    return copy_->Ingest(family, new_files);
  }

  // Whether a file lies in the keys of an edited table. The few without an edited record of their
  // own are written again as well.
  bool Affected(const db::LiveFile& file) const {
    const auto first = LoadBig<uint32_t>(file.first_key.data());
    const auto last = LoadBig<uint32_t>(file.last_key.data());
    for (uint32_t id = first; id <= last && id < tables_.size(); ++id) {
      if (tables_[id] != nullptr) return true;
    }
    return false;
  }

  absl::Status WriteFile(const db::LiveFile& file, const std::string& path) {
    LUTDB_ASSIGN_OR_RETURN(writer_, db::SstWriter::Create(file.family, path));
    db::Cursor cursor =
        copy_->Scan(file.family, file.first_key, file.last_key + '\0', kReadaheadBytes);
    while (cursor.Valid()) {
      if (request_.cancel != nullptr && *request_.cancel) {
        return absl::CancelledError("baking was interrupted; the store is as it was");
      }
      Report(cursor.key().size() + cursor.value().size());
      BakedTable* table = tables_[LoadBig<uint32_t>(cursor.key().data())].get();
      if (table == nullptr) {
        LUTDB_RETURN_IF_ERROR(writer_->Add(cursor.key(), cursor.value()));
        cursor.Next();
      } else if (file.family == db::Family::kTile) {
        LUTDB_RETURN_IF_ERROR(WriteTile(cursor, table));
        cursor.Next();
      } else {
        LUTDB_RETURN_IF_ERROR(WriteChunkRows(&cursor, table));
      }
    }
    LUTDB_RETURN_IF_ERROR(cursor.status());
    const auto finished = writer_->Finish();
    writer_.reset();
    return finished.status();
  }

  uint8_t* Entries(uint64_t bytes) {
    if (bytes > entries_bytes_) {
      entries_ = MakeAligned<uint8_t>(bytes);
      entries_bytes_ = bytes;
    }
    return entries_.get();
  }

  absl::Status Put(const std::string& key, std::string_view record, BakedTable* table) {
    ++table->records;
    table->bytes += key.size() + record.size();
    return writer_->Add(key, record);
  }

  absl::Status WriteTile(const db::Cursor& cursor, BakedTable* table) {
    const std::string key(cursor.key());
    LUTDB_ASSIGN_OR_RETURN(const TileId tile, ParseTileSuffix(key));
    ++table->old_records;
    table->old_bytes += key.size() + cursor.value().size();
    const TableEdits& edits = *request_.edits->table(tile.table);
    const TableGeometry& old = store_.geometry(tile.table);
    const TileShape shape = ShapeOf(table->geometry, tile);
    bool edited = false;
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      edited |= EditsOf(edits, chunk, tile.neuron_block);
    }
    if (!edited && !table->whole) return Put(key, cursor.value(), table);
    LUTDB_RETURN_IF_ERROR(decoder_.Open(old, tile, cursor.value()));
    if (!edited && decoder_.codec() == Codec::kProduct) {
      const Slopes slopes = decoder_.slopes();
      const uint64_t checksum = PayloadChecksum(table->geometry, tile, slopes);
      EncodeProductTile(table->geometry, tile, slopes, checksum, &record_);
      return Put(key, record_, table);
    }
    const auto entry_bytes = static_cast<uint64_t>(EntryBytes(old.entry()));
    const uint64_t row_bytes = kBlockNeurons * entry_bytes;
    uint8_t* to = Entries(shape.stored_codes * row_bytes);
    for (uint32_t chunk = shape.chunk_begin; chunk < shape.chunk_end; ++chunk) {
      decoder_.Codes(chunk, 0, old.codes(chunk), to, row_bytes);
      if (const ChunkEdits* rows = edits.Find(chunk)) {
        for (const ChunkEdits::Row& row : rows->rows) {
          Overwrite(row.edits->InBlock(tile.neuron_block), entry_bytes, to + row.code * row_bytes);
        }
      }
      to += old.codes(chunk) * row_bytes;
    }
    EncodeEditedTile(table->geometry, tile, decoder_.base_slopes(), entries_.get(), &record_);
    return Put(key, record_, table);
  }

  // Whether a chunk has edited entries in a block of neurons.
  static bool EditsOf(const TableEdits& edits, uint32_t chunk, uint32_t block) {
    const ChunkEdits* rows = edits.Find(chunk);
    if (rows == nullptr) return false;
    return std::any_of(rows->rows.begin(), rows->rows.end(), [&](const ChunkEdits::Row& row) {
      return !row.edits->InBlock(block).empty();
    });
  }

  static void Overwrite(absl::Span<const EntryEditValue> entries, uint64_t entry_bytes,
                        uint8_t* row) {
    for (const EntryEditValue& entry : entries) {
      const uint32_t lane = entry.neuron % kBlockNeurons;
      std::memcpy(row + lane * entry_bytes, &entry.value, entry_bytes);  // little-endian
    }
  }

  // All rows of the chunk that the cursor stands at; leaves it behind them.
  absl::Status WriteChunkRows(db::Cursor* cursor, BakedTable* table) {
    const uint32_t id = table->spec.id;
    const auto chunk = LoadBig<uint32_t>(cursor->key().data() + sizeof(uint32_t));
    const auto same = [&] {
      return cursor->Valid() && LoadBig<uint32_t>(cursor->key().data()) == id &&
             LoadBig<uint32_t>(cursor->key().data() + sizeof(uint32_t)) == chunk;
    };
    const bool edited = request_.edits->table(id)->Find(chunk) != nullptr;
    for (; same(); cursor->Next()) {
      ++table->old_records;
      table->old_bytes += cursor->key().size() + cursor->value().size();
      if (!edited && !table->whole) {
        LUTDB_RETURN_IF_ERROR(Put(std::string(cursor->key()), cursor->value(), table));
      }
    }
    LUTDB_RETURN_IF_ERROR(cursor->status());
    if (!edited && !table->whole) return absl::OkStatus();
    const uint32_t codes = table->geometry.codes(chunk);
    const uint32_t window = static_cast<uint32_t>(
        std::clamp<uint64_t>(kRowWindowEntries / table->geometry.neurons(), 1, codes));
    for (uint32_t begin = 0; begin < codes; begin += window) {
      LUTDB_RETURN_IF_ERROR(WriteRows(table, chunk, begin, std::min(codes, begin + window)));
    }
    return absl::OkStatus();
  }

  absl::Status WriteRows(BakedTable* table, uint32_t chunk, uint32_t begin, uint32_t end) {
    const TableGeometry& geometry = table->geometry;
    Selection rows = {.table = table->spec.id, .chunks = {chunk}};
    rows.neurons.resize(geometry.neurons());
    std::iota(rows.neurons.begin(), rows.neurons.end(), 0u);
    rows.codes.resize(end - begin);
    std::iota(rows.codes.begin(), rows.codes.end(), begin);
    std::vector<int16_t> values(rows.neurons.size() * rows.codes.size());
    LUTDB_RETURN_IF_ERROR(GatherSelection(store_, Workers(1), rows, values.data()));
    ApplyEdits(*request_.edits, rows, values.data());
    const auto entry_bytes = static_cast<uint64_t>(EntryBytes(geometry.entry()));
    for (uint32_t code = begin; code < end; ++code) {
      for (uint32_t block = 0; block < geometry.row_blocks(); ++block) {
        const uint32_t first = block * geometry.row_neurons();
        const uint32_t last = std::min(geometry.neurons(), first + geometry.row_neurons());
        uint8_t* to = Entries((last - first) * entry_bytes);
        for (uint32_t n = first; n < last; ++n) {
          const int16_t value = values[uint64_t{n} * rows.codes.size() + (code - begin)];
          std::memcpy(to + (n - first) * entry_bytes, &value, entry_bytes);
        }
        const RowId row = {table->spec.id, chunk, code, block};
        EncodeRow(geometry, row, to, &record_);
        LUTDB_RETURN_IF_ERROR(Put(
            db::RowKey(row.table, chunk, static_cast<uint16_t>(code), static_cast<uint16_t>(block)),
            record_, table));
      }
    }
    return absl::OkStatus();
  }

  absl::Status WriteManifest() {
    Manifest manifest = store_.manifest();
    ++manifest.generation;
    LUTDB_ASSIGN_OR_RETURN(manifest.content_hash, EditedContentHash(store_, *request_.edits));
    std::vector<uint64_t> edited(tables_.size(), 0);
    std::vector<db::Write> writes;
    LUTDB_RETURN_IF_ERROR(RemoveOld(&writes));
    std::string bytes;
    for (const auto& [tile, deltas] : request_.since_build) {
      edited[tile.table] += deltas.size();
      EncodePatch(deltas, PatchValues::kBeforeAndAfter, &bytes);
      writes.push_back(
          {db::Family::kHistory,
           db::BakedKey(tile.table, tile.group, static_cast<uint16_t>(tile.neuron_block)), bytes});
    }
    for (uint32_t id = 0; id < tables_.size(); ++id) {
      if (tables_[id] == nullptr) continue;
      const BakedTable& table = *tables_[id];
      TableStats& stats = manifest.stats[id];
      manifest.tables[id] = table.spec;
      stats.records += table.records - table.old_records;
      stats.stored_bytes += table.bytes - table.old_bytes;
      stats.derived_entries =
          stats.raw_bytes / static_cast<uint64_t>(EntryBytes(table.spec.entry)) - edited[id];
    }
    writes.push_back({db::Family::kDefault, db::kManifestKey, SerializeManifest(manifest)});
    writes.push_back({db::Family::kHistory, kBaseCommitKey, request_.edits->commit()});
    return copy_->Apply(writes);
  }

  // Snapshots, which are against the old generation, and what was baked into that.
  absl::Status RemoveOld(std::vector<db::Write>* writes) const {
    for (const std::string& prefix :
         {SnapshotPrefix(""), SnapshotKey(""), std::string(db::kBakedPrefix)}) {
      db::Cursor cursor = copy_->Scan(db::Family::kHistory, prefix, PrefixEnd(prefix));
      for (; cursor.Valid(); cursor.Next()) {
        writes->push_back({db::Family::kHistory, std::string(cursor.key()), "", true});
      }
      LUTDB_RETURN_IF_ERROR(cursor.status());
    }
    return absl::OkStatus();
  }

  void Report(uint64_t bytes) {
    progress_.stage = "bake";
    progress_.bytes_done += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (request_.progress == nullptr || !*request_.progress ||
        now - reported_ < std::chrono::milliseconds(200)) {
      return;
    }
    reported_ = now;
    (*request_.progress)(progress_);
  }

  const BakeRequest& request_;
  const StoreReader& store_;
  std::unique_ptr<db::Rocks> copy_;
  std::string staging_;
  std::vector<std::unique_ptr<BakedTable>> tables_;  // null: no edits
  std::unique_ptr<db::SstWriter> writer_;
  TileDecoder decoder_;
  AlignedArray<uint8_t> entries_;
  uint64_t entries_bytes_ = 0;
  std::string record_;
  Progress progress_;
  std::chrono::steady_clock::time_point reported_{};
};

}  // namespace

absl::Status BakeInto(const BakeRequest& request, const std::string& path) {
  return Baker(request).Run(path);
}

}  // namespace lutdb
