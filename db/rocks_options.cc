#include "db/rocks_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>

#include <algorithm>

#include "base/status.h"
#include "db/file_checksum.h"
#include "db/parallel_reads.h"

namespace lutdb::db {
namespace {

// RocksDB's own log writer asserts when the disk is full, and Debian's build keeps assertions: a
// log that drops everything keeps a full disk an error instead of an abort. Statuses tell what we
// need.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

bool IsBase(Family family) {
  return family == Family::kTile || family == Family::kRow || family == Family::kWeights;
}

rocksdb::BlockBasedTableOptions TableOptions(Family family,
                                             const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::kXXH3;  // CRC32C is slow in Debian's build
  table.format_version = 5;
  // A partitioned index: opening a file reads a few KiB, whatever its size.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.metadata_block_size = 16 << 10;
  table.cache_index_and_filter_blocks = true;
  table.pin_top_level_index_and_filter = true;
  if (family == Family::kRow) {
    table.block_size = 4096;  // one row record, one aligned block, one disk read
    table.block_align = true;
  } else {
    table.block_size = 16 << 10;
  }
  return table;
}

}  // namespace

const char* FamilyName(Family family) {
  switch (family) {
    case Family::kDefault:
      return "default";
    case Family::kTile:
      return "tile-1";
    case Family::kRow:
      return "row-1";
    case Family::kWeights:
      return "weights-1";
    case Family::kHistory:
      return "history";
  }
  return "default";
}

rocksdb::ColumnFamilyOptions FamilyOptions(Family family,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(family, cache)));
  options.compression = rocksdb::kNoCompression;  // records are encoded already
  if (IsBase(family)) {
    // Ingest-only and disjoint: never compacted, so what was verified stays where it is.
    options.disable_auto_compactions = true;
    options.write_buffer_size = 1 << 20;
    options.level0_slowdown_writes_trigger = 1 << 20;
    options.level0_stop_writes_trigger = 1 << 20;
  } else {
    options.write_buffer_size = 16 << 20;
  }
  return options;
}

rocksdb::DBOptions DatabaseOptions(const OpenOptions& options) {
  rocksdb::DBOptions database;
  database.info_log = std::make_shared<SilentLogger>();
  database.env = ParallelReadEnv();
  // Every file's whole checksum is recorded, so that verify covers every byte.
  database.file_checksum_gen_factory = FileChecksumFactory();
  database.max_open_files = std::max(16, options.open_files_max);  // opened when first read
  database.max_file_opening_threads = 1;  // by default every open starts and stops 32 threads
  database.skip_stats_update_on_db_open = true;  // fast open with many files
  database.skip_checking_sst_file_sizes_on_db_open = true;
  database.avoid_flush_during_recovery = true;  // a nearly full disk can still be opened
  database.bytes_per_sync = 4 << 20;  // files start to reach the disk while they are written
  database.max_total_wal_size = 256 << 20;
  database.recycle_log_file_num = 0;
  database.stats_dump_period_sec = 0;  // no background work for figures nobody reads
  database.stats_persist_period_sec = 0;
  database.max_background_jobs = 2;
  database.allow_mmap_reads = false;  // breaks ingestion together with file checksums
  // Off, files that cannot be opened or are missing do not stop the database from opening.
  database.paranoid_checks = !options.tolerate_damage;
  return database;
}

std::vector<rocksdb::ColumnFamilyDescriptor> Families(const std::shared_ptr<rocksdb::Cache>& cache,
                                                      bool history_only) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (int i = 0; i < kFamilies; ++i) {
    const auto family = static_cast<Family>(i);
    if (history_only && family != Family::kDefault && family != Family::kHistory) continue;
    families.emplace_back(FamilyName(family), FamilyOptions(family, cache));
  }
  return families;
}

}  // namespace lutdb::db
