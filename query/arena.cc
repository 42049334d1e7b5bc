#include "query/arena.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/status.h"
#include "db/store_files.h"

namespace lutdb {
namespace {

// More rows than any address space holds: such a table is served without an arena.
constexpr uint64_t kTableBytesMax = uint64_t{1} << 45;
constexpr uint64_t kIndexBytesMax = uint64_t{1} << 30;

std::string IndexPath(const std::string& directory) { return JoinPath(directory, "index"); }

uint64_t AllocatedBytes(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace

std::string ArenaFilePath(const std::string& store, uint32_t table) {
  return JoinPath(db::ArenaPath(store), fmt::format("{}.rows", table));
}

std::unique_ptr<Arena> Arena::Open(const Context& context, uint64_t limit_bytes) {
  std::unique_ptr<Arena> arena(new Arena(context));
  const std::string directory = db::ArenaPath(context.store->path());
  // A cache must never fail a run: whatever goes wrong with the directory, but for its being in
  // use, means that the rows live in anonymous memory instead.
  if (MakeDirectory(directory).ok()) {
    auto lock = FileLock::Acquire(JoinPath(directory, "lock"), 0);
    if (lock.ok()) {
      arena->lock_ = *std::move(lock);
      arena->directory_ = directory;
    } else if (absl::IsFailedPrecondition(lock.status())) {
      return nullptr;
    }
  }
  const bool on_disk = !arena->directory_.empty();
  const uint64_t usable = UsableMemoryBytes();
  arena->limit_bytes_ = std::min(limit_bytes, on_disk ? usable / 4 * 3 : usable / 2);
  if (on_disk) arena->limit_bytes_ = std::min(arena->limit_bytes_, arena->DiskLimit());

  const std::vector<RowPlaces>& places = *context.places;
  uint64_t all_bytes = 0;
  for (const RowPlaces& table : places) {
    all_bytes += std::min(table.bytes(), kTableBytesMax) + kPageBytes;
  }
  const bool whole = all_bytes <= arena->limit_bytes_;
  if (whole) arena->resident_bytes_ = all_bytes;
  arena->residents_.resize(places.size());
  arena->AddTables(whole, on_disk ? arena->TakeIndex() : arena->EmptyIndex());
  if (whole && context.workers->threads() > 1) {
    std::vector<ResidentPanel*> tables;
    for (const Resident& table : arena->residents_) tables.push_back(table.panel);
    arena->ahead_ = std::make_unique<FillAhead>(std::move(tables));
  }
  return arena;
}

bool Arena::Reserve(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(reserved_mutex_);
  const uint64_t left = resident_bytes_ > 0 ? limit_bytes_ - std::min(limit_bytes_, resident_bytes_)
                                            : limit_bytes_ / 4 * 3;
  if (bytes > left || reserved_bytes_ > left - bytes) return false;
  counters_.used_bytes += bytes;
  if (cache_ != nullptr && !cache_->Shrink()) {
    counters_.used_bytes -= bytes;
    return false;
  }
  reserved_bytes_ += bytes;
  return true;
}

void Arena::GiveBack(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(reserved_mutex_);
  reserved_bytes_ -= bytes;
  counters_.used_bytes -= bytes;
}

// What the arena's files take already is free for them.
uint64_t Arena::DiskLimit() const {
  const auto free_bytes = FreeDiskBytes(directory_);
  uint64_t bytes = free_bytes.ok() ? *free_bytes : 0;
  for (uint32_t table = 0; table < context_.places->size(); ++table) {
    bytes += AllocatedBytes(ArenaFilePath(context_.store->path(), table));
  }
  return bytes / 10 * 9;
}

ArenaIndex Arena::EmptyIndex() const {
  const Manifest& manifest = context_.store->manifest();
  ArenaIndex index;
  index.content_hash = manifest.content_hash;
  index.plan_hash = manifest.plan_hash;
  index.generation = manifest.generation;
  for (const RowPlaces& places : *context_.places) {
    index.tables.push_back({.residency = Residency::kRows,
                            .rows = places.rows(),
                            .stride_bytes = places.stride_bytes(),
                            .units = {}});
  }
  return index;
}

// Reads the index and removes it: from now on the files change, and only a clean close says what is
// in them. An index of other contents counts as none.
ArenaIndex Arena::TakeIndex() {
  ArenaIndex empty = EmptyIndex();
  const std::string path = IndexPath(directory_);
  const auto bytes = ReadFile(path, kIndexBytesMax);
  if (!RemovePath(path).ok() || !bytes.ok()) return empty;
  auto index = ParseArenaIndex(*bytes);
  if (!index.ok() || index->content_hash != empty.content_hash ||
      index->plan_hash != empty.plan_hash || index->generation != empty.generation ||
      index->tables.size() != empty.tables.size()) {
    return empty;
  }
  for (size_t table = 0; table < empty.tables.size(); ++table) {
    if (index->tables[table].rows != empty.tables[table].rows) return empty;
  }
  return *std::move(index);
}

// A file that cannot be had gives way to anonymous memory. Null: not even that.
std::unique_ptr<ArenaFile> Arena::OpenFile(uint32_t table, ArenaFile::Options options) {
  if (!directory_.empty()) options.path = ArenaFilePath(context_.store->path(), table);
  auto file = ArenaFile::Open(options);
  if (!file.ok() && !directory_.empty()) {
    options.path.clear();
    file = ArenaFile::Open(options);
  }
  return file.ok() ? *std::move(file) : nullptr;
}

void Arena::AddPanel(const Panel& panel, const ArenaIndex& kept) {
  const uint32_t first = panel.front();
  const TableGeometry& geometry = context_.store->geometry(first);
  ResidentPanel::Context context = {.reader = context_.reader,
                                    .workers = context_.workers,
                                    .group_chunks = geometry.tile_chunks(),
                                    .block_bytes = kBlockNeurons * EntryBytes(geometry.entry()),
                                    .counters = &counters_,
                                    .budget = &budget_};
  for (const uint32_t table : panel) {
    const RowPlaces& places = (*context_.places)[table];
    context.columns.push_back({.table = table,
                               .places = &places,
                               .neuron_blocks = context_.store->geometry(table).neuron_blocks(),
                               .offset = context.row_bytes});
    context.row_bytes += places.stride_bytes();
    // Left from when the table was alone, or cached.
    if (table != first && !directory_.empty()) {
      (void)RemovePath(ArenaFilePath(context_.store->path(), table));
    }
  }
  const uint64_t rows = (*context_.places)[first].rows();
  if (rows > kTableBytesMax / context.row_bytes) return;  // served without
  const ArenaIndexTable& before = kept.tables[first];
  const bool keep = before.residency == Residency::kWhole &&
                    before.stride_bytes == context.row_bytes && !before.units.empty();
  auto file = OpenFile(first, {.bytes = rows * context.row_bytes, .keep = keep});
  if (file == nullptr) return;
  const std::vector<ArenaUnit> units = file->kept() ? before.units : std::vector<ArenaUnit>();
  panels_.push_back(std::make_unique<ResidentPanel>(std::move(context), std::move(file), units));
  uint64_t offset = 0;
  for (const uint32_t table : panel) {
    residents_[table] = {.panel = panels_.back().get(), .offset = offset};
    offset += (*context_.places)[table].stride_bytes();
  }
}

void Arena::AddCached(uint32_t table, const ArenaIndex& kept, uint64_t kept_bytes) {
  const RowPlaces& places = (*context_.places)[table];
  if (places.rows() > kTableBytesMax / places.stride_bytes()) return;
  const ArenaIndexTable& before = kept.tables[table];
  const bool keep = before.residency == Residency::kRows && !before.units.empty() &&
                    before.stride_bytes == places.stride_bytes() && kept_bytes <= limit_bytes_;
  auto file = OpenFile(table, {.bytes = places.bytes(), .keep = keep, .random = true});
  if (file == nullptr) return;
  const std::vector<ArenaUnit> units = file->kept() ? before.units : std::vector<ArenaUnit>();
  if (cache_ == nullptr) cache_ = std::make_unique<RowCache>(limit_bytes_, &counters_, &budget_);
  cache_->AddTable(table, &places, std::move(file), units);
}

void Arena::AddTables(bool whole, const ArenaIndex& kept) {
  // With a smaller budget than before, rows row by row would begin beyond it: start empty then.
  uint64_t kept_bytes = 0;
  for (const ArenaIndexTable& table : kept.tables) {
    if (table.residency == Residency::kRows) {
      kept_bytes += table.units.size() * (table.stride_bytes + kPageBytes);
    }
  }
  for (const Panel& panel : PanelsOf(*context_.store, *context_.places)) {
    if (whole && context_.store->spec(panel.front()).layout == Layout::kTile) {
      AddPanel(panel, kept);
      continue;
    }
    for (const uint32_t table : panel) AddCached(table, kept, kept_bytes);
  }
}

Arena::~Arena() {
  ahead_.reset();  // nothing changes any more
  if (!directory_.empty()) SaveIndex();
}

void Arena::SaveIndex() const {
  ArenaIndex index = EmptyIndex();
  bool any = false;
  for (uint32_t table = 0; table < index.tables.size(); ++table) {
    const Resident& resident = residents_[table];
    if (resident.panel != nullptr && resident.offset == 0) {
      index.tables[table] = resident.panel->Index();
    }
    if (cache(table) != nullptr) index.tables[table] = cache(table)->Index(table);
    any = any || !index.tables[table].units.empty();
  }
  if (!any) return;
  // Without an index the next process starts empty: nothing is lost but time, so a failure is no
  // news.
  (void)WriteFileAtomically(IndexPath(directory_), SerializeArenaIndex(index));
}

}  // namespace lutdb
