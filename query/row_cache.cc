#include "query/row_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/aligned_buffer.h"
#include "base/check.h"

namespace lutdb {
namespace {

constexpr uint64_t kCountersMin = 1 << 12;
constexpr uint64_t kCountersMax = 1 << 26;
constexpr uint8_t kUsesMax = 15;
constexpr size_t kRowsPerLook = 16;  // rows offered between two looks at the clock
constexpr size_t kHandLooksAt = 8;   // residents compared with one newcomer
constexpr uint32_t kUsesAhead = 2;   // by which a newcomer must lead the least used of them
constexpr uint32_t kUsesMin = 2;     // of any newcomer: a row met once may never come again
constexpr size_t kVictimsMax = 64;   // rows that one newcomer may displace

// One bit per row, zero at first. calloc gives pages that cost nothing until they are written,
// which for a table of a terabyte is the difference between a few megabytes and none.
class RowBits {
 public:
  explicit RowBits(uint64_t rows)
      : words_(static_cast<uint64_t*>(std::calloc(rows / 64 + 1, sizeof(uint64_t)))) {
    LUTDB_CHECK(words_ != nullptr);
  }
  bool Get(uint64_t row) const {
    return (std::atomic_ref<uint64_t>(words_[row / 64]).load(std::memory_order_acquire) >>
            (row % 64)) &
           1;
  }
  void Set(uint64_t row, bool value) {
    const uint64_t bit = uint64_t{1} << (row % 64);
    std::atomic_ref<uint64_t> word(words_[row / 64]);
    if (value) {
      word.fetch_or(bit, std::memory_order_release);
    } else {
      word.fetch_and(~bit, std::memory_order_release);
    }
  }

 private:
  std::unique_ptr<uint64_t[], FreeDeleter> words_;
};

}  // namespace

struct RowCache::Table {
  Table(uint32_t number_in, const RowPlaces* places_in, std::unique_ptr<ArenaFile> file_in)
      : number(number_in), places(places_in), file(std::move(file_in)), present(places->rows()) {}
  const uint32_t number;
  const RowPlaces* places;
  std::unique_ptr<ArenaFile> file;
  RowBits present;  // ready to be read; a resident row that is not verified yet is not
  const uint8_t* At(uint64_t row) const { return file->base() + row * places->stride_bytes(); }
};

RowCache::RowCache(uint64_t limit_bytes, ArenaCounters* counters, FillBudget* budget)
    : limit_bytes_(limit_bytes),
      counters_(counters),
      budget_(budget),
      registry_(std::make_shared<PinRegistry>()) {
  // Sixteen counters for each page that could be resident: 0.4 % more memory, and at most 64 MiB.
  const uint64_t wanted = std::clamp(limit_bytes / kPageBytes * 16, kCountersMin, kCountersMax);
  uses_.resize(std::bit_ceil(wanted));
}

RowCache::~RowCache() {
  const std::unique_lock<std::shared_mutex> lock(registry_->mutex);
  for (RowPins* pins : registry_->pins) pins->active = false;
}

void RowCache::AddTable(uint32_t table, const RowPlaces* places, std::unique_ptr<ArenaFile> file,
                        const std::vector<ArenaUnit>& kept) {
  if (tables_.size() <= table) tables_.resize(table + 1);
  LUTDB_CHECK(places->rows() < uint64_t{1} << 40 && table < 1 << 24);
  tables_[table] = std::make_unique<Table>(table, places, std::move(file));
  for (const ArenaUnit& unit : kept) {
    if (unit.unit >= places->rows() || slot_of_key_.contains(KeyOf(table, unit.unit))) continue;
    Insert(table, unit.unit, unit.checksum, false);
  }
}

void RowCache::Insert(uint32_t table, uint64_t row, uint64_t checksum, bool verified) {
  counters_->used_bytes += PagesOfAlone(*tables_[table], row).bytes();
  slot_of_key_[KeyOf(table, row)] = slots_.size();
  slots_.push_back({KeyOf(table, row), checksum, verified});
  unverified_ += !verified;
  tables_[table]->present.Set(row, verified);
}

bool RowCache::Occupied(const Table& table, uint64_t row) const {
  if (table.present.Get(row)) return true;
  if (unverified_ == 0) return false;
  return slot_of_key_.contains(KeyOf(table.number, row));
}

// The pages of a row that no other resident row lies in: what it costs, and what evicting it frees.
RowCache::PageRange RowCache::PagesOfAlone(const Table& table, uint64_t row) const {
  const uint64_t stride = table.places->stride_bytes();
  PageRange pages = {.begin = row * stride / kPageBytes,
                     .end = ((row + 1) * stride + kPageBytes - 1) / kPageBytes};
  for (uint64_t other = row; other > 0 && other * stride > pages.begin * kPageBytes;) {
    if (Occupied(table, --other)) {
      ++pages.begin;
      break;
    }
  }
  for (uint64_t other = row + 1;
       other < table.places->rows() && other * stride < pages.end * kPageBytes; ++other) {
    if (Occupied(table, other)) {
      --pages.end;
      break;
    }
  }
  // A small row between two residents of the same page was taken off from both sides.
  pages.end = std::max(pages.begin, pages.end);
  return pages;
}

// Two counters for each key; what it is worth is the smaller, so that both must be shared with
// busier rows before it is overrated.
RowCache::Counters RowCache::CountersOf(uint64_t key) const {
  const uint64_t hash = XXH3_64bits(&key, sizeof(key));
  return {hash & (uses_.size() - 1), (hash >> 32) & (uses_.size() - 1)};
}

void RowCache::CountUse(uint64_t key) {
  const Counters at = CountersOf(key);
  const uint32_t uses = UsesOf(key);
  if (uses == kUsesMax) return;
  for (const uint64_t i : {at.first, at.second}) {
    std::atomic_ref<uint8_t> counter(uses_[i]);  // concurrent pins may lose a count: fine
    if (counter.load(std::memory_order_relaxed) == uses) {
      counter.store(static_cast<uint8_t>(uses + 1), std::memory_order_relaxed);
    }
  }
}

uint32_t RowCache::UsesOf(uint64_t key) const {
  const Counters at = CountersOf(key);
  const auto load = [&](uint64_t i) {
    return std::atomic_ref<uint8_t>(const_cast<uint8_t&>(uses_[i])).load(std::memory_order_relaxed);
  };
  return std::min(load(at.first), load(at.second));
}

// Halves every count after two uses for each counter: rows of yesterday can be displaced, and the
// counts of rows that merely share counters stay low.
void RowCache::AgeCounts(uint64_t uses) {
  const uint64_t before = uses_since_aging_.fetch_add(uses, std::memory_order_relaxed);
  const uint64_t period = uses_.size() * 2;
  if (before / period == (before + uses) / period) return;
  for (uint8_t& counter : uses_) {
    std::atomic_ref<uint8_t> count(counter);
    count.store(count.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
  }
}

// A row from an earlier process: believed once its bytes match; else its place stays, to be filled.
const uint8_t* RowCache::Verify(Table* table, uint64_t row, Slot* slot) {
  if (XXH3_64bits(table->At(row), table->places->stride_bytes()) != slot->checksum) return nullptr;
  slot->verified = true;
  --unverified_;
  table->present.Set(row, true);
  return table->At(row);
}

void RowCache::Find(uint32_t table, absl::Span<Row> rows, RowPins* pins) {
  Table& in = *tables_[table];
  bool look_closer = false;
  {
    const std::shared_lock<std::shared_mutex> lock(registry_->mutex);
    pins->rows.clear();
    pins->table = table;
    for (Row& row : rows) {
      CountUse(KeyOf(table, row.row));
      row.entries = in.present.Get(row.row) ? in.At(row.row) : nullptr;
      if (row.entries != nullptr) {
        pins->rows.push_back(row.row);
      } else {
        look_closer = true;
      }
    }
    look_closer = look_closer && unverified_ > 0;
    pins->active.store(true, std::memory_order_relaxed);
  }
  if (look_closer) {
    const std::unique_lock<std::shared_mutex> lock(registry_->mutex);
    pins->rows.clear();
    for (Row& row : rows) {
      if (row.entries == nullptr) {
        const auto found = slot_of_key_.find(KeyOf(table, row.row));
        if (found == slot_of_key_.end()) continue;
        Slot& slot = slots_[found->second];
        row.entries = slot.verified ? in.At(row.row) : Verify(&in, row.row, &slot);
        if (row.entries == nullptr) continue;
      }
      pins->rows.push_back(row.row);
    }
  }
  AgeCounts(rows.size());
}

bool RowCache::Pinned(uint64_t key) const {
  const uint32_t table = static_cast<uint32_t>(key >> 40);
  const uint64_t row = key & ((uint64_t{1} << 40) - 1);
  for (const RowPins* pins : registry_->pins) {
    if (pins->active.load(std::memory_order_acquire) && pins->table == table &&
        std::binary_search(pins->rows.begin(), pins->rows.end(), row)) {
      return true;
    }
  }
  return false;
}

bool RowCache::Evict(size_t index) {
  const Slot slot = slots_[index];
  Table& table = *tables_[slot.key >> 40];
  const uint64_t row = slot.key & ((uint64_t{1} << 40) - 1);
  const PageRange pages = PagesOfAlone(table, row);
  table.present.Set(row, false);
  if (!table.file->Punch(pages.begin * kPageBytes, pages.bytes()).ok()) {
    // The bytes are still there and still right: the row stays, and so do all others from now on.
    table.present.Set(row, slot.verified);
    frozen_ = true;
    return false;
  }
  slot_of_key_.erase(slot.key);
  if (index + 1 != slots_.size()) {
    slots_[index] = slots_.back();
    slot_of_key_[slots_[index].key] = index;
  }
  slots_.pop_back();
  unverified_ -= !slot.verified;
  counters_->used_bytes -= pages.bytes();
  ++counters_->evictions;
  return true;
}

// The least used of the next few rows that no pin holds; slots_.size() when all are held.
size_t RowCache::LeastUsed(uint32_t* uses) {
  size_t least = slots_.size();
  for (size_t looked = 0; looked < std::min(kHandLooksAt, slots_.size()); ++looked) {
    hand_ = (hand_ + 1) % slots_.size();
    const uint32_t resident_uses = UsesOf(slots_[hand_].key);
    if (least != slots_.size() && resident_uses >= *uses) continue;
    if (Pinned(slots_[hand_].key)) continue;
    least = hand_;
    *uses = resident_uses;
  }
  return least;
}

bool RowCache::Shrink() {
  const std::unique_lock<std::shared_mutex> lock(registry_->mutex);
  for (size_t held = 0; counters_->used_bytes > limit_bytes_;) {
    if (frozen_ || slots_.empty() || held > slots_.size()) return false;
    uint32_t uses = 0;
    const size_t least = LeastUsed(&uses);
    if (least == slots_.size()) {
      held += kHandLooksAt;
    } else if (!Evict(least)) {
      return false;
    }
  }
  return true;
}

bool RowCache::MakeRoom(uint64_t bytes, uint32_t uses) {
  const auto fits = [&] { return counters_->used_bytes + bytes <= limit_bytes_; };
  for (size_t victims = 0; !fits(); ++victims) {
    if (frozen_ || slots_.empty() || victims == kVictimsMax) return false;
    uint32_t least_uses = 0;
    const size_t least = LeastUsed(&least_uses);
    if (least == slots_.size() || uses < least_uses + kUsesAhead) return false;
    if (!Evict(least)) return false;
  }
  return true;
}

void RowCache::Admit(uint32_t number, const Row& row) {
  Table& table = *tables_[number];
  const uint64_t key = KeyOf(number, row.row);
  const uint64_t stride = table.places->stride_bytes();
  const auto found = slot_of_key_.find(key);
  if (found != slot_of_key_.end()) {
    Slot& slot = slots_[found->second];
    if (slot.verified) return;  // another pin was faster
    if (!table.file->Write(row.row * stride, row.entries, stride).ok()) {
      full_ = true;
      return;
    }
    slot.checksum = XXH3_64bits(row.entries, stride);
    slot.verified = true;
    --unverified_;
    table.present.Set(row.row, true);
    ++counters_->fills;
    return;
  }
  const uint32_t uses = UsesOf(key);
  if (uses < kUsesMin || !MakeRoom(PagesOfAlone(table, row.row).bytes(), uses)) return;
  // Room was counted before rows beside this one may have been evicted.
  if (counters_->used_bytes + PagesOfAlone(table, row.row).bytes() > limit_bytes_) return;
  if (!table.file->Write(row.row * stride, row.entries, stride).ok()) {
    full_ = true;
    return;
  }
  Insert(number, row.row, XXH3_64bits(row.entries, stride), true);
  ++counters_->fills;
}

void RowCache::Offer(uint32_t table, absl::Span<const Row> rows) {
  const std::unique_lock<std::shared_mutex> lock(registry_->mutex);
  for (size_t i = 0; i < rows.size(); i += kRowsPerLook) {
    if (full_ || !budget_->allows()) return;
    const auto start = FillBudget::Clock::now();
    for (const Row& row : rows.subspan(i, kRowsPerLook)) {
      if (!full_) Admit(table, row);
    }
    budget_->Spend(FillBudget::Clock::now() - start, 1);
  }
}

ArenaIndexTable RowCache::Index(uint32_t table) const {
  ArenaIndexTable index;
  index.residency = Residency::kRows;
  index.rows = tables_[table]->places->rows();
  index.stride_bytes = tables_[table]->places->stride_bytes();
  for (const Slot& slot : slots_) {
    if (slot.key >> 40 != table) continue;
    index.units.push_back({slot.key & ((uint64_t{1} << 40) - 1), slot.checksum});
  }
  return index;
}

}  // namespace lutdb
